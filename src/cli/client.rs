//! How does the command line ask a running gateway?

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, Method, RequestBuilder, redirect};

use crate::config::Secret;

/// Whom to ask, with which key.
pub(super) struct Ask {
    pub base: String,
    pub key: Option<Secret>,
    pub ca_file: Option<PathBuf>,
}

pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<Secret>,
}

impl Client {
    pub fn new(ask: &Ask, patience: Duration) -> Result<Self, String> {
        // The first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(patience);
        if let Some(path) = &ask.ca_file {
            let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
            let bundle = Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(&error))?;
            builder = builder.tls_certs_merge(bundle);
        }
        Ok(Self {
            http: builder.build().map_err(|error| error.to_string())?,
            base: ask.base.trim_end_matches('/').to_owned(),
            key: ask.key.clone(),
        })
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key.reveal()),
            None => request,
        }
    }
}

/// The innermost reason, which is the one that helps.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Runs this to its end on a small runtime of its own.
pub(super) fn run<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(work)
}
