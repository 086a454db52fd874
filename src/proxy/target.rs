//! What does a request ask for? Decided from its head alone, and refused here when the head is unsound.

use http::{HeaderMap, Method, header};
use pingora_http::RequestHeader;

use crate::gateway::Rejection;

/// What a path of the data port stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Messages,
    CountTokens,
    ChatCompletions,
    /// Inference that only LiteLLM serves; the model is in the body.
    LiteLlmOnly,
    Models,
    /// The id as it stands in the path.
    Model(String),
    Health,
    MemoryRouting,
    /// `HEAD /`: is anybody there?
    Probe,
    /// `OPTIONS *`: what does the server take, whatever the path?
    Server,
    /// LiteLLM's, untouched. The model that the path itself names, if any.
    LiteLlm {
        model: Option<String>,
    },
}

impl Target {
    /// Reads the request line and the headers that frame and address a request.
    pub(crate) fn of(head: &RequestHeader) -> Result<Self, Rejection> {
        inspect(head)?;
        let target = Self::of_path(&head.method, head.uri.path());
        match (&target, target.method()) {
            (_, None) => Ok(target),
            (_, Some(allowed)) if allowed == head.method => Ok(target),
            (Self::Health | Self::Models | Self::Model(_) | Self::MemoryRouting, _)
                if head.method == Method::HEAD =>
            {
                Ok(target)
            }
            (_, Some(allowed)) => Err(Rejection::Method(if allowed == Method::POST {
                "POST"
            } else {
                "GET, HEAD"
            })),
        }
    }

    fn of_path(method: &Method, path: &str) -> Self {
        match path {
            "/v1/messages" => Self::Messages,
            "/v1/messages/count_tokens" => Self::CountTokens,
            "/v1/chat/completions" | "/chat/completions" => Self::ChatCompletions,
            "/openai/v1/chat/completions" if method == Method::POST => Self::ChatCompletions,
            "/v1/responses"
            | "/responses"
            | "/openai/v1/responses"
            | "/v1/embeddings"
            | "/embeddings"
            | "/openai/v1/embeddings"
                if method == Method::POST =>
            {
                Self::LiteLlmOnly
            }
            "/v1/models" | "/models" => Self::Models,
            "/health" => Self::Health,
            "/memory-routing/info" => Self::MemoryRouting,
            "/" if method == Method::HEAD => Self::Probe,
            "*" => Self::Server,
            _ => match path.strip_prefix("/v1/models/") {
                Some(id) if !id.is_empty() && !id.contains('/') => Self::Model(id.to_owned()),
                _ => Self::LiteLlm {
                    model: model_in_path(path),
                },
            },
        }
    }

    /// Whether it is for models, and not for operators or nobody in particular.
    pub(super) fn is_inference(&self, path: &str) -> bool {
        match self {
            Self::Messages | Self::CountTokens | Self::ChatCompletions | Self::LiteLlmOnly => true,
            Self::Models | Self::Model(_) => true,
            Self::LiteLlm { .. } => is_inference(path),
            Self::Health | Self::MemoryRouting | Self::Probe | Self::Server => false,
        }
    }

    /// The one method that the gateway's own paths take; `None` leaves it to LiteLLM.
    fn method(&self) -> Option<Method> {
        match self {
            Self::Messages | Self::CountTokens | Self::ChatCompletions => Some(Method::POST),
            Self::Models | Self::Model(_) | Self::Health | Self::MemoryRouting => Some(Method::GET),
            Self::LiteLlmOnly | Self::Probe | Self::Server | Self::LiteLlm { .. } => None,
        }
    }
}

/// Paths with which LiteLLM does inference or says what it has: what `litellm.expose: inference` opens.
/// A trailing slash stands for everything below.
const INFERENCE: &[&str] = &[
    "/v1/",
    "/v1beta/",
    "/v2/rerank",
    "/anthropic/",
    "/assistants",
    "/assistants/",
    "/audio/",
    "/azure/",
    "/batches",
    "/batches/",
    "/bedrock/",
    "/cohere/",
    "/completions",
    "/cursor/",
    "/embeddings",
    "/engines/",
    "/files",
    "/files/",
    "/fine_tuning/",
    "/gemini/",
    "/health/liveliness",
    "/health/liveness",
    "/health/readiness",
    "/images/",
    "/mistral/",
    "/model/info",
    "/moderations",
    "/ocr",
    "/openai/",
    "/rag/",
    "/realtime",
    "/rerank",
    "/responses",
    "/responses/",
    "/search",
    "/search/",
    "/threads",
    "/threads/",
    "/utils/token_counter",
    "/vector_stores",
    "/vector_stores/",
    "/vertex-ai/",
    "/vertex_ai/",
    "/videos",
    "/videos/",
    "/vllm/",
];

/// Whether `litellm.expose: inference` lets a path through.
pub(crate) fn is_inference(path: &str) -> bool {
    INFERENCE.iter().any(|known| {
        if known.ends_with('/') {
            path.starts_with(known)
        } else {
            path == *known
        }
    })
}

/// What any path may be asked with.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Fields that one Connection header may name.
const MAX_NOMINATIONS: usize = 16;

fn model_in_path(path: &str) -> Option<String> {
    let rest = [
        "/openai/deployments/",
        "/engines/",
        "/v1/engines/",
        "/azure/openai/deployments/",
    ]
    .iter()
    .find_map(|prefix| path.strip_prefix(prefix))?;
    let model = rest.split('/').next().unwrap_or_default();
    (!model.is_empty()).then(|| percent_decoded(model))
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

pub(super) fn inspect(head: &RequestHeader) -> Result<(), Rejection> {
    if !matches!(
        head.method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    ) {
        return Err(Rejection::Method(METHODS));
    }
    let path = head.uri.path();
    let asterisk = head.method == Method::OPTIONS && path == "*";
    if !path.starts_with('/') && !asterisk {
        return Err(Rejection::Head("the request target must be a path"));
    }
    if has_unsound_segment(path) {
        return Err(Rejection::Head(
            "the path holds a dot segment, a backslash or a NUL",
        ));
    }
    inspect_host(head)?;
    inspect_nominations(&head.headers)?;
    inspect_framing(&head.headers)
}

/// Dot segments, also percent-encoded, backslashes and NULs: servers differ on what they mean.
fn has_unsound_segment(path: &str) -> bool {
    if path.contains('\\') {
        return true;
    }
    if !path.contains('.') && !path.contains('%') {
        return false;
    }
    let lower = path.to_ascii_lowercase();
    lower.contains("%00")
        || lower.contains("%5c")
        || lower
            .replace("%2f", "/")
            .replace("%2e", ".")
            .split('/')
            .any(|segment| segment == "." || segment == "..")
}

fn inspect_host(head: &RequestHeader) -> Result<(), Rejection> {
    let authority = match head.headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => head.uri.authority().map(http::uri::Authority::as_str),
    };
    let Some(authority) = authority else {
        return Err(Rejection::Head("a request needs one Host"));
    };
    if is_authority(authority) {
        Ok(())
    } else {
        Err(Rejection::Head("Host must be host[:port]"))
    }
}

/// `host[:port]` (RFC 9112 3.2), without the user information that a URL could have.
fn is_authority(text: &str) -> bool {
    let (host, rest) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address, rest),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let literal = text.starts_with('[');
    let is_host = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte) || literal && byte == b':'
    };
    let port = rest.strip_prefix(':').unwrap_or(rest);
    !host.is_empty()
        && host.bytes().all(is_host)
        && (rest.is_empty() || rest.starts_with(':'))
        && port.len() <= 5
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Fields that Connection may not name (RFC 9110 7.6.1): without them the request means something else.
fn inspect_nominations(headers: &HeaderMap) -> Result<(), Rejection> {
    let named = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let sound = |name: &[u8]| {
        let name = name.trim_ascii();
        let token = name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b));
        token && !name.eq_ignore_ascii_case(b"host")
    };
    if named
        .take(MAX_NOMINATIONS + 1)
        .enumerate()
        .all(|(at, name)| at < MAX_NOMINATIONS && sound(name))
    {
        Ok(())
    } else {
        Err(Rejection::Head("Connection names what it may not"))
    }
}

fn inspect_framing(headers: &HeaderMap) -> Result<(), Rejection> {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let listed = headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(|value| value.as_bytes().contains(&b','));
    if lengths > 1 || listed {
        return Err(Rejection::Head("Content-Length must be given once"));
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        if lengths > 0 {
            return Err(Rejection::Head(
                "Content-Length and Transfer-Encoding exclude each other",
            ));
        }
        if !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") || encodings.next().is_some() {
            return Err(Rejection::Head("the only transfer encoding is chunked"));
        }
    }
    let expectation = headers.get(header::EXPECT).map(http::HeaderValue::as_bytes);
    if expectation.is_some_and(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Rejection::Expectation);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, path: &str, headers: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, path.as_bytes(), None).unwrap();
        head.insert_header("host", "gateway.example:8764").unwrap();
        for (name, value) in headers {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn target(method: &str, path: &str) -> Result<Target, Rejection> {
        Target::of(&head(method, path, &[]))
    }

    #[test]
    fn the_gateways_own_paths_are_matched_exactly_and_whatever_the_query() {
        assert_eq!(
            target("POST", "/v1/messages?beta=true").unwrap(),
            Target::Messages
        );
        assert_eq!(
            target("POST", "/v1/messages/count_tokens").unwrap(),
            Target::CountTokens
        );
        assert_eq!(
            target("POST", "/chat/completions").unwrap(),
            Target::ChatCompletions
        );
        assert_eq!(
            target("POST", "/openai/v1/chat/completions").unwrap(),
            Target::ChatCompletions
        );
        assert_eq!(
            target("GET", "/openai/v1/chat/completions").unwrap(),
            Target::LiteLlm { model: None },
            "a list of those that OpenAI keeps"
        );
        assert_eq!(target("HEAD", "/").unwrap(), Target::Probe);
        assert_eq!(target("POST", "/embeddings").unwrap(), Target::LiteLlmOnly);
        assert_eq!(
            target("GET", "/v1/responses").unwrap(),
            Target::LiteLlm { model: None },
            "its WebSocket is LiteLLM's"
        );
        assert_eq!(
            target("GET", "/v1/models/a%2Fb").unwrap(),
            Target::Model("a%2Fb".into())
        );
        assert_eq!(
            target("POST", "/v1%2Fmessages").unwrap(),
            Target::LiteLlm { model: None }
        );
        assert_eq!(
            target("POST", "/v1/messages/").unwrap(),
            Target::LiteLlm { model: None }
        );
    }

    #[test]
    fn a_model_in_the_path_is_seen() {
        let deployment = target(
            "POST",
            "/openai/deployments/claude-sonnet-4.5/chat/completions",
        )
        .unwrap();

        assert_eq!(
            deployment,
            Target::LiteLlm {
                model: Some("claude-sonnet-4.5".into())
            }
        );
    }

    #[test]
    fn the_wrong_method_is_told_the_right_one() {
        assert!(matches!(
            target("GET", "/v1/messages"),
            Err(Rejection::Method("POST"))
        ));
        assert!(matches!(
            target("DELETE", "/health"),
            Err(Rejection::Method("GET, HEAD"))
        ));
        assert!(matches!(
            target("TRACE", "/v1/embeddings"),
            Err(Rejection::Method(_))
        ));
    }

    #[test]
    fn a_path_that_servers_read_differently_is_refused() {
        for path in [
            "/v1/../admin",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/x",
            "/a%00b",
            "/a%5cb",
            "/v1/a/..",
            "/v1%2f..%2fx",
        ] {
            assert!(
                matches!(target("POST", path), Err(Rejection::Head(_))),
                "{path}"
            );
        }
        for path in ["/v1/files/a.b", "/v1/..a", "/v1/models/claude-4.5"] {
            assert!(target("GET", path).is_ok(), "{path}");
        }
    }

    #[test]
    fn connection_may_not_take_the_host_away() {
        for value in ["host", "close, Host", ":authority", "a b"] {
            let odd = Target::of(&head("GET", "/health", &[("connection", value)]));
            assert!(matches!(odd, Err(Rejection::Head(_))), "{value:?}");
        }
        let many = "x,".repeat(MAX_NOMINATIONS);
        assert!(Target::of(&head("GET", "/health", &[("connection", &many)])).is_err());
        assert!(
            Target::of(&head(
                "GET",
                "/health",
                &[("connection", "keep-alive, x-a")]
            ))
            .is_ok()
        );
    }

    #[test]
    fn framing_that_smuggles_is_refused() {
        for headers in [
            &[("content-length", "2"), ("content-length", "2")][..],
            &[("content-length", "2, 2")],
            &[("content-length", "2"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
        ] {
            let refused = Target::of(&head("POST", "/v1/messages", headers));
            assert!(matches!(refused, Err(Rejection::Head(_))), "{headers:?}");
        }
        let odd = Target::of(&head("POST", "/v1/messages", &[("expect", "coffee")]));
        assert!(matches!(odd, Err(Rejection::Expectation)));
    }

    #[test]
    fn host_is_a_host_and_perhaps_a_port() {
        for host in [
            "localhost",
            "a.b-c:8764",
            "127.0.0.1",
            "[::1]:80",
            "[fe80::1]",
        ] {
            assert!(is_authority(host), "{host:?}");
        }
        for host in [
            "a/b",
            "a b",
            "",
            "user@host",
            ":80",
            "a:b",
            "::1",
            "[::1]x",
            "a:123456",
        ] {
            let mut odd = head("GET", "/health", &[]);
            odd.insert_header("host", host).unwrap();
            assert!(
                matches!(Target::of(&odd), Err(Rejection::Head(_))),
                "{host:?}"
            );
        }
        let mut none = head("GET", "/health", &[]);
        none.remove_header("host");
        assert!(matches!(Target::of(&none), Err(Rejection::Head(_))));
    }

    #[test]
    fn only_inference_and_discovery_are_open_by_default() {
        for path in [
            "/v1/embeddings",
            "/anthropic/v1/messages",
            "/completions",
            "/health/liveliness",
            "/realtime",
        ] {
            assert!(is_inference(path), "{path}");
        }
        for path in [
            "/ui",
            "/key/generate",
            "/config/update",
            "/completionsx",
            "/health/test_connection",
            "//v1/x",
        ] {
            assert!(!is_inference(path), "{path}");
        }
    }
}
