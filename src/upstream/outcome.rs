//! What does an answer, or the lack of one, say about the upstream?

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::Value;

use super::edge_class::EdgeClass;
use super::edge_error::{self, EdgeError};
use super::retry_after;

/// One attempt's end, classified from evidence alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A status below 400.
    Answered,
    /// An error whose body or `request-id` shows that the API itself spoke.
    Provider {
        status: u16,
        error: ProviderError,
        retry_after: Option<Duration>,
    },
    /// An error that the edge made.
    Edge(EdgeError),
    /// An error status, and nothing that shows who set it.
    Unproved {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// An answer that began well said that it failed, in an event of its stream.
    ErrorEvent { kind: ProviderError },
    /// An event stream that ended, or broke, without its last event.
    Truncated,
    /// No whole answer came.
    Transport(Phase),
}

/// Kinds of API errors, Anthropic's words first (its "Errors" page), OpenAI's where they say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderError {
    InvalidRequest,
    Authentication,
    /// No credit, no plan (402).
    Billing,
    /// A limit on spending that only time or the owner lifts; it comes as 429 or 400.
    SpendLimit,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    Overloaded,
    Timeout,
    Api,
}

/// How far an attempt had come when the connection failed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No connection came to be: nothing of the request was written.
    Connect,
    /// No connection came to be in time: nobody is there, and waiting as long again would not help.
    ConnectTimedOut,
    /// No address, or no TLS identity that can be trusted: the same way once more would not help.
    Unusable,
    /// HTTP/2 says that it was not worked on: REFUSED_STREAM, or GOAWAY below our stream.
    Unprocessed,
    /// Some of the request was written, or all of it, and the connection broke.
    Written,
    /// It was written, and no answer began in time.
    Silent,
    /// The answer began and broke off, and was no event stream.
    Answering,
}

impl Outcome {
    /// Of an answer's head and the beginning of its body, which may be packed.
    pub fn of_answer(
        status: u16,
        headers: &HeaderMap,
        body_prefix: &[u8],
        now: SystemTime,
    ) -> Self {
        if status < 400 {
            return Self::Answered;
        }
        let text = edge_error::readable(headers, body_prefix);
        if let Some(error) = edge_error::read_text(status, headers, &text, now) {
            return Self::Edge(error);
        }
        let retry_after = retry_after::parse(headers, now);
        let json: Option<Value> = serde_json::from_str(&text).ok();
        if json.is_none() && !headers.contains_key("request-id") {
            return Self::Unproved {
                status,
                retry_after,
            };
        }
        Self::Provider {
            status,
            error: ProviderError::of(status, &json.unwrap_or_default()),
            retry_after,
        }
    }

    pub fn of_transport(phase: Phase) -> Self {
        Self::Transport(phase)
    }

    /// Whether the request may have been billed or written to memory.
    pub fn may_have_been_processed(&self) -> bool {
        match self {
            Self::Answered | Self::ErrorEvent { .. } | Self::Truncated => true,
            Self::Provider { status, .. } | Self::Unproved { status, .. } => {
                *status >= 500 && *status != 529
            }
            Self::Edge(error) => match error.class() {
                EdgeClass::WorkerFailed | EdgeClass::OriginFailed => true,
                EdgeClass::Other => error.status >= 500,
                _ => false,
            },
            Self::Transport(phase) => !matches!(
                phase,
                Phase::Connect | Phase::ConnectTimedOut | Phase::Unusable | Phase::Unprocessed
            ),
        }
    }

    /// The label in metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Provider { error, .. } => error.as_str(),
            Self::Edge(error) => error.class().as_str(),
            Self::Unproved { .. } => "unproved_error",
            Self::ErrorEvent { .. } => "error_event",
            Self::Truncated => "truncated",
            Self::Transport(phase) => phase.as_str(),
        }
    }
}

impl ProviderError {
    /// Of the data of an event that looks like an error, in a stream that began well. `None`: it holds no error.
    pub fn of_event(data: &[u8]) -> Option<Self> {
        let Ok(data) = serde_json::from_slice::<Value>(data) else {
            // Cut off, most likely.
            return Some(Self::Api);
        };
        let error = data.get("error").filter(|error| !error.is_null())?;
        // LiteLLM's code is the status it would have answered with.
        let status = match error.get("code") {
            Some(Value::String(code)) => code.parse().ok(),
            Some(code) => code.as_u64().and_then(|code| code.try_into().ok()),
            None => None,
        };
        Some(Self::of(status.unwrap_or(200), &data))
    }

    fn of(status: u16, body: &Value) -> Self {
        let error = body.get("error").unwrap_or(body);
        let word = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let (kind, code, message) = (word("type"), word("code"), word("message"));
        let detail = error.pointer("/details/error_code").and_then(Value::as_str);
        let spent = [kind, code, detail.unwrap_or_default()]
            .iter()
            .any(|word| matches!(*word, "enforced_spend_limit_reached" | "insufficient_quota"));
        if spent
            || message.contains("enforced_spend_limit_reached")
            || message.contains("API usage limits")
        {
            return Self::SpendLimit;
        }
        match kind {
            "invalid_request_error" if status == 413 => Self::TooLarge,
            "invalid_request_error" if status == 404 => Self::NotFound,
            "invalid_request_error" if status == 401 => Self::Authentication,
            "invalid_request_error" => Self::InvalidRequest,
            "authentication_error" => Self::Authentication,
            "billing_error" => Self::Billing,
            "permission_error" => Self::Permission,
            "not_found_error" => Self::NotFound,
            "request_too_large" => Self::TooLarge,
            "rate_limit_error" => Self::RateLimit,
            "overloaded_error" => Self::Overloaded,
            "timeout_error" => Self::Timeout,
            "api_error" | "server_error" => Self::Api,
            _ => Self::of_status(status),
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            408 | 504 => Self::Timeout,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Api,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "provider_invalid_request",
            Self::Authentication => "provider_authentication",
            Self::Billing => "provider_billing",
            Self::SpendLimit => "provider_spend_limit",
            Self::Permission => "provider_permission",
            Self::NotFound => "provider_not_found",
            Self::TooLarge => "provider_too_large",
            Self::RateLimit => "provider_rate_limit",
            Self::Overloaded => "provider_overloaded",
            Self::Timeout => "provider_timeout",
            Self::Api => "provider_api",
        }
    }
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect_failed",
            Self::ConnectTimedOut => "connect_timeout",
            Self::Unusable => "unusable",
            Self::Unprocessed => "unprocessed",
            Self::Written => "connection_lost",
            Self::Silent => "first_byte_timeout",
            Self::Answering => "answer_lost",
        }
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
