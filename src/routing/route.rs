//! What routing says about one request.

use std::sync::Arc;

use crate::config::{Deployment, DirectTarget};

/// Where a request goes and under which model name.
#[derive(Clone)]
pub struct Route {
    pub upstream: Upstream,
    /// The name to splice into the body; `None` leaves its bytes alone.
    pub model: Option<String>,
    /// Betas that stood in the model name, to be added to `anthropic-beta`. Header-safe.
    pub betas: Vec<String>,
    pub rule: Rule,
    /// The public name that matched: without betas, and without the date where the entry has none.
    /// The client's name as it stands when nothing matched.
    pub name: Arc<str>,
    /// What an alias stands for.
    pub target: Option<Arc<str>>,
}

#[derive(Clone)]
pub enum Upstream {
    /// The gateway calls the provider itself.
    Direct(Arc<DirectModel>),
    LiteLlm,
}

/// The rule that placed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `model_info.id` of one deployment.
    DeploymentId,
    /// `model_group_alias`.
    Alias,
    /// An entry's `model_name`.
    Exact,
    /// A `model_name` with `*`.
    Wildcard,
    /// No entry: LiteLLM judges it, for it may know models that no file names.
    Unknown,
}

/// A deployment the gateway calls itself.
pub struct DirectModel {
    /// Its place in [`super::RouteTable::direct`], for tables that hold something per deployment.
    pub index: usize,
    /// `model_name` of its group.
    pub group: Arc<str>,
    pub deployment: Arc<Deployment>,
    pub target: DirectTarget,
}

impl Route {
    pub fn direct(&self) -> Option<&Arc<DirectModel>> {
        match &self.upstream {
            Upstream::Direct(direct) => Some(direct),
            Upstream::LiteLlm => None,
        }
    }

    /// Whether a body that names this model goes up under another name.
    pub fn renames(&self, model: &str) -> bool {
        self.model.as_ref().is_some_and(|name| name != model)
    }

    /// The names under which a key may have been given this model: the public name and what an alias stands for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.name).chain(self.target.as_deref())
    }
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentId => "deployment id",
            Self::Alias => "alias",
            Self::Exact => "exact name",
            Self::Wildcard => "wildcard",
            Self::Unknown => "unknown name",
        }
    }
}
