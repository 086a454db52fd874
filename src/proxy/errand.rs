//! On whose errand is a provider called: for a model of ours, or for LiteLLM, which speaks for itself?

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};

use super::context::DirectWay;
use crate::config::{BypassTarget, Secret};
use crate::routing::DirectModel;
use crate::upstream::Called;

pub(super) enum Errand {
    /// Its key and headers are ours to set.
    Model(Arc<DirectModel>),
    /// Of the egress port: its key and headers are in it.
    LiteLlms(Box<LiteLlms>),
}

pub(super) struct LiteLlms {
    /// The provider behind the host called, else that host.
    pub provider: String,
    pub router: bool,
    /// The same at the provider itself, where it may be called.
    pub past_router: Option<Uri>,
}

impl Errand {
    pub(super) fn provider(&self) -> &str {
        match self {
            Self::Model(model) => &model.target.provider_host,
            Self::LiteLlms(errand) => &errand.provider,
        }
    }

    pub(super) fn is_litellms(&self) -> bool {
        matches!(self, Self::LiteLlms(_))
    }

    pub(super) fn needs_router(&self) -> bool {
        match self {
            Self::Model(model) => model.target.router,
            Self::LiteLlms(errand) => errand.router,
        }
    }

    /// The same errand without the router, of which `uri` is the one with it.
    fn past_router(&self, uri: &Uri) -> Option<Uri> {
        match self {
            Self::Model(model) => {
                let there = &model.target.bypass.as_ref()?.base.path;
                let asked = uri.path_and_query()?.as_str();
                let asked = asked
                    .strip_prefix(&*model.target.base.path)
                    .unwrap_or(asked);
                format!("{there}{asked}").parse().ok()
            }
            Self::LiteLlms(errand) => errand.past_router.clone(),
        }
    }
}

impl DirectWay {
    pub(super) fn called(&self) -> Called<'_> {
        let host = self.upstream.host();
        let behind = self.errand.provider();
        Called {
            host,
            provider: if self.bypassed { host } else { behind },
        }
    }

    /// The router is on this way.
    pub(super) fn is_router(&self) -> bool {
        self.errand.needs_router() && !self.bypassed
    }

    pub(super) fn leave_router(&mut self) {
        // Both parts have been parts of a target before.
        self.uri = self.errand.past_router(&self.uri).unwrap_or_default();
        self.bypassed = true;
        self.attempts = 0;
    }
}

/// What goes up for a model of ours, the router or not.
pub(super) struct Credentials<'m> {
    pub api_key: Option<&'m Secret>,
    pub extra_headers: &'m [(HeaderName, HeaderValue)],
}

impl<'m> Credentials<'m> {
    pub(super) fn of(model: &'m DirectModel, bypassed: bool) -> Self {
        let target = &model.target;
        match target.bypass.as_ref().filter(|_| bypassed) {
            Some(BypassTarget {
                api_key,
                extra_headers,
                ..
            }) => Self {
                api_key: api_key.as_ref(),
                extra_headers,
            },
            None => Self {
                api_key: target.api_key.as_ref(),
                extra_headers: &target.extra_headers,
            },
        }
    }
}
