//! What does the admin port answer? A pure function of what there is to see.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::auth::{Presented, Refusal};

use super::browser::{as_bearer, is_called_locally};
use super::page::page;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What there is to see.
pub(super) trait View {
    /// Only this machine reaches the port, so nobody needs a key.
    fn on_loopback(&self) -> bool;
    /// Whether one of the keys came that open it from elsewhere; `Off`: there are none.
    fn admit(&self, presented: &Presented<'_>) -> Result<(), Refusal>;
    /// How long a thread that serves clients has not moved, where that is too long.
    fn stuck(&self) -> Option<Duration>;
    /// Why no new work should come; empty: it may.
    fn unready(&self) -> Vec<&'static str>;
    /// In Prometheus' text format.
    fn metrics(&self) -> Result<String, prometheus::Error>;
    fn status(&self) -> Value;
    /// How the request that the query describes would go; or what is wrong with the query.
    fn explain(&self, query: &str) -> Result<Value, String>;
}

/// What is asked, by whom.
pub(super) struct Asked<'r> {
    pub method: &'r Method,
    pub path: &'r str,
    pub query: &'r str,
    pub headers: &'r HeaderMap,
    pub from: Option<IpAddr>,
}

pub(super) fn respond(view: &dyn View, asked: &Asked<'_>) -> Response<Vec<u8>> {
    let Asked { method, path, .. } = *asked;
    let response = match path {
        "/healthz" | "/readyz" | "/metrics" => {
            read_only(method).unwrap_or_else(|| open(view, path))
        }
        _ => refused(view, asked)
            .or_else(|| match path {
                "/" | "/status" | "/explain" => read_only(method),
                _ => Some(error(StatusCode::NOT_FOUND, "no such page")),
            })
            .unwrap_or_else(|| operators(view, path, asked.query)),
    };
    sized(response, method)
}

/// What is for operators alone.
fn operators(view: &dyn View, path: &str, query: &str) -> Response<Vec<u8>> {
    match path {
        "/" => html(),
        "/explain" => match view.explain(query) {
            Ok(told) => json_answer(StatusCode::OK, &told),
            Err(fault) => error(StatusCode::BAD_REQUEST, &fault),
        },
        _ => json_answer(StatusCode::OK, &view.status()),
    }
}

fn html() -> Response<Vec<u8>> {
    let page = page();
    let mut response = answer(StatusCode::OK, HTML, page.html.clone().into_bytes());
    if let Ok(policy) = HeaderValue::try_from(&page.policy) {
        set(&mut response, CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// What probes and collectors may see from anywhere.
fn open(view: &dyn View, path: &str) -> Response<Vec<u8>> {
    match path {
        "/readyz" => ready(&view.unready()),
        "/metrics" => match view.metrics() {
            Ok(text) => answer(StatusCode::OK, PROMETHEUS, text.into_bytes()),
            Err(failure) => {
                log::error!(target: "memgate::server", "metrics cannot be written: {failure}");
                error(StatusCode::INTERNAL_SERVER_ERROR, "metrics failed")
            }
        },
        _ => match view.stuck() {
            None => answer(StatusCode::OK, TEXT, b"ok\n".to_vec()),
            Some(silence) => {
                let stuck = format!(
                    "stuck: a thread has not moved for {} s\n",
                    silence.as_secs()
                );
                answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, stuck.into_bytes())
            }
        },
    }
}

fn ready(reasons: &[&str]) -> Response<Vec<u8>> {
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_answer(
        status,
        &json!({"ready": reasons.is_empty(), "reasons": reasons}),
    )
}

fn read_only(method: &Method) -> Option<Response<Vec<u8>>> {
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
    set(&mut response, ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(response)
}

fn refused(view: &dyn View, asked: &Asked<'_>) -> Option<Response<Vec<u8>>> {
    if view.on_loopback() && is_called_locally(asked.headers) {
        return None;
    }
    let headers = as_bearer(asked.headers);
    let presented = Presented::of(&headers, None).at(asked.from);
    match view.admit(&presented).err()? {
        Refusal::Off => Some(error(
            StatusCode::FORBIDDEN,
            "beyond loopback this needs `admin_key` in the configuration",
        )),
        slowed @ Refusal::TooManyFailures { retry_after } => {
            let mut response = error(StatusCode::TOO_MANY_REQUESTS, &slowed.to_string());
            let seconds = retry_after.as_secs().saturating_add(1);
            set(&mut response, RETRY_AFTER, seconds.into());
            Some(response)
        }
        _ => {
            let mut response = error(StatusCode::UNAUTHORIZED, "this needs the admin key");
            // A browser asks for it: any name, and the key as the password.
            let ways = "Basic realm=\"memgate\", charset=\"UTF-8\", Bearer";
            set(
                &mut response,
                WWW_AUTHENTICATE,
                HeaderValue::from_static(ways),
            );
            Some(response)
        }
    }
}

fn error(status: StatusCode, message: &str) -> Response<Vec<u8>> {
    json_answer(status, &json!({"error": {"message": message}}))
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Vec<u8>> {
    answer(status, JSON, format!("{value}\n").into_bytes())
}

fn answer(status: StatusCode, kind: HeaderValue, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, kind);
    set(
        &mut response,
        CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    let safe = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in safe {
        set(&mut response, name, HeaderValue::from_static(value));
    }
    response
}

/// Says the body's length, and leaves the body out where only the head was asked for.
fn sized(mut response: Response<Vec<u8>>, method: &Method) -> Response<Vec<u8>> {
    let length = HeaderValue::from(response.body().len());
    set(&mut response, CONTENT_LENGTH, length);
    if method == Method::HEAD {
        response.body_mut().clear();
    }
    response
}

fn set(response: &mut Response<Vec<u8>>, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{AUTHORIZATION, HOST};

    use super::*;

    struct Seen {
        loopback: bool,
        key: Option<&'static str>,
        wrong: Refusal,
        stuck: Option<Duration>,
        unready: Vec<&'static str>,
    }

    impl View for Seen {
        fn on_loopback(&self) -> bool {
            self.loopback
        }

        fn admit(&self, presented: &Presented<'_>) -> Result<(), Refusal> {
            let key = self.key.ok_or(Refusal::Off)?;
            match presented.first().map(|said| said.reveal() == key) {
                Some(true) => Ok(()),
                Some(false) => Err(self.wrong),
                None => Err(Refusal::Missing),
            }
        }

        fn stuck(&self) -> Option<Duration> {
            self.stuck
        }

        fn unready(&self) -> Vec<&'static str> {
            self.unready.clone()
        }

        fn metrics(&self) -> Result<String, prometheus::Error> {
            Ok("memgate_up 1\n".to_owned())
        }

        fn status(&self) -> Value {
            json!({"version": "1"})
        }

        fn explain(&self, query: &str) -> Result<Value, String> {
            match query {
                "" => Err("no model".to_owned()),
                query => Ok(json!({"text": query})),
            }
        }
    }

    const HOME: Seen = Seen {
        loopback: true,
        key: None,
        wrong: Refusal::Unknown,
        stuck: None,
        unready: Vec::new(),
    };
    const AWAY: Seen = Seen {
        loopback: false,
        key: Some("k-admin"),
        wrong: Refusal::Unknown,
        stuck: None,
        unready: Vec::new(),
    };

    fn asked<'r>(method: &'r Method, path: &'r str, headers: &'r HeaderMap) -> Asked<'r> {
        Asked {
            method,
            path,
            query: "",
            headers,
            from: None,
        }
    }

    fn get(view: &Seen, path: &str) -> Response<Vec<u8>> {
        respond(view, &asked(&Method::GET, path, &HeaderMap::new()))
    }

    fn with_key(view: &Seen, path: &str, key: &'static str) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(key));
        respond(view, &asked(&Method::GET, path, &headers))
            .status()
            .as_u16()
    }

    fn body(response: &Response<Vec<u8>>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn every_page_answers_on_loopback() {
        assert_eq!(get(&HOME, "/healthz").body(), b"ok\n");
        assert_eq!(body(&get(&HOME, "/readyz"))["ready"], true);
        assert_eq!(get(&HOME, "/metrics").body(), b"memgate_up 1\n");
        assert_eq!(body(&get(&HOME, "/status"))["version"], "1");
        assert_eq!(get(&HOME, "/nothing").status(), 404);
        assert!(body(&get(&HOME, "/nothing"))["error"]["message"].is_string());
    }

    #[test]
    fn the_page_comes_with_a_policy_that_lets_nothing_else_in() {
        let response = get(&HOME, "/");

        assert_eq!(response.headers()[CONTENT_TYPE], HTML);
        let policy = response.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }

    #[test]
    fn a_request_is_explained_or_it_is_said_what_the_question_lacks() {
        let ask = |query| {
            let headers = HeaderMap::new();
            let asked = Asked {
                query,
                ..asked(&Method::GET, "/explain", &headers)
            };
            respond(&HOME, &asked)
        };

        assert_eq!(body(&ask("model=x"))["text"], "model=x");
        assert_eq!(ask("").status(), 400);
        assert_eq!(body(&ask(""))["error"]["message"], "no model");
    }

    #[test]
    fn a_name_that_leads_here_from_elsewhere_opens_nothing() {
        let called = |host: &'static str, path| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            let answer = respond(&HOME, &asked(&Method::GET, path, &headers));
            answer.status().as_u16()
        };

        for host in [
            "localhost",
            "LOCALHOST:8766",
            "127.0.0.1:8766",
            "127.3.2.1",
            "[::1]:8766",
        ] {
            assert_eq!(called(host, "/status"), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8766",
            "localhost.evil.example",
            "10.0.0.1",
            "",
        ] {
            assert_eq!(called(host, "/status"), 403, "{host}");
            assert_eq!(called(host, "/metrics"), 200, "{host}");
        }
    }

    #[test]
    fn a_browser_may_say_the_key_as_a_password() {
        // any:k-admin, any:k-admin2
        assert_eq!(with_key(&AWAY, "/", "Basic YW55OmstYWRtaW4="), 200);
        assert_eq!(with_key(&AWAY, "/", "Basic YW55OmstYWRtaW4y"), 401);
        let asked = get(&AWAY, "/").headers()[WWW_AUTHENTICATE].clone();
        assert!(asked.to_str().unwrap().starts_with("Basic realm="));
    }

    #[test]
    fn beyond_loopback_only_probes_and_metrics_are_open() {
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(get(&AWAY, path).status(), 200, "{path}");
        }
        for path in ["/status", "/", "/nothing"] {
            assert_eq!(get(&AWAY, path).status(), 401, "{path}");
        }
        assert_eq!(with_key(&AWAY, "/status", "Bearer k-admin"), 200);
        assert_eq!(with_key(&AWAY, "/status", "Bearer k-admin2"), 401);
        assert_eq!(with_key(&AWAY, "/nothing", "Bearer k-admin"), 404);
    }

    #[test]
    fn beyond_loopback_without_an_admin_key_nothing_opens_the_rest() {
        let view = Seen { key: None, ..AWAY };

        assert_eq!(get(&view, "/status").status(), 403);
        assert_eq!(with_key(&view, "/status", "Bearer "), 403);
    }

    #[test]
    fn who_guesses_too_often_is_told_when_to_come_back() {
        let retry_after = Duration::from_millis(1500);
        let wrong = Refusal::TooManyFailures { retry_after };
        let view = Seen { wrong, ..AWAY };
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer x"))]);

        let response = respond(&view, &asked(&Method::GET, "/status", &headers));

        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(with_key(&view, "/metrics", "Bearer x"), 200);
    }

    #[test]
    fn it_is_not_ready_while_there_is_a_reason_against_it() {
        let view = Seen {
            unready: vec!["draining"],
            ..HOME
        };
        let response = get(&view, "/readyz");

        assert_eq!(response.status(), 503);
        assert_eq!(body(&response)["reasons"], json!(["draining"]));
        assert_eq!(
            get(&view, "/healthz").status(),
            200,
            "it lives all the same"
        );
    }

    #[test]
    fn a_thread_that_is_stuck_is_no_life() {
        let view = Seen {
            stuck: Some(Duration::from_secs(31)),
            ..AWAY
        };

        let response = get(&view, "/healthz");

        assert_eq!(response.status(), 503);
        let said = String::from_utf8(response.body().clone()).unwrap();
        assert_eq!(said, "stuck: a thread has not moved for 31 s\n");
    }

    #[test]
    fn nothing_is_written_through_this_port() {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let response = respond(&HOME, &asked(&method, "/status", &HeaderMap::new()));
            assert_eq!(response.status(), 405);
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        }
    }

    #[test]
    fn a_head_has_the_length_and_not_the_body() {
        let response = respond(&HOME, &asked(&Method::HEAD, "/metrics", &HeaderMap::new()));

        assert_eq!(response.headers()[CONTENT_LENGTH], "13");
        assert!(response.body().is_empty());
    }
}
