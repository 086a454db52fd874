//! How each dialect says an error: the JSON bodies of answers the gateway makes itself.
//!
//! Sources: Anthropic API "Errors" page (`{"type":"error","error":{"type","message"},"request_id"}`),
//! OpenAI API reference (`{"error":{"message","type","param","code"}}`).

use bytes::Bytes;
use serde_json::json;

use super::Dialect;

/// What kind of error it is, in terms both dialects have a word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    InvalidRequest,
    Authentication,
    Permission,
    NotFound,
    TooLarge,
    RateLimited,
    /// The gateway or the upstream failed.
    Api,
    Timeout,
    Overloaded,
}

impl ErrorKind {
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            403 => Self::Permission,
            404 => Self::NotFound,
            413 => Self::TooLarge,
            429 => Self::RateLimited,
            408 | 504 => Self::Timeout,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Api,
        }
    }

    /// Both dialects' word: OpenAI's clients go by the status, and see the provider's own words here too.
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimited => "rate_limit_error",
            Self::Api => "api_error",
            Self::Timeout => "timeout_error",
            Self::Overloaded => "overloaded_error",
        }
    }
}

/// An error as a client is told it.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub kind: ErrorKind,
    /// A stable word for programs.
    pub code: &'a str,
    /// A sentence for people.
    pub message: &'a str,
    /// The parameter at fault, where it is one; Anthropic's dialect has no place for it.
    pub param: Option<&'a str>,
}

/// The body of an error answer.
pub fn error_body(dialect: Dialect, said: &Said<'_>, request_id: &str) -> Bytes {
    let (kind, message) = (said.kind.as_str(), said.message);
    let value = match dialect {
        Dialect::Anthropic => json!({
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": request_id,
        }),
        Dialect::OpenAi => json!({
            "error": {"message": message, "type": kind, "param": said.param, "code": said.code},
        }),
    };
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_gets_its_own_shape() {
        let said = Said {
            kind: ErrorKind::NotFound,
            code: "no_route",
            message: "no such path",
            param: Some("model"),
        };
        let anthropic = error_body(Dialect::Anthropic, &said, "r1");
        let openai = error_body(Dialect::OpenAi, &said, "r1");

        let anthropic: serde_json::Value = serde_json::from_slice(&anthropic).unwrap();
        let openai: serde_json::Value = serde_json::from_slice(&openai).unwrap();
        assert_eq!(anthropic["error"]["type"], "not_found_error");
        assert_eq!(anthropic["request_id"], "r1");
        assert_eq!(openai["error"]["code"], "no_route");
        assert_eq!(openai["error"]["type"], "not_found_error");
        assert_eq!(openai["error"]["param"], "model");
    }
}
