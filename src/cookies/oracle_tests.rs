//! Does the jar agree with another implementation, `cookie_store`, where both follow the standard?
//!
//! Left out, because the two differ by design or by its errors: order of the header (it has none), `Max-Age=`
//! and `Max-Age=-`, dates in other dress than HTTP's, control characters, size limits, prefixes, public suffixes
//! (off there), repeated or empty `Domain` and `Path`, a domain cookie beside a host cookie of the same domain.

use std::time::SystemTime;

use cookie_store::CookieStore;
use proptest::prelude::*;
use reqwest::Url;

use super::rfc6265::{at, jar};

const HOST: &str = "api.example.com";

fn one_of(choices: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(choices)
}

fn line() -> impl Strategy<Value = String> {
    let domain = one_of(&[
        "",
        "",
        "",
        "; Domain=example.com",
        "; domain=.example.com",
        "; Domain=evil.org",
        "; Domain=www.example.com",
        "; Domain=x.api.example.com",
        "; Domain=ple.com",
    ]);
    let path = one_of(&[
        "",
        "; Path=/",
        "; Path=/v1",
        "; Path=/v1/",
        "; path=/v1/x",
        "; Path=v1",
    ]);
    let end = one_of(&[
        "",
        "",
        "",
        "; Max-Age=3600",
        "; Max-Age=0",
        "; max-age=-5",
        "; Max-Age=x",
        "; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "; expires=Fri, 31-Dec-2100 23:59:59 GMT",
        "; Max-Age=0; Expires=Fri, 31 Dec 2100 23:59:59 GMT",
    ]);
    let flags = one_of(&[
        "",
        "; Secure",
        "; HttpOnly; SameSite=None",
        "; Secure; Unknown=1; ;",
    ]);
    ("[abc]", "[a-z0-9=\"., ]{0,6}", domain, path, end, flags).prop_map(
        |(name, value, domain, path, end, flags)| {
            format!("{name}={value}{domain}{path}{end}{flags}")
        },
    )
}

fn path() -> impl Strategy<Value = &'static str> {
    one_of(&["/", "/v1", "/v1/", "/v1/x", "/v1/x/y", "/v10", "/v2/z"])
}

proptest! {
    #[test]
    fn the_jar_sends_what_cookie_store_sends(
        answers in prop::collection::vec((line(), path()), 1..20),
        ask in path(),
    ) {
        let now = SystemTime::now();
        let url = |path: &str| Url::parse(&format!("https://{HOST}{path}")).unwrap();
        let (ours, mut theirs) = (jar(HOST), CookieStore::new());

        for (line, from) in &answers {
            ours.capture_lines([line.as_bytes()].into_iter(), &at(HOST, from), now);
            drop(theirs.parse(line, &url(from)));
        }

        let header = ours.header(&at(HOST, ask), now);
        let text = header.as_ref().and_then(|header| header.value.to_str().ok());
        let mut sent: Vec<&str> = text.map(|text| text.split("; ").collect()).unwrap_or_default();
        let mut expected: Vec<String> = theirs
            .get_request_values(&url(ask))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        sent.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(sent, expected);
    }
}
