//! Is a request's head sound? Everything on which servers could differ is refused before anything goes by it.

use http::{HeaderMap, Method, header};
use pingora_http::RequestHeader;

use crate::config::Limits;
use crate::gateway::Rejection;

/// What any path may be asked with.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Fields that one Connection header may name.
const MAX_NOMINATIONS: usize = 16;

/// Bytes of a field's name.
const NAME: usize = 256;

/// What a line of a head has beside its name and its value.
const LINE: usize = 4;

/// The request line and the headers that frame and address a request, and how large all of it is.
pub(super) fn inspect(head: &RequestHeader, limits: &Limits) -> Result<(), Rejection> {
    inspect_sizes(head, limits)?;
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
    let (target, path) = (head.raw_path(), head.uri.path());
    let asterisk = head.method == Method::OPTIONS && target == b"*";
    let is_path = path.starts_with('/') && is_path_or_url(target);
    if !is_path && !asterisk {
        return Err(Rejection::Head("the request target must be a path"));
    }
    if path.starts_with("//") || has_unsound_segment(path) {
        return Err(Rejection::Head(
            "the path holds a dot segment, a backslash or a NUL, or begins with two slashes",
        ));
    }
    inspect_host(head)?;
    inspect_nominations(&head.headers)?;
    inspect_framing(&head.headers)
}

/// Origin-form, or absolute-form of a scheme that is spoken here (RFC 9112 3.2).
fn is_path_or_url(target: &[u8]) -> bool {
    let begins = |scheme: &[u8]| {
        let beginning = target.get(..scheme.len());
        beginning.is_some_and(|said| said.eq_ignore_ascii_case(scheme))
    };
    begins(b"/") || begins(b"http://") || begins(b"https://")
}

fn inspect_sizes(head: &RequestHeader, limits: &Limits) -> Result<(), Rejection> {
    let target = head.raw_path().len();
    if target > limits.uri {
        return Err(Rejection::TargetTooLong { limit: limits.uri });
    }
    let lines = head.headers.iter();
    let lines = lines.map(|(name, value)| name.as_str().len() + value.len() + LINE);
    let long_name = || head.headers.keys().any(|name| name.as_str().len() > NAME);
    if head.headers.len() > limits.headers
        || target + lines.sum::<usize>() > limits.head
        || long_name()
    {
        return Err(Rejection::HeadTooLarge);
    }
    Ok(())
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
    let length = headers
        .get(header::CONTENT_LENGTH)
        .map(http::HeaderValue::as_bytes);
    if lengths > 1 || length.is_some_and(|length| length.contains(&b',')) {
        return Err(Rejection::Head("Content-Length must be given once"));
    }
    // It goes up as it came where the body streams, and some read such a number as octal.
    if length.is_some_and(|length| length.len() > 1 && length.starts_with(b"0")) {
        return Err(Rejection::Head("Content-Length must not begin with 0"));
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

    fn checked(head: &RequestHeader) -> Result<(), Rejection> {
        inspect(head, &Limits::default())
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
            "//v1/models",
        ] {
            assert!(
                matches!(checked(&head("POST", path, &[])), Err(Rejection::Head(_))),
                "{path}"
            );
        }
        for path in ["/v1/files/a.b", "/v1/..a", "/v1/models/claude-4.5"] {
            assert!(checked(&head("GET", path, &[])).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_target_is_a_path_or_a_url_of_this_server() {
        for target in ["/v1/models", "http://gateway.example:8764/v1", "HTTPS://x/"] {
            assert!(checked(&head("GET", target, &[])).is_ok(), "{target}");
        }
        assert!(checked(&head("OPTIONS", "*", &[])).is_ok());
        for target in [
            "admin",
            "*",
            "?x=/v1/models",
            "javascript:alert(1)",
            "ftp://x/v1/models",
        ] {
            let odd = checked(&head("GET", target, &[]));
            assert!(matches!(odd, Err(Rejection::Head(_))), "{target}");
        }
    }

    #[test]
    fn connection_may_not_take_the_host_away() {
        for value in ["host", "close, Host", ":authority", "a b"] {
            let odd = checked(&head("GET", "/health", &[("connection", value)]));
            assert!(matches!(odd, Err(Rejection::Head(_))), "{value:?}");
        }
        let many = "x,".repeat(MAX_NOMINATIONS);
        assert!(checked(&head("GET", "/health", &[("connection", &many)])).is_err());
        assert!(
            checked(&head(
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
            &[("content-length", "089")],
            &[("content-length", "2"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
        ] {
            let refused = checked(&head("POST", "/v1/messages", headers));
            assert!(matches!(refused, Err(Rejection::Head(_))), "{headers:?}");
        }
        assert!(checked(&head("POST", "/v1/messages", &[("content-length", "0")])).is_ok());
        let odd = checked(&head("POST", "/v1/messages", &[("expect", "coffee")]));
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
            assert!(matches!(checked(&odd), Err(Rejection::Head(_))), "{host:?}");
        }
        let mut none = head("GET", "/health", &[]);
        none.remove_header("host");
        assert!(matches!(checked(&none), Err(Rejection::Head(_))));
    }

    #[test]
    fn a_head_may_have_so_many_fields_so_many_bytes_and_so_long_a_target() {
        let limits = Limits {
            headers: 3,
            head: 100,
            uri: 20,
            ..Limits::default()
        };
        let judged = |path: &str, headers: &[(&'static str, &str)]| {
            inspect(&head("GET", path, headers), &limits)
        };
        let long = "x".repeat(70);

        assert!(judged("/v1/models", &[("x-a", "1"), ("x-b", "2")]).is_ok());
        let many = judged("/v1/models", &[("x-a", "1"), ("x-b", "2"), ("x-b", "3")]);
        let large = judged("/v1/models", &[("x-a", &long)]);
        assert!(matches!(many, Err(Rejection::HeadTooLarge)));
        assert!(matches!(large, Err(Rejection::HeadTooLarge)));
        let far = judged("/v1/models?with=a-query", &[]);
        assert!(matches!(far, Err(Rejection::TargetTooLong { limit: 20 })));
    }
}
