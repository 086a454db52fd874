//! Does a jar keep to its host, its bounds and its clock, whatever it is fed?

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, SET_COOKIE};
use proptest::prelude::*;

use super::rfc6265::{at, jar, now};
use super::*;
use crate::cookies::CookieJars;

const HOST: &str = "api.example.com";

fn answer(lines: &[&str]) -> HeaderMap {
    let fields = lines
        .iter()
        .map(|line| (SET_COOKIE, HeaderValue::from_str(line).unwrap()));
    fields.collect::<HeaderMap>()
}

fn capture(jar: &Jar, lines: &[&str]) -> Captured {
    jar.capture(&answer(lines), &at(HOST, "/v1/messages"), now())
}

fn names(jar: &Jar) -> Vec<String> {
    jar.list().into_iter().map(|cookie| cookie.name).collect()
}

#[test]
fn what_an_answer_did_is_told() {
    let jar = jar(HOST);

    let first = capture(&jar, &["a=1; Path=/", "session=x", "b=2"]);
    let same = capture(&jar, &["a=1; Path=/"]);
    let gone = capture(&jar, &["a=; Path=/; Max-Age=0"]);
    let gone_again = capture(&jar, &["a=; Path=/; Max-Age=0"]);
    let nothing = capture(&jar, &[]);

    assert_eq!(
        first,
        Captured {
            names: vec!["a".into(), "b".into()],
            changed: true
        }
    );
    assert_eq!(
        same,
        Captured {
            names: vec!["a".into()],
            changed: false
        }
    );
    assert_eq!(
        gone,
        Captured {
            names: vec![],
            changed: true
        }
    );
    assert_eq!(gone_again, Captured::default());
    assert_eq!(nothing, Captured::default());
}

#[test]
fn several_cookies_in_one_joined_field_are_not_taken_apart() {
    let jar = jar(HOST);

    capture(&jar, &["a=1; Path=/, b=2; Path=/"]);

    assert_eq!(names(&jar), ["a"]);
}

#[test]
fn other_headers_set_nothing() {
    let jar = jar(HOST);
    let cookie = HeaderValue::from_static("a=1");
    let headers = [("cookie", cookie.clone()), ("set-cookie2", cookie)]
        .map(|(name, value)| (HeaderName::from_static(name), value));

    let captured = jar.capture(&headers.into_iter().collect(), &at(HOST, "/"), now());

    assert_eq!(captured, Captured::default());
}

#[test]
fn plain_http_neither_gives_nor_takes() {
    let jar = jar(HOST);
    let plain = Site {
        secure: false,
        ..at(HOST, "/")
    };

    let taken = jar.capture(&answer(&["a=1; Path=/"]), &plain, now());
    capture(&jar, &["b=2; Path=/"]);

    assert_eq!(taken, Captured::default());
    assert_eq!(jar.header(&plain, now()), None);
    assert!(jar.header(&at(HOST, "/"), now()).is_some());
}

#[test]
fn a_domain_cookie_stays_with_the_host_that_set_it() {
    let jars = CookieJars::new(&["a".to_owned()]);
    let api = jars.jar(HOST, "default");

    capture(&api, &["a=1; Path=/; Domain=example.com"]);

    let www = jars.jar("www.example.com", "default");
    assert_eq!(www.header(&at("www.example.com", "/"), now()), None);
    assert_eq!(api.header(&at("www.example.com", "/"), now()), None);
    assert_eq!(api.header(&at("example.com", "/"), now()), None);
}

#[test]
fn egress_identities_have_jars_of_their_own_and_a_host_has_one_each() {
    let jars = CookieJars::new(&["a".to_owned()]);

    capture(&jars.jar(HOST, "eu"), &["a=1; Path=/"]);

    assert!(
        jars.jar("API.example.com", "eu")
            .header(&at(HOST, "/"), now())
            .is_some()
    );
    assert!(jars.jar(HOST, "us").header(&at(HOST, "/"), now()).is_none());
    assert_eq!(jars.all().len(), 2);
}

#[test]
fn a_persons_cookies_are_not_shared_even_when_the_list_names_them() {
    let jars = CookieJars::new(&["CF_Authorization".to_owned(), "a".to_owned()]);
    let jar = jars.jar(HOST, "default");

    capture(&jar, &["CF_Authorization=me; Path=/", "a=1; Path=/"]);

    assert_eq!(names(&jar), ["a"]);
}

#[test]
fn the_header_is_ready_made_while_nothing_changes() {
    let jar = jar(HOST);
    capture(&jar, &["a=1; Path=/; Max-Age=60", "b=2; Path=/"]);

    let one = jar.header(&at(HOST, "/x"), now()).unwrap();
    let two = jar.header(&at(HOST, "/y"), now()).unwrap();

    assert!(
        Arc::ptr_eq(&one.names, &two.names),
        "no header is built for a request"
    );
    assert_eq!(one.names.as_ref(), ["a", "b"]);
    assert!(one.value.is_sensitive());
}

#[test]
fn an_expired_cookie_leaves_with_the_first_request_after_it() {
    let jar = jar(HOST);
    capture(&jar, &["a=1; Path=/; Max-Age=60", "b=2; Path=/"]);

    let header = jar
        .header(&at(HOST, "/"), now() + Duration::from_secs(60))
        .unwrap();

    assert_eq!(header.value, "b=2");
    assert_eq!(names(&jar), ["b"], "the jar itself is rid of it");
}

#[test]
fn a_refused_request_is_worth_repeating_only_with_other_cookies() {
    let jar = jar(HOST);
    let site = at(HOST, "/");
    assert!(!jar.supersedes(None, &site, now()));

    capture(&jar, &["a=1; Path=/"]);
    let sent = jar.header(&site, now());

    assert!(jar.supersedes(None, &site, now()), "the first try had none");
    assert!(
        !jar.supersedes(sent.as_ref(), &site, now()),
        "the same again"
    );
    capture(&jar, &["a=2; Path=/"]);
    assert!(
        jar.supersedes(sent.as_ref(), &site, now()),
        "the old value was refused"
    );
}

#[test]
fn no_debug_output_shows_a_value() {
    let jar = jar(HOST);
    capture(&jar, &["a=topsecret; Path=/"]);
    let header = jar.header(&at(HOST, "/"), now()).unwrap();

    let shown = format!("{jar:?} {header:?} {:?} {:?}", header.value, jar.list());

    assert!(shown.contains("\"a\""), "names are shown: {shown}");
    assert!(!shown.contains("topsecret"), "{shown}");
}

#[test]
fn the_cookie_set_longest_ago_makes_room() {
    let jar = jar(HOST);
    let paths = |range: std::ops::Range<usize>| range.map(|n| format!("a=1; Path=/{n}"));

    for line in paths(0..MAX_PER_DOMAIN) {
        capture(&jar, &[&line]);
    }
    capture(&jar, &["a=2; Path=/0"]);
    capture(&jar, &["b=1; Path=/"]);

    let kept: Vec<String> = jar.list().into_iter().map(|cookie| cookie.path).collect();
    assert_eq!(kept.len(), MAX_PER_DOMAIN);
    assert!(kept.contains(&"/0".to_owned()), "an update counts as set");
    assert!(!kept.contains(&"/1".to_owned()), "this one was oldest");
}

/// Lines that are nearly right in many ways.
fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "__Host-a",
        "__Secure-a",
        "session",
        "",
        "A",
    ]);
    let value = prop_oneof![3 => "[!-:<-~]{0,12}", 1 => "[ -~\t]{0,20}"];
    let attribute = prop_oneof![
        prop::sample::select(vec![
            "Path=/",
            "Path=/v1",
            "path=/v1/x",
            "Path=",
            "Path",
            "Path=v1",
            "Secure",
            "HttpOnly",
            "Domain=example.com",
            "Domain=.api.example.com",
            "Domain=com",
            "Domain=evil.org",
            "Domain=",
            "Domain",
            "Max-Age=0",
            "Max-Age=-1",
            "Max-Age=30",
            "Max-Age=",
            "Max-Age=x",
            "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "Expires=Wed, 12-Nov-25 18:10:06 GMT",
            "Expires=Thu, 31 Dec 2099 00:00:00 GMT",
            "Expires=",
            "SameSite=Lax",
            "x=y",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,20}",
    ];
    (name, value, prop::collection::vec(attribute, 0..5)).prop_map(|(name, value, attributes)| {
        let mut line = format!("{name}={value}");
        for attribute in attributes {
            line.push_str("; ");
            line.push_str(&attribute);
        }
        line
    })
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["/", "/v1", "/v1/x", "/v1/x/y", "/v10"]).prop_map(str::to_owned),
        "/[a-z/]{0,10}",
    ]
}

proptest! {
    #[test]
    fn whatever_is_captured_makes_a_sound_header(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        path in "\\PC{0,30}",
    ) {
        let jar = jar(HOST);
        let lines: Vec<_> = values.iter().map(|value| [b"a=", &value[..], b"; Path=/"].concat()).collect();

        let captured = jar.capture_lines(lines.iter().map(Vec::as_slice), &at(HOST, &path), now());

        let header = jar.header(&at(HOST, "/"), now());
        prop_assert_eq!(header.is_some(), !jar.list().is_empty());
        prop_assert!(captured.names.len() <= lines.len());
        if let Some(header) = header {
            prop_assert!(header.value.as_bytes().starts_with(b"a="));
            prop_assert!(!header.value.as_bytes().contains(&b';') && header.value.to_str().is_ok());
        }
    }

    #[test]
    fn a_jar_keeps_its_promises(
        answers in prop::collection::vec((prop::collection::vec(line(), 0..4), path(), 0..90_u64), 1..30),
        ask in path(),
    ) {
        let jar = jar(HOST);
        let mut clock = now();
        for (lines, from, pause) in &answers {
            clock += Duration::from_secs(*pause);
            jar.capture_lines(lines.iter().map(|line| line.as_bytes()), &at(HOST, from), clock);
        }

        let header = jar.header(&at(HOST, &ask), clock);

        let listed = jar.list();
        prop_assert!(listed.len() <= MAX_IN_JAR);
        for cookie in &listed {
            let at_home = domain_covers(&cookie.domain, HOST);
            prop_assert!(at_home, "{} is foreign", cookie.domain);
            prop_assert!(["a", "b", "c", "__Host-a", "__Secure-a"].contains(&cookie.name.as_str()));
        }
        let sent = header.as_ref().map(|header| header.names.to_vec()).unwrap_or_default();
        prop_assert_eq!(sent, names_on(&listed, &ask, clock));
        if let Some(header) = header {
            prop_assert!(header.value.to_str().is_ok() && header.value.is_sensitive());
        }
        for host in ["example.com", "www.example.com", "x.api.example.com", "evil.org", ""] {
            prop_assert_eq!(jar.header(&at(host, &ask), clock), None);
        }
    }
}

fn domain_covers(domain: &str, host: &str) -> bool {
    host == domain || host.ends_with(&format!(".{domain}"))
}

/// The names a request for `ask` should carry, worked out from the list the slow way.
fn names_on(listed: &[Listed], ask: &str, clock: SystemTime) -> Vec<String> {
    let covers = |path: &str| {
        let folder = format!("{}/", path.strip_suffix('/').unwrap_or(path));
        ask == path || ask.starts_with(&folder)
    };
    listed
        .iter()
        .filter(|cookie| covers(&cookie.path))
        .filter(|cookie| cookie.expires.is_none_or(|expires| expires > clock))
        .map(|cookie| cookie.name.clone())
        .collect()
}
