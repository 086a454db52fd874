//! Requests that two servers could read differently: refused before an upstream sees them, and of no effect on the
//! honest client whose requests go by the same connections.

use std::collections::BTreeSet;

use memgate::sim::{Alpn, Console, Edge, EdgeOptions, LiteLlm, LiteLlmOptions};

use crate::harness::*;
use crate::wire::{Raw, Reply};

/// What an attacker hopes somebody takes for a request.
const HIDDEN: &str = "POST /v1/hidden HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n";
/// Where a body goes: to a provider, to LiteLLM held, to LiteLLM streamed.
const WAYS: [&str; 3] = ["/v1/messages", "/v1/chat/completions", "/v1/files"];

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

impl World {
    async fn new() -> Self {
        let options = EdgeOptions {
            alpn: Alpn::H1,
            ..EdgeOptions::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge)
            .with_litellm(&litellm)
            .start()
            .await;
        Self {
            edge,
            litellm,
            gateway,
        }
    }

    async fn client(&self) -> Raw {
        Raw::connect(self.gateway.address()).await
    }

    /// What reached an upstream since the last look.
    fn arrived(&self) -> Vec<String> {
        let consoles: [&Console; 2] = [&self.edge, &self.litellm];
        let seen = consoles.map(|console| {
            let seen = asked(console);
            console.reset();
            seen
        });
        let posts = seen.into_iter().flatten().filter(|one| one.method != "GET");
        posts.map(|one| one.target).collect()
    }

    /// The answers to these bytes, up to so many; whether the connection ended before that.
    async fn answers(&self, bytes: &str, most: usize) -> (Vec<Reply>, bool) {
        let mut client = self.client().await;
        client.send(bytes.as_bytes()).await;
        let mut answers = Vec::new();
        while answers.len() < most {
            match client.reply_or_end().await {
                Some(answer) => answers.push(answer),
                None => return (answers, true),
            }
        }
        (answers, false)
    }
}

/// An honest client that keeps its connection: every answer must be its own.
struct Honest {
    client: Raw,
    turns: usize,
}

impl Honest {
    async fn new(world: &World) -> Self {
        Self {
            client: world.client().await,
            turns: 0,
        }
    }

    async fn is_served_as_ever(&mut self, after: &str) {
        for (way, model) in [("/v1/messages", MODEL), ("/v1/chat/completions", OTHER)] {
            self.turns += 1;
            let said = format!("turn {} of mine", self.turns);
            let body = turn(&said).to_string().replace(MODEL, model);
            let length = format!("content-length: {}\r\n", body.len());

            self.client.post(way, &length).await;
            self.client.send(body.as_bytes()).await;
            let answer = self.client.reply().await;

            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, 200, "{way} after {after:?}: {text}");
            assert!(text.contains(&said), "{way} after {after:?}: {text}");
        }
    }
}

fn post(way: &str, fields: &str, body: &str) -> String {
    format!(
        "POST {way} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {MASTER}\r\n{fields}\r\n\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_in_two_places_is_a_400_and_the_end() {
    let world = World::new().await;
    let mut honest = Honest::new(&world).await;
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: Chunked",
        "content-length: 5\r\ncontent-length: 5",
        "content-length: 5, 5",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: 0x5",
        "content-length: -5",
        "content-length: 5 5",
        "content-length:",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: x\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: x",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: identity",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: \u{b}chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding : chunked",
        " transfer-encoding: chunked",
        "transfer-encoding\t: chunked",
        "x: y\rtransfer-encoding: chunked",
        "x: \u{0}\r\ntransfer-encoding: chunked",
    ] {
        for way in WAYS {
            let (answers, ended) = world.answers(&post(way, fields, &chunked), 2).await;

            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, [400], "{way} {fields:?}");
            assert!(ended, "{way} {fields:?}");
            assert!(world.arrived().is_empty(), "{way} {fields:?}");
        }
        honest.is_served_as_ever(fields).await;
        world.arrived();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_or_an_encoding_that_is_mistaken_for_one_never_splits_a_request() {
    let world = World::new().await;
    let mut honest = Honest::new(&world).await;
    let mut forms = BTreeSet::new();
    // A bare LF is the end of a line, and so no part of a field.
    let odd = (0..=32u8).filter(|byte| *byte != b'\n');
    for byte in odd.chain([b':', b',', b';', b'"', b'_', 127]) {
        let c = char::from(byte);
        forms.insert(format!("transfer-encoding:{c}chunked"));
        forms.insert(format!("transfer-encoding{c}: chunked"));
        forms.insert(format!("transfer-encoding: chunked{c}"));
        forms.insert(format!("{c}transfer-encoding: chunked"));
    }
    assert!(forms.len() > 130);
    let hidden = HIDDEN.len();
    for form in forms {
        // Read by its length it is one request; by its chunks, it is two.
        let body = format!("0\r\n\r\n{HIDDEN}");
        let length = format!("content-length: {}", body.len());
        for fields in [format!("{length}\r\n{form}"), format!("{form}\r\n{length}")] {
            let (answers, _) = world.answers(&post("/v1/files", &fields, &body), 1).await;

            let refused = answers.first().is_none_or(|answer| answer.status == 400);
            let arrived = world.arrived();
            let one = arrived == ["/v1/files"];
            assert!(
                if refused { arrived.is_empty() } else { one },
                "{fields:?}: {arrived:?}"
            );
            if let (false, Some(answer)) = (refused, answers.first()) {
                let whole = answer.json()["body_length"] == 5 + hidden;
                assert!(whole, "{fields:?}: {:?}", answer.json());
            }
        }
    }
    honest.is_served_as_ever("all of them").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_servers_count_differently_are_a_400_and_the_end() {
    let world = World::new().await;
    let mut honest = Honest::new(&world).await;
    for chunk in [
        "0x5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "5 5\r\nhello\r\n",
        "g\r\nhello\r\n",
        "10000000000000005\r\nhello\r\n",
        "5\nhello\r\n",
        "3\r\nhello\r\n",
    ] {
        for way in WAYS {
            let body = format!("{chunk}0\r\n\r\n{HIDDEN}");
            let sent = post(way, "transfer-encoding: chunked", &body);

            let (answers, ended) = world.answers(&sent, 2).await;

            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, [400], "{way} {chunk:?}");
            assert!(ended, "{way} {chunk:?}");
            let hidden = world.arrived();
            assert!(!hidden.iter().any(|target| target.contains("hidden")));
        }
        honest.is_served_as_ever(chunk).await;
        world.arrived();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_framing_arrives_once_and_in_one_form() {
    let world = World::new().await;
    let body = turn("hello").to_string();
    let chunk = format!(
        "{:x};ext=1\r\n{body}\r\n0\r\nx-trailer: 1\r\n\r\n",
        body.len()
    );
    for (fields, body) in [
        (format!("content-length: {}", body.len()), &body),
        (format!("content-length:   {}  ", body.len()), &body),
        ("Transfer-Encoding: CHUNKED".to_owned(), &chunk),
    ] {
        let (answers, _) = world.answers(&post("/v1/messages", &fields, body), 1).await;

        assert_eq!(answers[0].status, 200, "{fields:?}");
        let seen = asked(&world.edge);
        assert_eq!(seen.len(), 1, "{fields:?}");
        assert_eq!(seen[0].header("transfer-encoding"), None, "{fields:?}");
        let length = seen[0].body.length.to_string();
        assert_eq!(
            seen[0].header("content-length"),
            Some(&*length),
            "{fields:?}"
        );
        world.arrived();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_an_underscore_is_not_passed_on() {
    let world = World::new().await;
    let body = turn("hello").to_string();
    for way in WAYS {
        let fields = format!(
            "content-length: {}\r\ncontent_length: 4\r\ntransfer_encoding: chunked\r\nx_sm_user_id: mallory",
            body.len()
        );

        let (answers, _) = world.answers(&post(way, &fields, &body), 1).await;

        assert_eq!(answers[0].status, 200, "{way}");
        let mut seen = asked(&world.edge);
        seen.extend(asked(&world.litellm));
        let names = seen.iter().flat_map(|one| &one.headers);
        let odd: Vec<_> = names.filter(|(name, _)| name.contains('_')).collect();
        assert!(odd.is_empty(), "{way}: {odd:?}");
        world.arrived();
    }
}
