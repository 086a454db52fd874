//! The client a key belongs to.

use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use super::allowed::Allowed;
use super::{Fingerprint, KeyId, Refusal};
use crate::config::KeyLimits;

/// How the names of LiteLLM's keys begin, and no name in the keys file does.
pub(super) const LITELLMS: &str = "litellm:";

/// Someone who proved who it is, or whom the operator lets in without proof.
/// Only [`super::KeyRing`] makes one.
#[derive(Clone)]
pub struct Caller(Kind);

#[derive(Clone)]
enum Kind {
    Master(KeyId),
    Key(Arc<Key>),
    Anonymous,
}

/// A key of the keys file or of LiteLLM's.
pub(super) struct Key {
    pub id: KeyId,
    /// The keys file's name, or `litellm:` and the key's alias or the start of its hash.
    pub name: Arc<str>,
    pub models: Allowed,
    /// What the key's team may use; a key needs both.
    pub team: Option<Allowed>,
    pub expires: Option<SystemTime>,
    pub limits: KeyLimits,
    pub memory: Memory,
}

/// Whose memory a key may mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// The user the key belongs to.
    pub user: Option<String>,
    /// It may name another one.
    pub impersonate: bool,
    /// Many use it, and their headers tell them apart.
    pub shared: bool,
}

impl Caller {
    pub(super) fn master(print: &Fingerprint) -> Self {
        Self(Kind::Master(print.id()))
    }

    pub(super) fn key(key: Arc<Key>) -> Self {
        Self(Kind::Key(key))
    }

    pub(super) fn anonymous() -> Self {
        Self(Kind::Anonymous)
    }

    /// For logs: the name in the keys file, `master`, `litellm:<alias or start of the hash>`, `anonymous`.
    pub fn name(&self) -> &Arc<str> {
        static MASTER: LazyLock<Arc<str>> = LazyLock::new(|| "master".into());
        static ANONYMOUS: LazyLock<Arc<str>> = LazyLock::new(|| "anonymous".into());
        match &self.0 {
            Kind::Master(_) => &MASTER,
            Kind::Key(key) => &key.name,
            Kind::Anonymous => &ANONYMOUS,
        }
    }

    /// Tells callers apart, and stays the same as long as the key does.
    pub fn id(&self) -> KeyId {
        match &self.0 {
            Kind::Master(id) => *id,
            Kind::Key(key) => key.id,
            Kind::Anonymous => KeyId::default(),
        }
    }

    /// What it may spend.
    pub fn limits(&self) -> KeyLimits {
        match &self.0 {
            Kind::Key(key) => key.limits,
            Kind::Master(_) | Kind::Anonymous => KeyLimits::default(),
        }
    }

    pub(super) fn expires(&self) -> Option<SystemTime> {
        match &self.0 {
            Kind::Key(key) => key.expires,
            Kind::Master(_) | Kind::Anonymous => None,
        }
    }

    /// The user whom the key itself names.
    pub fn user(&self) -> Option<&str> {
        self.memory()?.user.as_deref()
    }

    /// Whether the client may name a user itself.
    pub fn may_impersonate(&self) -> bool {
        self.memory().is_none_or(|memory| memory.impersonate)
    }

    /// Whether the client's headers tell whom of many it is.
    pub fn is_shared(&self) -> bool {
        self.memory().is_none_or(|memory| memory.shared)
    }

    /// Whom the operator lets in without proof.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.0, Kind::Anonymous)
    }

    pub fn is_master(&self) -> bool {
        matches!(self.0, Kind::Master(_))
    }

    /// A key of the keys file, which nobody else knows.
    pub fn is_listed(&self) -> bool {
        matches!(&self.0, Kind::Key(key) if !key.name.starts_with(LITELLMS))
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

    /// Whether there are models that it may not use, so that a model must be seen before it is asked.
    pub fn is_confined(&self) -> bool {
        let Kind::Key(key) = &self.0 else {
            return false;
        };
        !key.models.is_everything() || key.team.as_ref().is_some_and(|team| !team.is_everything())
    }

    fn memory(&self) -> Option<&Memory> {
        match &self.0 {
            Kind::Key(key) => Some(&key.memory),
            Kind::Master(_) | Kind::Anonymous => None,
        }
    }
}
