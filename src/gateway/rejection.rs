//! Each reason for which the gateway answers by itself, and how it says so.

use std::time::Duration;

use crate::auth::Refusal;
use crate::body::{DecodeError, ScanError};
use crate::config::ProviderDialect;
use crate::limits;
use crate::translate::Unsupported;
use crate::wire::{Dialect, ErrorKind, Said};

const NOT_EXPOSED: &str = "this path is not open here: the gateway passes LiteLLM's inference paths only; `litellm.expose: all` in its configuration opens the rest";
const HEAD_TOO_LARGE: &str =
    "the head has more fields or bytes than are allowed (`limits.headers`, `limits.head`)";
const EXPECTATION: &str = "the only expectation met is 100-continue";
const UNCOUNTED: &str = "what passes over an upgraded connection is not counted, and this key has a limit of tokens or dollars (`tokens_per_minute`, `usd_per_day`): ask without the upgrade";
const FORM: &str =
    "this key's model must be seen, and a form's is not: send the body as application/json";
const NOT_ALLOWED: &str = "this port leads only to the hosts in `egress.allow`: write the path as /v3/PROVIDER/… for the first of them, or /HOST/v3/PROVIDER/…";

/// Why a request is answered here and goes no further.
#[derive(Debug)]
pub enum Rejection {
    /// The request line or headers are unsound.
    Head(&'static str),
    HeadTooLarge,
    TargetTooLong {
        limit: usize,
    },
    /// The allowed methods.
    Method(&'static str),
    Expectation,
    NotExposed,
    /// The egress port leads only to the hosts that the configuration allows.
    NotAllowed,
    UnknownModel(String),
    Body(ScanError),
    Encoding(DecodeError),
    /// A body that LiteLLM would read as a form, from a caller whose model must be seen.
    Form,
    BodyTooLarge {
        limit: usize,
    },
    /// What the provider would be sent for it.
    TranslationTooLarge {
        limit: usize,
    },
    BodyTooSlow,
    BodiesFull,
    Caller(Refusal),
    /// A limit of the caller's key is reached.
    Limit(limits::Refusal),
    /// A connection is to be upgraded for a key with a limit that goes by what answers say.
    Uncounted,
    NoMemoryUser,
    /// `x-memgate-memory` cannot be obeyed, and why.
    MemorySwitch(&'static str),
    /// What cannot be said to the model in its provider's dialect.
    Parameter(Unsupported),
    /// A direct model, by its public name, that has no such endpoint in this dialect.
    Endpoint {
        model: String,
        speaks: ProviderDialect,
    },
    Upstream(Failure),
    /// The lane to the upstream takes no more for now.
    Lane {
        retry_after: Duration,
        /// The request was certainly not processed.
        certain: bool,
    },
}

/// How an upstream failed us, before anything of its answer went to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Unresolved,
    Connect,
    Tls,
    /// The connection broke after the request, or a part of it, was written.
    Broken,
    /// HTTP/2 says that it did not look at the request, as often as we tried.
    Unprocessed,
    /// It answered what HTTP does not allow.
    Invalid,
    /// Its answer could not be told in the other dialect.
    Unreadable,
    FirstByteTimeout,
    LiteLlmDown,
    /// The gateway itself stops before the upstream has answered.
    Stopping {
        /// The upstream may have the request.
        sent: bool,
    },
    Internal,
}

/// An answer of our own, in terms that both dialects have words for.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub kind: ErrorKind,
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people; holds nothing secret and no internal address.
    pub message: String,
    pub retry_after: Option<Duration>,
    /// `x-should-retry`: `false` where sending again could bill or write twice, `true` where nothing was processed.
    pub should_retry: Option<bool>,
    pub allow: Option<&'static str>,
    /// The parameter at fault.
    pub param: Option<String>,
}

impl Answer {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: ErrorKind::of_status(status),
            code,
            message: message.into(),
            retry_after: None,
            should_retry: None,
            allow: None,
            param: None,
        }
    }

    pub fn said(&self) -> Said<'_> {
        Said {
            kind: self.kind,
            code: self.code,
            message: &self.message,
            param: self.param.as_deref(),
        }
    }

    fn only(allow: &'static str) -> Self {
        let mut answer = Self::new(
            405,
            "method_not_allowed",
            format!("this path takes {allow}"),
        );
        answer.allow = Some(allow);
        answer
    }

    fn overloaded(dialect: Dialect, retry_after: Duration, certain: bool) -> Self {
        let message = if certain {
            "the upstream takes no more requests for now; this one was not processed"
        } else {
            "the upstream takes no more requests for now; this one may have reached the memory router"
        };
        let mut answer = Self::new(dialect.overloaded(), "upstream_overloaded", message);
        answer.retry_after = Some(retry_after);
        answer.should_retry = Some(certain);
        answer
    }

    /// SDKs wait up to a minute by themselves.
    fn limited(refusal: &limits::Refusal) -> Self {
        const PATIENCE: Duration = Duration::from_secs(60);
        let mut answer = Self::new(429, refusal.limit.as_str(), refusal.limit.to_string());
        answer.retry_after = Some(refusal.retry_after);
        answer.should_retry = Some(refusal.retry_after <= PATIENCE);
        answer
    }

    fn refused(refusal: Refusal) -> Self {
        let answer = Self::new(refusal.status(), refusal.code(), refusal.to_string());
        match refusal {
            // Whether the key is good is not known, and soon asked again.
            Refusal::CannotAsk => answer.again_after(1),
            Refusal::TooManyFailures { retry_after } => answer.after(retry_after),
            _ => answer,
        }
    }

    fn unroutable(error: &ScanError) -> Self {
        let mut answer = Self::new(400, "bad_body", error.to_string());
        answer.param = error.param().map(str::to_owned);
        answer
    }

    fn target_too_long(limit: usize) -> Self {
        let message =
            format!("the request target is longer than the {limit} bytes allowed (`limits.uri`)");
        Self::new(414, "target_too_long", message)
    }

    fn too_large(what: &str, limit: usize) -> Self {
        let message = format!("{what} is larger than the {limit} bytes allowed (`limits.body`)");
        Self::new(413, "body_too_large", message)
    }

    fn unsupported(what: &Unsupported) -> Self {
        let mut answer = Self::new(400, "unsupported_parameter", &*what.message);
        answer.param.clone_from(&what.param);
        answer
    }

    fn no_endpoint(model: &str, speaks: ProviderDialect) -> Self {
        let takes = match speaks {
            ProviderDialect::Anthropic => {
                "/v1/chat/completions, /v1/messages and /v1/messages/count_tokens"
            }
            ProviderDialect::OpenAi => "/v1/chat/completions",
        };
        let message = format!("the model {model:?} is not served on this path, use {takes}");
        let mut answer = Self::new(400, "unsupported_endpoint", message);
        answer.param = Some("model".to_owned());
        answer
    }

    fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    fn again_after(mut self, seconds: u64) -> Self {
        self.should_retry = Some(true);
        self.after(Duration::from_secs(seconds))
    }

    fn never_again(mut self) -> Self {
        self.should_retry = Some(false);
        self
    }
}

impl Rejection {
    /// Of a client that says such a thing nobody knows where its next request would begin.
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::Head(_) | Self::HeadTooLarge | Self::TargetTooLong { .. }
        )
    }

    pub fn answer(&self, dialect: Dialect) -> Answer {
        match self {
            Self::Head(reason) => Answer::new(400, "bad_request", *reason),
            Self::HeadTooLarge => Answer::new(431, "head_too_large", HEAD_TOO_LARGE),
            Self::TargetTooLong { limit } => Answer::target_too_long(*limit),
            Self::Method(allow) => Answer::only(allow),
            Self::Expectation => Answer::new(417, "expectation_failed", EXPECTATION),
            Self::NotExposed => Answer::new(404, "not_exposed", NOT_EXPOSED),
            Self::NotAllowed => Answer::new(403, "egress_not_allowed", NOT_ALLOWED),
            Self::UnknownModel(id) => Answer::new(
                404,
                "model_not_found",
                format!("there is no model {id:?} here"),
            ),
            Self::Body(error) => Answer::unroutable(error),
            Self::Encoding(error) => Answer::new(error.status(), "bad_encoding", error.to_string()),
            Self::Form => Answer::new(415, "form_body", FORM),
            Self::BodyTooLarge { limit } => Answer::too_large("the body", *limit),
            Self::TranslationTooLarge { limit } => {
                Answer::too_large("the body, translated for its model,", *limit)
            }
            Self::BodyTooSlow => Answer::new(
                408,
                "body_too_slow",
                "the body came too slowly (`limits.body_timeout`)",
            ),
            Self::BodiesFull => Answer::new(
                503,
                "bodies_in_flight",
                "the gateway holds as many request bodies as it may (`limits.bodies_in_flight`)",
            )
            .again_after(1),
            Self::Caller(refusal) => Answer::refused(*refusal),
            Self::Limit(refusal) => Answer::limited(refusal),
            Self::Uncounted => Answer::new(403, "upgrade_not_counted", UNCOUNTED),
            Self::NoMemoryUser => Answer::new(
                400,
                "no_memory_user",
                "no memory user for this request: send the header that `user_id_mappings` names, or set `default_user_id` there",
            ),
            Self::MemorySwitch(reason) => Answer::new(400, "memory_switch", *reason),
            Self::Parameter(unsupported) => Answer::unsupported(unsupported),
            Self::Endpoint { model, speaks } => Answer::no_endpoint(model, *speaks),
            Self::Upstream(failure) => failure.answer(),
            Self::Lane {
                retry_after,
                certain,
            } => Answer::overloaded(dialect, *retry_after, *certain),
        }
    }
}

impl Failure {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Broken => "broken",
            Self::Unprocessed => "unprocessed",
            Self::Invalid => "invalid_answer",
            Self::Unreadable => "unreadable_answer",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::LiteLlmDown => "litellm_down",
            Self::Stopping { .. } => "stopping",
            Self::Internal => "internal",
        }
    }

    fn answer(self) -> Answer {
        match self {
            Self::Unresolved => {
                Answer::new(502, "upstream_unresolved", "the upstream's name could not be resolved yet").again_after(5)
            }
            Self::Connect => Answer::new(502, "upstream_connect", "no connection to the upstream could be made").again_after(1),
            Self::Tls => Answer::new(502, "upstream_tls", "the upstream's TLS identity could not be verified").again_after(1),
            Self::Unprocessed => Answer::new(
                502,
                "upstream_unprocessed",
                "the upstream turned the request away without looking at it",
            )
            .again_after(1),
            Self::Broken => Answer::new(
                502,
                "upstream_broken",
                "the upstream broke off before it answered; the request may have been processed",
            )
            .never_again(),
            Self::Invalid => Answer::new(502, "upstream_invalid", "the upstream's answer is not valid HTTP").never_again(),
            Self::Unreadable => Answer::new(
                502,
                "upstream_unreadable",
                "the upstream's answer could not be translated; the request was processed",
            )
            .never_again(),
            Self::FirstByteTimeout => Answer::new(
                504,
                "upstream_timeout",
                "the upstream did not answer in time (`limits.first_byte_timeout`); the request may have been processed",
            )
            .never_again(),
            Self::LiteLlmDown => Answer::new(502, "litellm_unreachable", "LiteLLM cannot be reached").again_after(1),
            Self::Stopping { sent: false } => Answer::new(503, "stopping", "the gateway is stopping; this request was not processed").again_after(1),
            Self::Stopping { sent: true } => {
                Answer::new(503, "stopping", "the gateway is stopping; the request may have been processed").never_again()
            }
            Self::Internal => Answer::new(500, "internal", "the gateway failed on this request"),
        }
    }
}
