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

    fn anthropic(self) -> &'static str {
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

    fn openai(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::NotFound | Self::TooLarge => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimited => "rate_limit_error",
            Self::Api | Self::Timeout | Self::Overloaded => "server_error",
        }
    }
}

/// The body of an error answer. `code` is a stable word for programs, `message` a sentence for people.
pub fn error_body(
    dialect: Dialect,
    kind: ErrorKind,
    code: &str,
    message: &str,
    request_id: &str,
) -> Bytes {
    let value = match dialect {
        Dialect::Anthropic => json!({
            "type": "error",
            "error": {"type": kind.anthropic(), "message": message},
            "request_id": request_id,
        }),
        Dialect::OpenAi => json!({
            "error": {"message": message, "type": kind.openai(), "param": null, "code": code},
        }),
    };
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_gets_its_own_shape() {
        let anthropic = error_body(
            Dialect::Anthropic,
            ErrorKind::NotFound,
            "no_route",
            "no such path",
            "r1",
        );
        let openai = error_body(
            Dialect::OpenAi,
            ErrorKind::NotFound,
            "no_route",
            "no such path",
            "r1",
        );

        let anthropic: serde_json::Value = serde_json::from_slice(&anthropic).unwrap();
        let openai: serde_json::Value = serde_json::from_slice(&openai).unwrap();
        assert_eq!(anthropic["error"]["type"], "not_found_error");
        assert_eq!(anthropic["request_id"], "r1");
        assert_eq!(openai["error"]["code"], "no_route");
        assert_eq!(openai["error"]["param"], serde_json::Value::Null);
    }
}
