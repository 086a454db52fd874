//! The client a key belongs to.

use std::sync::Arc;
use std::time::SystemTime;

use super::Refusal;
use super::allowed::Allowed;

/// Someone who proved who it is, or whom the operator lets in without proof.
/// Only [`super::KeyRing`] makes one.
#[derive(Clone)]
pub struct Caller(Kind);

#[derive(Clone)]
enum Kind {
    Master,
    Key(Arc<Key>),
    Anonymous,
}

/// What LiteLLM says of one of its keys.
pub(super) struct Key {
    /// `litellm:` and the key's alias, or the start of its hash.
    pub name: String,
    pub models: Allowed,
    /// What the key's team may use; a key needs both.
    pub team: Option<Allowed>,
    pub expires: Option<SystemTime>,
    /// The user the key belongs to.
    pub user: Option<String>,
}

impl Caller {
    pub(super) fn master() -> Self {
        Self(Kind::Master)
    }

    pub(super) fn key(key: Arc<Key>) -> Self {
        Self(Kind::Key(key))
    }

    pub(super) fn anonymous() -> Self {
        Self(Kind::Anonymous)
    }

    /// For logs: `master`, `litellm:<alias or start of the hash>`, `anonymous`.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::Master => "master",
            Kind::Key(key) => &key.name,
            Kind::Anonymous => "anonymous",
        }
    }

    /// The user whom the key itself names.
    pub fn user(&self) -> Option<&str> {
        match &self.0 {
            Kind::Key(key) => key.user.as_deref(),
            Kind::Master | Kind::Anonymous => None,
        }
    }

    pub fn is_master(&self) -> bool {
        matches!(self.0, Kind::Master)
    }

    /// `names`: the public name asked for and what it is an alias of; `qualified`: with its provider in front.
    pub fn may_use(&self, names: &[&str], qualified: Option<&str>) -> Result<(), Refusal> {
        let Kind::Key(key) = &self.0 else {
            return Ok(());
        };
        let team = key.team.as_ref();
        if key.models.grants(names, qualified) && team.is_none_or(|t| t.grants(names, qualified)) {
            Ok(())
        } else {
            Err(Refusal::ModelNotAllowed)
        }
    }
}
