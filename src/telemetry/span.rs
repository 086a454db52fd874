//! What does a tracing system get to know of a request? One span, in OpenTelemetry's words for HTTP and for generative
//! models; nothing of what was said.

use std::time::SystemTime;

use super::record::{AccessRecord, Tokens};
use super::trace_context::TraceContext;

/// A finished request, ready to be sent away.
pub(super) struct Span {
    pub context: TraceContext,
    pub name: String,
    pub start: SystemTime,
    pub end: SystemTime,
    pub attributes: Vec<(&'static str, Value)>,
    pub failed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Fraction(f64),
    Flag(bool),
}

impl Span {
    pub fn of(record: &AccessRecord<'_>, context: TraceContext) -> Self {
        let (asked, answer) = (&record.asked, &record.answer);
        let operation = operation(asked.path).filter(|_| asked.model.is_some());
        let mut span = Self {
            context,
            name: match (operation, asked.model) {
                (Some(operation), Some(model)) => format!("{operation} {model}"),
                _ => asked.method.to_owned(),
            },
            start: record
                .time
                .checked_sub(record.spent.total)
                .unwrap_or(record.time),
            end: record.time,
            attributes: Vec::with_capacity(32),
            failed: answer.status >= 500 || matches!(answer.outcome, "failed" | "broken"),
        };
        span.tell_http(record);
        if let Some(operation) = operation {
            span.text("gen_ai.operation.name", operation);
            span.tell_model(record);
        }
        span.tell_gateway(record);
        span
    }

    fn tell_http(&mut self, record: &AccessRecord<'_>) {
        let (asked, answer) = (&record.asked, &record.answer);
        self.text("http.request.method", asked.method);
        self.text("url.path", asked.path);
        self.text("network.protocol.name", "http");
        let version = asked.protocol.rsplit('/').next();
        self.some_text("network.protocol.version", version);
        self.number("http.response.status_code", answer.status.into());
        if answer.status >= 400 || self.failed {
            let status = answer.status.to_string();
            self.text("error.type", answer.reason.unwrap_or(&status));
        }
    }

    fn tell_model(&mut self, record: &AccessRecord<'_>) {
        let upstream = record.upstream.upstream;
        self.some_text("gen_ai.request.model", record.asked.model);
        self.some_text("gen_ai.provider.name", upstream.map(provider));
        let called = upstream.and_then(|lane| lane.split(' ').next());
        self.some_text("server.address", called);
        if let Some(tokens) = &record.spent.tokens {
            self.tell_tokens(tokens);
        }
    }

    /// The conventions count what a cache gave or took within the input.
    fn tell_tokens(&mut self, tokens: &Tokens) {
        let cached = tokens.cache_read.saturating_add(tokens.cache_write);
        for (name, tokens) in [
            (
                "gen_ai.usage.input_tokens",
                tokens.input.saturating_add(cached),
            ),
            ("gen_ai.usage.output_tokens", tokens.output),
            ("gen_ai.usage.cache_read.input_tokens", tokens.cache_read),
            (
                "gen_ai.usage.cache_creation.input_tokens",
                tokens.cache_write,
            ),
        ] {
            self.number(name, i64::try_from(tokens).unwrap_or(i64::MAX));
        }
    }

    fn tell_gateway(&mut self, record: &AccessRecord<'_>) {
        let (person, answer, spent) = (&record.person, &record.answer, &record.spent);
        self.some_text("user.id", person.user);
        self.some_text("memgate.caller", person.caller);
        self.some_text("memgate.memory", person.memory);
        self.text("memgate.request_id", record.id);
        self.text("memgate.route", answer.route.as_str());
        self.text("memgate.outcome", answer.outcome);
        self.some_text("memgate.reason", answer.reason);
        self.some_text("memgate.lane", record.upstream.upstream);
        self.some_text("memgate.bypassed", record.upstream.bypassed);
        self.number("memgate.attempts", record.upstream.attempts.into());
        self.attributes
            .push(("memgate.stream", Value::Flag(record.asked.stream)));
        for (name, time) in [
            ("memgate.queue_seconds", spent.queue_wait),
            ("memgate.connect_seconds", spent.connect),
            ("memgate.first_byte_seconds", spent.first_byte),
            ("memgate.overhead_seconds", spent.overhead),
        ] {
            let seconds = time.map(|time| (name, Value::Fraction(time.as_secs_f64())));
            self.attributes.extend(seconds);
        }
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.attributes.push((name, Value::Text(text.to_owned())));
    }

    fn some_text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn number(&mut self, name: &'static str, number: i64) {
        self.attributes.push((name, Value::Number(number)));
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
    const BY_DOMAIN: [(&str, &str); 8] = [
        ("anthropic.com", "anthropic"),
        ("openai.com", "openai"),
        ("googleapis.com", "gcp.gemini"),
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
    use std::time::Duration;

    use super::super::record::tests::record;
    use super::*;

    fn told<'s>(span: &'s Span, name: &str) -> Option<&'s Value> {
        let mut found = span.attributes.iter().filter(|(told, _)| *told == name);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "{name} twice");
        first.map(|(_, value)| value)
    }

    #[test]
    fn a_turn_with_a_model_is_told_in_the_conventions_words() {
        let mut record = record();
        record.asked.model = Some("claude");
        record.upstream.upstream = Some("api.supermemory.ai → api.anthropic.com");

        let span = Span::of(&record, TraceContext::example());

        assert_eq!(span.name, "chat claude");
        assert_eq!(span.end - Duration::from_micros(12_345), span.start);
        let text = |text: &str| Value::Text(text.to_owned());
        for (name, value) in [
            ("gen_ai.operation.name", text("chat")),
            ("gen_ai.request.model", text("claude")),
            ("gen_ai.provider.name", text("anthropic")),
            ("server.address", text("api.supermemory.ai")),
            ("gen_ai.usage.input_tokens", Value::Number(24)),
            ("gen_ai.usage.output_tokens", Value::Number(9)),
            ("gen_ai.usage.cache_read.input_tokens", Value::Number(20)),
            ("gen_ai.usage.cache_creation.input_tokens", Value::Number(1)),
            ("http.response.status_code", Value::Number(200)),
            ("network.protocol.version", text("2")),
            ("user.id", text("team")),
            ("memgate.attempts", Value::Number(2)),
            ("memgate.queue_seconds", Value::Fraction(0.25)),
            ("memgate.stream", Value::Flag(true)),
        ] {
            assert_eq!(told(&span, name), Some(&value), "{name}");
        }
        assert_eq!(told(&span, "error.type"), None);
        assert!(!span.failed);
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

            let span = Span::of(&record, TraceContext::example());

            assert_eq!(span.failed, failed, "{status} {outcome}");
            let kind = kind.map(|kind| Value::Text(kind.to_owned()));
            assert_eq!(
                told(&span, "error.type"),
                kind.as_ref(),
                "{status} {outcome}"
            );
        }
    }

    #[test]
    fn what_asks_no_model_is_plain_http() {
        let mut record = record();
        record.asked.path = "/health";
        record.asked.model = None;

        let span = Span::of(&record, TraceContext::example());

        assert_eq!(span.name, "POST");
        let model = span
            .attributes
            .iter()
            .find(|(name, _)| name.starts_with("gen_ai"));
        assert_eq!(model, None);
    }

    #[test]
    fn a_provider_is_known_by_its_domain_else_by_its_host() {
        for (lane, name) in [
            ("api.supermemory.ai → api.anthropic.com", "anthropic"),
            ("api.anthropic.com", "anthropic"),
            ("api.supermemory.ai → api.groq.com", "groq"),
            ("api.supermemory.ai → notgroq.com", "notgroq.com"),
            ("litellm", "litellm"),
        ] {
            assert_eq!(provider(lane), name, "{lane}");
        }
    }
}
