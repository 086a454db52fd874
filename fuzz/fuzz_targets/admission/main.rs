//! Is there a request that gets in without a key, that goes up otherwise than it came, or that is judged by how it was cut?
#![no_main]

mod framing;
mod world;

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, header};
use libfuzzer_sys::fuzz_target;
use memgate::body::{DecodeBounds, Encoding, Envelope, decode};
use pingora_http::RequestHeader;
use serde_json::Value;

use framing::Message;
use world::{ANNAS, Fate, MAPPED_USERS, MASTER, PROVIDER, PROVIDER_KEY, ROUTER, World};

static WORLD: LazyLock<World> = LazyLock::new(World::new);
const BOUNDS: DecodeBounds = DecodeBounds {
    max_bytes: 64 << 10,
    max_ratio: 200,
};

/// Neither of the client's business nor of any other hop's.
const NEVER_SENT: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "api-key",
    "x-litellm-api-key",
    "x-goog-api-key",
    "cookie",
    "forwarded",
    "via",
    "x-real-ip",
];
const UNPARSABLE: &str = "the request is not valid HTTP/1.1";
const CREDENTIALS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-litellm-api-key"];
const PRIVATE: [&str; 5] = ["x-memgate-", "x-litellm-", "x-sm-", "cf-", "x-forwarded-"];

fn count(headers: &HeaderMap, name: &str) -> usize {
    headers.get_all(name).iter().count()
}

fn only<'h>(headers: &'h HeaderMap, name: &str) -> &'h [u8] {
    assert_eq!(count(headers, name), 1, "one {name}");
    headers[name].as_bytes()
}

/// What goes to a provider: in our name and nobody else's.
fn assert_ours(head: &RequestHeader, came: &Message) {
    let presents = |key: &str| {
        let fields = CREDENTIALS.iter().flat_map(|name| came.all(name));
        let mut keys = fields.map(|field| field.get(field.len().saturating_sub(key.len())..));
        keys.any(|end| end == Some(key.as_bytes()))
    };
    assert!(
        presents(MASTER) || presents(ANNAS),
        "admitted without a key"
    );
    let headers = &head.headers;
    for name in NEVER_SENT {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(only(headers, "x-api-key"), PROVIDER_KEY.as_bytes());
    assert!(headers.contains_key("anthropic-version"));
    let router = only(headers, "host") == ROUTER.as_bytes();
    for name in headers.keys().map(|name| name.as_str()) {
        let private = PRIVATE.iter().any(|prefix| name.starts_with(prefix));
        assert!(!private || router && name == "x-sm-user-id", "{name}");
        assert!(!name.starts_with("x-supermemory-") || router, "{name}");
    }
    if router {
        let user = only(headers, "x-sm-user-id");
        assert!(presents(MASTER) || user == b"anna", "{user:?}");
        let ours = MAPPED_USERS.map(str::as_bytes);
        let mut named = came
            .all("x-memory-user")
            .chain(ours)
            .chain([b"anna".as_slice()]);
        assert!(named.any(|named| named == user), "{user:?}");
        assert_eq!(only(headers, "x-supermemory-api-key"), b"sm-of-ours");
    }
}

/// The body that came is the one that goes, but for the model's name.
fn assert_same_body(head: &RequestHeader, came: &Message, body: &[u8]) {
    let coded: Vec<_> = came.all("content-encoding").collect();
    let unpacked = coded.len() == 1 && !head.headers.contains_key(header::CONTENT_ENCODING);
    let came = if unpacked {
        let coding = (
            header::CONTENT_ENCODING,
            coded[0].try_into().expect("it was one"),
        );
        let coding = Encoding::of(&HeaderMap::from_iter([coding])).expect("one of ours");
        decode(coding, &came.body, BOUNDS).expect("it was unpacked")
    } else {
        Bytes::from(came.body.clone())
    };
    let (Ok(before), Ok(after)) = (Envelope::scan(&came), Envelope::scan(body)) else {
        assert_eq!(came, body);
        return;
    };
    assert_eq!(came[..before.model_at.start], body[..after.model_at.start]);
    assert_eq!(came[before.model_at.end..], body[after.model_at.end..]);
}

fn assert_admissible(head: &RequestHeader, body: &[u8], sent: &[u8]) {
    let came = Message::read(sent).expect("what can be read in two ways is refused");
    assert!(came.all("host").count() <= 1);
    let headers = &head.headers;
    let underscored = headers.keys().find(|name| name.as_str().contains('_'));
    assert_eq!(underscored, None, "some read it as a hyphen");
    let lengths = count(headers, "content-length");
    assert!(
        lengths + count(headers, "transfer-encoding") <= 1,
        "one framing"
    );
    if lengths == 1 {
        assert_eq!(
            only(headers, "content-length"),
            body.len().to_string().as_bytes()
        );
    }
    let direct = [ROUTER, PROVIDER]
        .map(str::as_bytes)
        .contains(&only(headers, "host"));
    if direct {
        assert_ours(head, &came);
        assert_eq!(lengths, 1);
    }
    let translated = direct && came.line.windows(12).any(|part| part == b"/completions");
    if !translated {
        assert_same_body(head, &came, body);
    }
}

/// The answer without what differs from request to request.
fn assert_answer(told: &[u8], sent: &[u8]) -> (u16, Value) {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(start) = answer.parse(told).expect("an answer") else {
        panic!("half an answer");
    };
    let status = answer.code.expect("a status");
    if status == 100 {
        return assert_answer(&told[start..], sent);
    }
    let length = answer
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.map(|field| std::str::from_utf8(field.value).expect("digits"));
    let body = &told[start..];
    let bodiless = sent.trim_ascii_start().starts_with(b"HEAD ") || status == 204;
    // A head that cannot be read has no method, and its answer ends the connection.
    if bodiless && (body.is_empty() || status != 400) {
        assert!(body.is_empty());
        return (status, Value::Null);
    }
    assert_eq!(
        length.and_then(|length| length.parse().ok()),
        Some(body.len())
    );
    let mut said: Value = serde_json::from_slice(body).unwrap_or_default();
    if status >= 400 {
        assert!(said.get("error").is_some_and(Value::is_object), "{said}");
    }
    if said["error"]["message"] == UNPARSABLE {
        // How much of its path was there depends on the cut, and with it the dialect.
        said = Value::Null;
    }
    if let Some(said) = said.as_object_mut() {
        said.remove("request_id");
    }
    (status, said)
}

/// Pingora mends a target that holds what it may not, where it has the whole line at once, and refuses it otherwise.
fn is_mended(sent: &[u8]) -> bool {
    let line = sent.trim_ascii_start().split(|byte| *byte == b'\n').next();
    let mut words = line.unwrap_or_default().splitn(2, |byte| *byte == b' ');
    let target = words.nth(1).unwrap_or_default().trim_ascii_end();
    let target = target
        .strip_suffix(b" HTTP/1.1")
        .or(target.strip_suffix(b" HTTP/1.0"));
    let sound =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(byte);
    !target.is_some_and(|target| target.iter().all(sound))
}

/// Whether both came to the same.
fn assert_same(whole: &Fate, cut: &Fate, sent: &[u8]) {
    match (whole, cut) {
        (Fate::Unread, Fate::Unread) => {}
        (Fate::Answered(one), Fate::Answered(other)) => {
            assert_eq!(assert_answer(one, sent), assert_answer(other, sent));
        }
        (Fate::Admitted(one, body), Fate::Admitted(other, same)) => {
            assert_eq!(body, same);
            assert_eq!((&one.method, &one.uri), (&other.method, &other.uri));
            let named = |head: &RequestHeader| {
                let mut headers = head.headers.clone();
                // Made anew for each.
                for made in ["x-request-id", "traceparent"] {
                    headers.remove(made);
                }
                headers
            };
            assert_eq!(named(one), named(other));
        }
        (whole, cut) => panic!("whole {whole:?}, cut {cut:?}"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, sent)) = data.split_first() else {
        return;
    };

    let fate = WORLD.send([sent].into_iter());

    if let Fate::Admitted(head, body) = &fate {
        assert_admissible(head, body, sent);
    }
    if is_mended(sent) {
        return;
    }
    let length = usize::from(cut).max(1 + sent.len() / 64);
    assert_same(&fate, &WORLD.send(sent.chunks(length)), sent);
});
