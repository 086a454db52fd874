//! How does a collector take spans? As OTLP over HTTP, in protobuf.
//!
//! OpenTelemetry's own exporter encodes and posts them, and tries again where that may help. Its batch processor is not used:
//! how many spans it dropped it tells at its end alone, and it panics where there is no thread to be had.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use reqwest::{Client, redirect};

use crate::config::Otlp;

const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);

/// An exporter that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("client for the collector: {0}")]
    Client(#[from] reqwest::Error),
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

pub(super) struct Exporter(SpanExporter);

impl Exporter {
    pub fn new(otlp: &Otlp) -> Result<Self, Unusable> {
        // The client takes the process's provider; an error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            // The exporter's own headers would forget that they are secrets.
            .default_headers(otlp.headers.iter().cloned().collect())
            .build()?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(otlp.url.to_string())
            .with_timeout(ANSWER)
            .build()?;
        exporter.set_resource(&whose());
        Ok(Self(exporter))
    }

    pub async fn send(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(spans).await
    }
}

/// This gateway, and what `OTEL_RESOURCE_ATTRIBUTES` says of it.
fn whose() -> Resource {
    Resource::builder()
        .with_service_name("memgate")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}
