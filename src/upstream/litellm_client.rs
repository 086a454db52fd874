//! What does LiteLLM say when the gateway itself asks? Its model list, for the merged one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use crate::config::BaseUrl;

/// Claude Code waits three seconds for a model list; an answer after that helps nobody.
const PATIENCE: Duration = Duration::from_millis(2500);
const MODELS_MAX: usize = 4 * 1024 * 1024;

/// Small questions to LiteLLM, outside of any client's request.
pub struct LiteLlmClient {
    http: reqwest::Client,
    urls: Vec<BaseUrl>,
}

impl LiteLlmClient {
    pub fn new(urls: &[BaseUrl]) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, urls: urls.to_vec() })
    }

    /// LiteLLM's `/v1/models` as these credentials see it; `None` when no replica answers with a list.
    pub async fn models(&self, credentials: &HeaderMap) -> Option<Bytes> {
        for url in &self.urls {
            match self.ask(url, credentials).await {
                Ok(Some(list)) => return Some(list),
                Ok(None) => return None,
                Err(error) => log::debug!(target: "memgate::litellm", "model list: {}", error.without_url()),
            }
        }
        None
    }

    /// `None`: LiteLLM answered, but not with a list that could be used.
    async fn ask(&self, url: &BaseUrl, credentials: &HeaderMap) -> Result<Option<Bytes>, reqwest::Error> {
        let asked = self.http.get(format!("{url}/v1/models")).headers(credentials.clone());
        let mut answer = asked.send().await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let mut list = BytesMut::new();
        while let Some(piece) = answer.chunk().await? {
            if list.len() + piece.len() > MODELS_MAX {
                return Ok(None);
            }
            list.extend_from_slice(&piece);
        }
        Ok(Some(list.freeze()))
    }
}
