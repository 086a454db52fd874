//! How does a collector take spans? As OTLP over HTTP, in its JSON encoding.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, redirect};
use serde_json::{Value as Json, json};

use super::span::{Span, Value};
use crate::config::Otlp;

const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);
/// OTLP's numbers for a span at a server, and for one that failed.
const SERVER: u8 = 2;
const FAILED: u8 = 2;

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("client for the collector: {0}")]
pub struct Unusable(#[from] reqwest::Error);

/// Why a collector has not taken spans.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("answers {0}")]
    Refused(StatusCode),
    #[error("cannot be reached")]
    Unreachable,
}

pub(super) struct Exporter {
    client: Client,
    url: String,
    headers: HeaderMap,
}

impl Exporter {
    pub fn new(otlp: &Otlp) -> Result<Self, Unusable> {
        // The client takes the process's provider; an error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()?;
        let mut headers: HeaderMap = otlp.headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self {
            client,
            url: otlp.url.to_string(),
            headers,
        })
    }

    pub async fn send(&self, spans: &[Span]) -> Result<(), Failure> {
        let request = self.client.post(&self.url).headers(self.headers.clone());
        let answer = request.body(request_body(spans).to_string()).send().await;
        let status = answer.map_err(|_where| Failure::Unreachable)?.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(Failure::Refused(status)),
        }
    }
}

/// An `ExportTraceServiceRequest`.
fn request_body(spans: &[Span]) -> Json {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [("service.name", "memgate"), ("service.version", version)];
    let resource = resource.map(|(name, text)| attribute(name, &Value::Text(text.to_owned())));
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{
            "scope": {"name": "memgate", "version": version},
            "spans": spans.iter().map(told).collect::<Vec<_>>(),
        }],
    }]})
}

fn told(span: &Span) -> Json {
    let context = &span.context;
    let attributes = span.attributes.iter();
    let mut told = json!({
        "traceId": context.trace.to_string(),
        "spanId": format!("{:016x}", context.span),
        "flags": context.flags(),
        "name": span.name,
        "kind": SERVER,
        "startTimeUnixNano": nanoseconds(span.start),
        "endTimeUnixNano": nanoseconds(span.end),
        "attributes": attributes.map(|(name, value)| attribute(name, value)).collect::<Vec<_>>(),
        "status": if span.failed { json!({"code": FAILED}) } else { json!({}) },
    });
    if let Some(parent) = context.parent {
        told["parentSpanId"] = format!("{parent:016x}").into();
    }
    told
}

/// 64-bit numbers are strings there.
fn attribute(name: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Fraction(number) => json!({"doubleValue": number}),
        Value::Flag(flag) => json!({"boolValue": flag}),
    };
    json!({"key": name, "value": value})
}

fn nanoseconds(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::super::trace_context::TraceContext;
    use super::*;

    fn example() -> Span {
        Span::of(&record(), TraceContext::example())
    }

    #[test]
    fn spans_are_encoded_as_the_protocol_has_it() {
        let body = request_body(&[example()]);

        let resource = &body["resourceSpans"][0];
        let service = json!({"key": "service.name", "value": {"stringValue": "memgate"}});
        assert_eq!(resource["resource"]["attributes"][0], service);
        let span = &resource["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
        assert_eq!(span["spanId"].as_str().map(str::len), Some(16));
        assert_eq!(span["kind"], 2);
        assert_eq!(span["endTimeUnixNano"], "1677610602000000000");
        assert_eq!(span["startTimeUnixNano"], "1677610601987655000");
        assert_eq!(span["status"], json!({}));
        let attributes = span["attributes"].as_array().unwrap();
        let tokens = json!({"key": "gen_ai.usage.output_tokens", "value": {"intValue": "9"}});
        assert!(attributes.contains(&tokens), "{attributes:#?}");
        let stream = json!({"key": "memgate.stream", "value": {"boolValue": true}});
        assert!(attributes.contains(&stream), "{attributes:#?}");
    }

    #[test]
    fn a_failure_is_said_and_a_trace_that_begins_here_has_no_parent() {
        let mut span = example();
        span.failed = true;
        span.context.parent = None;

        let told = told(&span);

        assert_eq!(told["status"], json!({"code": 2}));
        assert!(told.get("parentSpanId").is_none());
    }
}
