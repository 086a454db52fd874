//! What does a tracing system get to know of a request? One span, in OpenTelemetry's words for HTTP and for generative
//! models; nothing of what was said.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::record::{AccessRecord, Tokens};
use super::trace_context::TraceContext;

/// A finished request, ready to be sent away.
pub(super) fn span_of(record: &AccessRecord<'_>, context: TraceContext) -> SpanData {
    let (asked, answer) = (&record.asked, &record.answer);
    let operation = operation(asked.path).filter(|_| asked.model.is_some());
    let failed = answer.status >= 500 || matches!(answer.outcome, "failed" | "broken");
    let started = record.time.checked_sub(record.spent.total);
    SpanData {
        span_context: SpanContext::new(
            context.trace.into(),
            context.span.into(),
            TraceFlags::new(context.flags()),
            false,
            TraceState::NONE,
        ),
        parent_span_id: context.parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: context.parent.is_some(),
        span_kind: SpanKind::Server,
        name: match (operation, asked.model) {
            (Some(operation), Some(model)) => format!("{operation} {model}").into(),
            _ => asked.method.to_owned().into(),
        },
        start_time: started.unwrap_or(record.time),
        end_time: record.time,
        attributes: Attributes::of(record, operation, failed).0,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if failed {
            Status::error("")
        } else {
            Status::Unset
        },
        instrumentation_scope: InstrumentationScope::builder("memgate")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn of(record: &AccessRecord<'_>, operation: Option<&'static str>, failed: bool) -> Self {
        let mut told = Self(Vec::with_capacity(32));
        told.tell_http(record, failed);
        if let Some(operation) = operation {
            told.put("gen_ai.operation.name", operation);
            told.tell_model(record);
        }
        told.tell_gateway(record);
        told
    }

    fn tell_http(&mut self, record: &AccessRecord<'_>, failed: bool) {
        let (asked, answer) = (&record.asked, &record.answer);
        self.text("http.request.method", Some(asked.method));
        self.text("url.path", Some(asked.path));
        self.put("network.protocol.name", "http");
        let version = asked.protocol.rsplit('/').next();
        self.text("network.protocol.version", version);
        self.put("http.response.status_code", i64::from(answer.status));
        if answer.status >= 400 || failed {
            let status = answer.status.to_string();
            self.text("error.type", Some(answer.reason.unwrap_or(&status)));
        }
    }

    fn tell_model(&mut self, record: &AccessRecord<'_>) {
        let upstream = record.upstream.upstream;
        self.text("gen_ai.request.model", record.asked.model);
        if record.asked.stream {
            self.put("gen_ai.request.stream", true);
        }
        self.text("gen_ai.provider.name", upstream.map(provider));
        let called = upstream.and_then(|lane| lane.split(' ').next());
        self.text("server.address", called);
        if let Some(tokens) = &record.spent.tokens {
            self.tell_tokens(tokens);
        }
    }

    /// The conventions count what a cache gave or took within the input.
    fn tell_tokens(&mut self, tokens: &Tokens) {
        let cached = tokens.cache_read.saturating_add(tokens.cache_write);
        let input = tokens.input.saturating_add(cached);
        for (name, tokens) in [
            ("gen_ai.usage.input_tokens", input),
            ("gen_ai.usage.output_tokens", tokens.output),
            ("gen_ai.usage.cache_read.input_tokens", tokens.cache_read),
            ("gen_ai.usage.cache_write.input_tokens", tokens.cache_write),
        ] {
            self.put(name, i64::try_from(tokens).unwrap_or(i64::MAX));
        }
    }

    fn tell_gateway(&mut self, record: &AccessRecord<'_>) {
        let (person, answer, spent) = (&record.person, &record.answer, &record.spent);
        self.text("user.id", person.user);
        self.text("memgate.caller", person.caller);
        self.text("memgate.memory", person.memory);
        self.text("memgate.request_id", Some(record.id));
        self.put("memgate.route", answer.route.as_str());
        self.put("memgate.outcome", answer.outcome);
        self.text("memgate.reason", answer.reason);
        self.text("memgate.lane", record.upstream.upstream);
        self.text("memgate.bypassed", record.upstream.bypassed);
        self.put("memgate.attempts", i64::from(record.upstream.attempts));
        for (name, time) in [
            ("memgate.queue_seconds", spent.queue_wait),
            ("memgate.connect_seconds", spent.connect),
            ("memgate.first_byte_seconds", spent.first_byte),
            ("memgate.overhead_seconds", spent.overhead),
        ] {
            if let Some(time) = time {
                self.put(name, time.as_secs_f64());
            }
        }
    }

    fn text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.put(name, text.to_owned());
        }
    }

    fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(name, value));
    }
}

/// By the conventions' names; `None`: no model does it.
fn operation(path: &str) -> Option<&'static str> {
    const BY_END: [(&str, &str); 5] = [
        ("/messages", "chat"),
        ("/chat/completions", "chat"),
        ("/responses", "chat"),
        ("/embeddings", "embeddings"),
        ("/completions", "text_completion"),
    ];
    let known = BY_END.iter().find(|(end, _)| path.ends_with(end));
    known.map(|(_, operation)| *operation)
}

/// The provider at the end of a lane, by the conventions' name where they have one.
fn provider(lane: &str) -> &str {
    const BY_DOMAIN: [(&str, &str); 14] = [
        ("anthropic.com", "anthropic"),
        ("openai.azure.com", "azure.ai.openai"),
        ("openai.com", "openai"),
        ("amazonaws.com", "aws.bedrock"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("googleapis.com", "gcp.gen_ai"),
        ("cohere.com", "cohere"),
        ("cohere.ai", "cohere"),
        ("moonshot.ai", "moonshot_ai"),
        ("mistral.ai", "mistral_ai"),
        ("deepseek.com", "deepseek"),
        ("groq.com", "groq"),
        ("perplexity.ai", "perplexity"),
        ("x.ai", "x_ai"),
    ];
    let host = lane.rsplit(' ').next().unwrap_or(lane);
    let known = BY_DOMAIN.iter().find(|(domain, _)| {
        let front = host.strip_suffix(domain);
        front.is_some_and(|front| front.is_empty() || front.ends_with('.'))
    });
    known.map_or(host, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::record::tests::record;
    use super::*;

    fn told<'s>(span: &'s SpanData, name: &str) -> Option<&'s Value> {
        let mut found = span
            .attributes
            .iter()
            .filter(|one| one.key.as_str() == name);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "{name} twice");
        first.map(|found| &found.value)
    }

    #[test]
    fn a_span_stands_below_its_callers_and_lasts_as_long_as_the_request() {
        let span = span_of(&record(), TraceContext::example());

        let context = &span.span_context;
        assert_eq!(
            context.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        assert!(span.parent_span_is_remote && context.is_sampled());
        assert_eq!(span.span_kind, SpanKind::Server);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_677_610_602);
        assert_eq!(span.end_time, end);
        assert_eq!(span.start_time, end - Duration::from_micros(12_345));
        assert_eq!(span.status, Status::Unset);
    }

    #[test]
    fn a_trace_that_begins_here_has_no_parent() {
        let span = span_of(&record(), TraceContext::new(true));

        assert_eq!(span.parent_span_id, SpanId::INVALID);
        assert!(!span.parent_span_is_remote);
    }

    #[test]
    fn a_turn_with_a_model_is_told_in_the_conventions_words() {
        let mut record = record();
        record.asked.model = Some("claude");
        record.upstream.upstream = Some("api.supermemory.ai → api.anthropic.com");

        let span = span_of(&record, TraceContext::example());

        assert_eq!(span.name, "chat claude");
        for (name, value) in [
            ("gen_ai.operation.name", Value::from("chat")),
            ("gen_ai.request.model", "claude".into()),
            ("gen_ai.request.stream", true.into()),
            ("gen_ai.provider.name", "anthropic".into()),
            ("server.address", "api.supermemory.ai".into()),
            ("gen_ai.usage.input_tokens", 24.into()),
            ("gen_ai.usage.output_tokens", 9.into()),
            ("gen_ai.usage.cache_read.input_tokens", 20.into()),
            ("gen_ai.usage.cache_write.input_tokens", 1.into()),
            ("http.response.status_code", 200.into()),
            ("network.protocol.version", "2".into()),
            ("user.id", "team".into()),
            ("memgate.attempts", 2.into()),
            ("memgate.queue_seconds", 0.25.into()),
        ] {
            assert_eq!(told(&span, name), Some(&value), "{name}");
        }
        assert_eq!(told(&span, "error.type"), None);
    }

    #[test]
    fn what_failed_says_so_and_what_was_the_clients_fault_is_no_failure_of_ours() {
        for (status, outcome, reason, kind, failed) in [
            (
                502,
                "failed",
                Some("upstream_tls"),
                Some("upstream_tls"),
                true,
            ),
            (200, "broken", Some("truncated"), Some("truncated"), true),
            (400, "refused", None, Some("400"), false),
            (200, "client_left", None, None, false),
        ] {
            let mut record = record();
            record.answer.status = status;
            record.answer.outcome = outcome;
            record.answer.reason = reason;

            let span = span_of(&record, TraceContext::example());

            let shown = matches!(span.status, Status::Error { .. });
            assert_eq!(shown, failed, "{status} {outcome}");
            assert_eq!(
                told(&span, "error.type"),
                kind.map(Value::from).as_ref(),
                "{status} {outcome}"
            );
        }
    }

    #[test]
    fn what_asks_no_model_is_plain_http() {
        let mut record = record();
        record.asked.path = "/health";
        record.asked.model = None;

        let span = span_of(&record, TraceContext::example());

        assert_eq!(span.name, "POST");
        let model = span
            .attributes
            .iter()
            .find(|told| told.key.as_str().starts_with("gen_ai"));
        assert_eq!(model, None);
    }

    #[test]
    fn a_provider_is_known_by_its_domain_else_by_its_host() {
        for (lane, name) in [
            ("api.supermemory.ai → api.anthropic.com", "anthropic"),
            ("api.anthropic.com", "anthropic"),
            ("api.supermemory.ai → api.groq.com", "groq"),
            ("europe-west1-aiplatform.googleapis.com", "gcp.gen_ai"),
            ("generativelanguage.googleapis.com", "gcp.gemini"),
            ("team.openai.azure.com", "azure.ai.openai"),
            ("api.supermemory.ai → notgroq.com", "notgroq.com"),
            ("litellm", "litellm"),
        ] {
            assert_eq!(provider(lane), name, "{lane}");
        }
    }
}
