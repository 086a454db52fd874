//! Is each dress of an edge error seen through, and no other answer taken for one?

use std::io::Write;
use std::time::UNIX_EPOCH;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::upstream::EdgeClass;

/// The page that was met while calling the router: it names the zone behind it.
const QUEUE_PAGE: &str = r#"<!DOCTYPE html>
<html lang="en-US"><head><title>Rate Limited</title><style>.x{color:#521000}</style></head>
<body><h1><span>Error</span> <span class="code">1200</span></h1>
<h2>This website has been temporarily rate limited</h2>
<p>Too many requests for api.anthropic.com. Try again later.</p></body></html>"#;

const GATEWAY_TIMEOUT_PAGE: &str = r#"<!doctype html>
<html><head><title>api.supermemory.ai | 522: Connection timed out</title></head>
<body><h1><span class="inline-block">Connection timed out</span>
<span class="code-label">Error code 522</span></h1>
<span>Cloudflare Ray ID: <strong class="x">98f0858e788ae646</strong></span></body></html>"#;

const FIREWALL_PAGE: &str = r#"<html><head>
<title>Access denied | api.supermemory.ai used Cloudflare to restrict access</title></head>
<body><h1>Error 1020</h1><p>Ray ID: 7f3abc</p></body></html>"#;

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    fields.iter().map(field).collect()
}

fn found(status: u16, fields: &[(&str, &str)], body: &str) -> Option<EdgeError> {
    read(status, &headers(fields), body.as_bytes(), UNIX_EPOCH)
}

#[test]
fn the_page_that_started_it_all_is_a_full_queue_behind_the_router() {
    let fields = [
        ("content-type", "text/html; charset=UTF-8"),
        ("server", "cloudflare"),
        ("cf-ray", "99798f8c4cb7ecbe-WAW"),
    ];

    let error = found(503, &fields, QUEUE_PAGE).unwrap();

    assert_eq!(error.code, Some(1200));
    assert_eq!(error.class(), EdgeClass::QueueFull);
    assert_eq!(error.zone.as_deref(), Some("api.anthropic.com"));
    assert_eq!(error.ray_id.as_deref(), Some("99798f8c4cb7ecbe-WAW"));
    assert_eq!(error.is_about("api.anthropic.com"), Some(true));
    assert_eq!(error.is_about("api.supermemory.ai"), Some(false));
    assert_eq!(
        explain(&error),
        "Cloudflare answered instead of the API with error 1200 for api.anthropic.com \
         (ray id 99798f8c4cb7ecbe-WAW): too many requests are waiting at its edge for that server"
    );
}

#[test]
fn json_and_markdown_hold_the_same_fields() {
    let json = r#"{"type":"https://developers.cloudflare.com/","title":"Error 1015","status":429,
        "error_code":1015,"error_name":"rate_limited","error_category":"rate_limit",
        "zone":"API.Supermemory.ai","ray_id":"9d99a4434fe2d168","cloudflare_error":true,
        "retryable":true,"retry_after":30}"#;
    let markdown = "---\nerror_code: 1015\nerror_name: \"rate_limited\"\nstatus: 429\n\
        zone: api.supermemory.ai\nray_id: 9d99a4434fe2d168\nretry_after: 30\n\
        cloudflare_error: true\n---\n\n# Error 1015\n\nerror_code: 9999\n";

    let of_json = found(429, &[("content-type", "application/problem+json")], json).unwrap();
    let of_markdown = found(429, &[("content-type", "text/markdown")], markdown).unwrap();

    assert_eq!(of_json, of_markdown);
    assert_eq!(of_json.code, Some(1015));
    assert_eq!(of_json.name.as_deref(), Some("rate_limited"));
    assert_eq!(of_json.zone.as_deref(), Some("api.supermemory.ai"));
    assert_eq!(of_json.ray_id.as_deref(), Some("9d99a4434fe2d168"));
    assert_eq!(of_json.retry_after, Some(Duration::from_secs(30)));
}

#[test]
fn plain_text_holds_the_code_alone() {
    let error = found(429, &[], "error code: 1015\n").unwrap();

    assert_eq!(
        error,
        EdgeError {
            status: 429,
            code: Some(1015),
            ..EdgeError::default()
        }
    );
}

#[test]
fn pages_of_other_errors_name_code_zone_and_ray() {
    let timeout = found(522, &[], GATEWAY_TIMEOUT_PAGE).unwrap();
    let firewall = found(403, &[], FIREWALL_PAGE).unwrap();

    assert_eq!(timeout.code, Some(522));
    assert_eq!(timeout.zone.as_deref(), Some("api.supermemory.ai"));
    assert_eq!(timeout.ray_id.as_deref(), Some("98f0858e788ae646"));
    assert_eq!(firewall.code, Some(1020));
    assert_eq!(firewall.zone.as_deref(), Some("api.supermemory.ai"));
    assert_eq!(firewall.class(), EdgeClass::Blocked);
}

/// The body in each packing that a client may accept, and the word for it.
fn packings(body: &str) -> [(&'static str, Vec<u8>); 4] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body.as_bytes()).unwrap();
    let mut br = Vec::new();
    brotli::CompressorWriter::new(&mut br, 4096, 5, 22)
        .write_all(body.as_bytes())
        .unwrap();
    let zstd = zstd::encode_all(body.as_bytes(), 3).unwrap();
    [
        ("identity", body.as_bytes().to_vec()),
        ("gzip", gzip.finish().unwrap()),
        ("br", br),
        ("ZSTD", zstd),
    ]
}

/// One and the same error in its four dresses, plain text last: it names no zone.
fn dresses(code: u16) -> [String; 4] {
    [
        format!(
            "<!DOCTYPE html><html><head><title>api.example.com | {code}: Something</title></head>\
             <body><h1>Error <span>{code}</span></h1></body></html>"
        ),
        format!(
            r#"{{"cloudflare_error":true,"error_code":{code},"zone":"api.example.com","status":500}}"#
        ),
        format!("---\nerror_code: {code}\nzone: api.example.com\n---\n\n# Error {code}\n"),
        format!("error code: {code}"),
    ]
}

#[test]
fn every_error_is_seen_through_in_every_dress_and_packing() {
    for (status, code) in [
        (503, 1200),
        (429, 1015),
        (429, 1025),
        (429, 1027),
        (403, 1006),
        (403, 1010),
        (403, 1012),
        (403, 1020),
        (403, 1106),
        (403, 1000),
        (403, 1003),
        (409, 1013),
        (530, 1001),
        (530, 1016),
        (530, 1033),
        (530, 530),
        (500, 1101),
        (503, 1102),
        (520, 520),
        (521, 521),
        (522, 522),
        (523, 523),
        (524, 524),
        (525, 525),
        (526, 526),
        (500, 500),
        (502, 502),
        (504, 504),
    ] {
        for (dress, body) in dresses(code).iter().enumerate() {
            for (encoding, packed) in packings(body) {
                let headers = headers(&[("content-encoding", encoding), ("server", "cloudflare")]);

                let error = read(status, &headers, &packed, UNIX_EPOCH).unwrap();

                let what = format!("{encoding} {body}");
                assert_eq!(error.code, Some(code), "{what}");
                assert_eq!(error.class(), EdgeClass::of_code(code), "{what}");
                let zone = (dress < 3).then_some("api.example.com");
                assert_eq!(error.zone.as_deref(), zone, "{what}");
            }
        }
    }
}

#[test]
fn a_packed_body_is_unpacked() {
    for (encoding, body) in packings(QUEUE_PAGE) {
        let headers = headers(&[("content-encoding", encoding)]);

        let error = read(503, &headers, &body, UNIX_EPOCH).unwrap();

        assert_eq!(error.code, Some(1200), "{encoding}");
    }
}

#[test]
fn the_zone_tells_whose_edge_it_is() {
    let whose = |zone: Option<&str>, host, provider| {
        let zone = zone.map(str::to_owned);
        EdgeError {
            zone,
            ..EdgeError::default()
        }
        .whose(host, provider)
    };
    let (router, api) = ("api.supermemory.ai", "api.anthropic.com");

    assert_eq!(whose(Some(router), router, api), Whose::Host);
    assert_eq!(whose(Some("supermemory.ai"), router, api), Whose::Host);
    assert_eq!(whose(Some(api), router, api), Whose::Behind);
    assert_eq!(whose(Some("example.com"), router, api), Whose::Behind);
    assert_eq!(whose(None, router, api), Whose::Unsaid);
    assert_eq!(whose(Some(api), api, api), Whose::Host);
    assert_eq!(whose(None, api, api), Whose::Host);
}

#[test]
fn a_cut_off_packed_body_is_read_as_far_as_it_goes() {
    let page = format!(
        "{QUEUE_PAGE}{}",
        (0..9000).map(|n| n.to_string()).collect::<String>()
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(page.as_bytes()).unwrap();
    let body = gzip.finish().unwrap();
    let headers = headers(&[("content-encoding", "gzip")]);

    let error = read(503, &headers, &body[..body.len() / 2], UNIX_EPOCH).unwrap();

    assert_eq!(error.code, Some(1200));
}

#[test]
fn a_bomb_is_unpacked_no_further_than_64_kib() {
    let bomb = zstd::encode_all(&vec![b'x'; 50_000_000][..], 3).unwrap();

    let text = readable(&headers(&[("content-encoding", "zstd")]), &bomb);

    assert_eq!(text.len(), MAX_READ);
}

#[test]
fn a_challenge_is_one_whatever_its_page_says() {
    let page = "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>";

    let error = found(403, &[("cf-mitigated", "challenge")], page).unwrap();

    assert_eq!(error.class(), EdgeClass::Challenge);
    assert_eq!(error.zone, None);
    assert!(explain(&error).contains("browser"));
}

#[test]
fn headers_that_are_on_every_answer_prove_nothing() {
    let fields = [("server", "cloudflare"), ("cf-ray", "99798f8c4cb7ecbe-WAW")];
    for (status, body) in [
        (503, ""),
        (503, "upstream connect error"),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#,
        ),
        (400, r#"{"error":"[SUPERMEMORY] No user ID found"}"#),
        (403, r#"{"cloudflare_error":false,"error_code":1020}"#),
        (403, r#"{"error_code":1020}"#),
        (500, "error code:"),
        (500, "error code: twelve"),
        (521, r#"{"error":{"type":"api_error"}}"#),
        (200, QUEUE_PAGE),
        (302, "error code: 1015"),
    ] {
        assert_eq!(found(status, &fields, body), None, "{status} {body}");
    }
}

#[test]
fn statuses_that_only_cloudflare_sends_need_no_body() {
    for (status, class) in [
        (520, EdgeClass::OriginFailed),
        (521, EdgeClass::OriginDown),
        (525, EdgeClass::OriginTls),
        (530, EdgeClass::Unreachable),
    ] {
        assert_eq!(found(status, &[], "").unwrap().class(), class);
    }
    let named = found(530, &[], "error code: 1016").unwrap();
    assert_eq!(
        named.code,
        Some(1016),
        "the body knows better than the status"
    );
    assert_eq!(found(529, &[], ""), None, "529 is the API's own");
}

#[test]
fn the_owners_own_page_is_an_edge_error_without_a_code() {
    let page = "<html><body><h1>We will be back</h1><p>error 42, not found 1200 times</p></body>";

    let error = found(503, &[("retry-after", "5")], page).unwrap();

    assert_eq!(error.code, None);
    assert_eq!(error.class(), EdgeClass::Other);
    assert_eq!(error.retry_after, Some(Duration::from_secs(5)));
}

#[test]
fn the_header_tells_the_wait_before_the_body_does() {
    let json = r#"{"cloudflare_error":true,"error_code":"1200","retry_after":60}"#;

    let error = found(503, &[("retry-after", "7")], json).unwrap();

    assert_eq!(error.code, Some(1200), "a number in quotes is one");
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn texts_that_could_harm_are_left_out() {
    let json = r#"{"cloudflare_error":true,"error_code":99999999,"zone":"x\r\ny: z","ray_id":"<b>",
        "error_name":"rm -rf","retry_after":-1}"#;

    let nothing = EdgeError {
        status: 503,
        ..EdgeError::default()
    };
    assert_eq!(found(503, &[], json), Some(nothing));
}

#[test]
fn an_error_about_a_domain_is_about_the_hosts_in_it() {
    let about = |zone: &str, host| {
        let zone = Some(zone.to_owned());
        EdgeError {
            zone,
            ..EdgeError::default()
        }
        .is_about(host)
    };

    assert_eq!(about("supermemory.ai", "api.supermemory.ai"), Some(true));
    assert_eq!(about("api.supermemory.ai", "supermemory.ai"), Some(false));
    assert_eq!(
        about("memory.ai", "api.supermemory.ai"),
        Some(false),
        "half a label"
    );
    assert_eq!(EdgeError::default().is_about("api.supermemory.ai"), None);
}

#[test]
fn every_code_of_the_table_has_its_class() {
    use EdgeClass::{
        Blocked, Misaddressed, OriginDown, OriginFailed, OriginTls, Other, PlanUsedUp, QueueFull,
        RateLimited, Unreachable, WorkerFailed,
    };
    for (codes, class) in [
        (&[1200][..], QueueFull),
        (&[1015], RateLimited),
        (&[1025, 1027], PlanUsedUp),
        (&[1006, 1007, 1008, 1009, 1010, 1012, 1020, 1106], Blocked),
        (&[1000, 1003, 1013], Misaddressed),
        (&[1001, 1016, 1033, 530], Unreachable),
        (&[1101, 1102], WorkerFailed),
        (&[500, 502, 504, 520, 522, 524], OriginFailed),
        (&[521, 523], OriginDown),
        (&[525, 526], OriginTls),
        (&[1014, 1999, 526 + 1], Other),
    ] {
        for &code in codes {
            let error = EdgeError {
                code: Some(code),
                ..EdgeError::default()
            };
            assert_eq!(error.class(), class, "{code}");
            assert!(!explain(&error).is_empty());
        }
    }
}

proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(
        status in 100..600_u16,
        text in "(<html>|---\n|\\{|error code: |)\\PC{0,120}(<title>|error |ray id: |zone: )?\\PC{0,40}",
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        encoding in prop::sample::select(vec!["gzip", "br", "zstd", "identity", "x"]),
    ) {
        let packed = headers(&[("content-encoding", encoding)]);

        let error = read(status, &HeaderMap::new(), text.as_bytes(), UNIX_EPOCH);
        prop_assert!(error.is_none() || status >= 400);
        let _ = read(status, &packed, &bytes, UNIX_EPOCH);
    }

    #[test]
    fn a_page_names_its_code_and_zone_whatever_stands_around(
        before in "[a-z ,;é]{0,40}", after in "[a-z ,;<>é]{0,40}", code in 1000..2000_u16,
    ) {
        let page = format!(
            "<!DOCTYPE html><title>{before}</title><p>{before}<p>Error <b>{code}</b> {after}\
             <p>Too many requests for api.example.com.",
        );
        prop_assume!(!before.contains("error") && !after.contains('<'));

        let error = found(503, &[], &page).unwrap();

        prop_assert_eq!(error.code, Some(code));
        prop_assert_eq!(error.zone.as_deref(), Some("api.example.com"));
    }
}
