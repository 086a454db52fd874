//! What is there of LiteLLM: its replicas, and the questions that the gateway asks it itself.

use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::auth::{ClientError, LiteLlmApi, LiteLlmClient};
use crate::config::{BaseUrl, Config};
use crate::telemetry::{Metrics, UpstreamMetrics};
use crate::upstream::backends::Backends;
use crate::upstream::resolve::Resolver;

/// LiteLLM and what is counted of it.
pub struct LiteLlm {
    pub backends: Arc<Backends>,
    /// For questions of the gateway's own.
    pub api: Arc<dyn LiteLlmApi>,
    pub metrics: UpstreamMetrics,
}

impl LiteLlm {
    /// As long as it is at the same places, its replicas and connections stay.
    pub(super) fn new(
        config: &Config,
        resolver: &Arc<Resolver>,
        metrics: &Metrics,
        before: Option<&Snapshot>,
    ) -> Result<Self, ClientError> {
        let urls = &config.litellm.urls;
        let host =
            |resolver: &Resolver, url: &BaseUrl| resolver.host(&url.origin.host, url.origin.port);
        let stays = |before: &&Snapshot| {
            let same = |url| {
                let places = (host(&before.resolver, url), host(resolver, url));
                matches!(places, (Some(was), Some(is)) if Arc::ptr_eq(&was, &is))
            };
            before.config.litellm.urls == *urls && urls.iter().all(same)
        };
        let (backends, api) = match before.filter(stays) {
            Some(before) => {
                let litellm = &before.litellm;
                (Arc::clone(&litellm.backends), Arc::clone(&litellm.api))
            }
            None => {
                let places = urls
                    .iter()
                    .filter_map(|url| Some((url.clone(), host(resolver, url)?)));
                let backends = Arc::new(Backends::new(places.collect()));
                let (names, ca_file) = (Arc::clone(resolver), config.direct.ca_file.as_deref());
                let addresses = Arc::new(move |name: &str| names.addresses(name));
                let api: Arc<dyn LiteLlmApi> =
                    Arc::new(LiteLlmClient::new(urls, ca_file, addresses)?);
                (backends, api)
            }
        };
        Ok(Self {
            backends,
            api,
            metrics: metrics.upstream("litellm", "litellm"),
        })
    }
}
