//! HTTP/2 said frame by frame, by those who want to hurt: each is cut off, and the next client is served.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use memgate::sim::{Edge, LiteLlm, LiteLlmOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

struct World {
    litellm: LiteLlm,
    gateway: TestGateway,
}

/// The connection of somebody who does not keep to the rules.
struct Rude {
    stream: TcpStream,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Bytes,
}

impl World {
    async fn new() -> Self {
        let edge = Edge::answering([]).await.unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge)
            .with_litellm(&litellm)
            .with_h2c()
            .start()
            .await;
        Self { litellm, gateway }
    }

    /// A client that has said its preface and its settings.
    async fn rude(&self) -> Rude {
        let mut rude = Rude {
            stream: TcpStream::connect(self.gateway.address()).await.unwrap(),
        };
        rude.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        rude.send(SETTINGS, 0, 0, &[]).await;
        rude
    }

    async fn serves_others(&self) -> bool {
        for down in Down::BOTH {
            let request = down.client().get(self.gateway.url("/health"));
            if soon(request.send()).await.unwrap().status() != 200 {
                return false;
            }
        }
        true
    }

    fn asked(&self) -> usize {
        asked(&self.litellm).len()
    }
}

impl Rude {
    /// What cannot be written any more is not: `false`.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        soon(self.stream.write_all(bytes)).await.is_ok()
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.write(&frame(kind, flags, stream, payload)).await
    }

    /// `None`: the connection has ended.
    async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.stream.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        soon(self.stream.read_exact(&mut payload)).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload: payload.into(),
        })
    }

    /// Reads on to the end of the connection; whether a goodbye came before it.
    async fn is_sent_away(&mut self) -> bool {
        let mut goodbye = false;
        while let Some(frame) = self.frame().await {
            goodbye |= frame.kind == GOAWAY;
        }
        goodbye
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(9 + payload.len());
    frame.put_uint(payload.len() as u64, 3);
    frame.put_u8(kind);
    frame.put_u8(flags);
    frame.put_u32(stream);
    frame.put_slice(payload);
    frame.freeze()
}

/// Fields by HPACK's table (RFC 7541, appendix A), others said in full.
fn head(method: u8, path: &str, more: &[u8]) -> Vec<u8> {
    let mut block = vec![0x80 | method, 0x86];
    literal(&mut block, 4, path);
    literal(&mut block, 1, "gateway");
    block.extend_from_slice(more);
    block
}

/// A field whose name is in the table, without a place there for it.
fn literal(block: &mut Vec<u8>, name: u8, value: &str) {
    block.push(name);
    block.push(value.len() as u8);
    block.extend_from_slice(value.as_bytes());
}

const GET: u8 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn the_bounds_of_a_connection_are_said_at_once() {
    let world = World::new().await;
    let mut client = world.rude().await;

    let settings = client.frame().await.unwrap();

    assert_eq!((settings.kind, settings.flags), (SETTINGS, 0));
    let said: Vec<(u16, u32)> = settings
        .payload
        .chunks(6)
        .map(|one| {
            let value = u32::from_be_bytes([one[2], one[3], one[4], one[5]]);
            (u16::from_be_bytes([one[0], one[1]]), value)
        })
        .collect();
    assert!(said.contains(&(3, 100)), "streams: {said:?}");
    let fields = said.iter().find(|(name, _)| *name == 6);
    assert!(
        fields.is_some_and(|(_, bytes)| *bytes <= 64 << 10),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_taken_back_as_soon_as_they_are_made_end_the_connection() {
    let world = World::new().await;
    let mut client = world.rude().await;
    let block = head(GET, "/v1/files", &[]);
    let mut made = 0;
    for burst in 0..200u32 {
        let mut frames = BytesMut::new();
        for n in 0..100 {
            let stream = 2 * (burst * 100 + n) + 1;
            frames.put(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
            frames.put(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        }
        if !client.write(&frames).await {
            break;
        }
        made += 100;
    }

    client.is_sent_away().await;

    assert!(world.serves_others().await);
    world.gateway.settled().await;
    let reached = world.asked();
    assert!(reached <= 500, "{reached} of {made} went up");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_we_are_made_to_reset_end_the_connection() {
    let world = World::new().await;
    let mut client = world.rude().await;
    let block = head(GET, "/v1/files", &[]);
    for n in 0..2_000 {
        let stream = 2 * n + 1;
        let mut frames = BytesMut::new();
        frames.put(frame(HEADERS, END_HEADERS, stream, &block));
        // A window that grows by nothing is an error of the stream.
        frames.put(frame(8, 0, stream, &0u32.to_be_bytes()));
        if !client.write(&frames).await {
            break;
        }
    }

    assert!(client.is_sent_away().await);

    assert!(world.serves_others().await);
    assert!(world.asked() <= 500, "{}", world.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_an_end_ends_the_connection() {
    let world = World::new().await;
    let mut client = world.rude().await;
    client
        .send(HEADERS, END_STREAM, 1, &head(GET, "/v1/files", &[]))
        .await;
    let mut more = Vec::new();
    literal(&mut more, 0x0f, &"y".repeat(100));
    // An index beyond four bits: 15 and 4 make 19, `accept`.
    more.insert(1, 4);
    for _ in 0..20_000 {
        if !client.send(CONTINUATION, 0, 1, &more).await {
            break;
        }
    }

    assert!(client.is_sent_away().await);

    assert!(world.serves_others().await);
    assert_eq!(world.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_head_that_unpacks_to_a_large_one_is_refused() {
    let world = World::new().await;
    let mut client = world.rude().await;
    // One field of 4000 bytes in the table, named again in one byte each.
    let mut bomb = vec![0x40, 1, b'x', 0x7f];
    bomb.extend([
        (4000u32 - 127) as u8 & 0x7f | 0x80,
        ((4000u32 - 127) >> 7) as u8,
    ]);
    bomb.extend(vec![b'y'; 4000]);
    bomb.extend(vec![0xbe; 10_000]);

    const STREAMS: u32 = 20;
    for stream in 0..STREAMS {
        let block = if stream == 0 {
            head(GET, "/v1/files", &bomb)
        } else {
            head(GET, "/v1/files", &[0xbe; 14_000])
        };
        let flags = END_HEADERS | END_STREAM;
        client.send(HEADERS, flags, 2 * stream + 1, &block).await;
    }
    client.send(PING, 0, 0, &[7; 8]).await;
    let mut refused = BTreeSet::new();
    let mut goodbye = false;
    while let Some(frame) = client.frame().await {
        match frame.kind {
            HEADERS | RST_STREAM => {
                refused.insert(frame.stream);
            }
            PING if frame.flags == ACK => break,
            GOAWAY => goodbye = true,
            DATA => panic!("it was answered"),
            _ => {}
        }
    }

    assert!(world.serves_others().await);
    let all: BTreeSet<u32> = (0..STREAMS).map(|stream| 2 * stream + 1).collect();
    assert!(goodbye || refused == all, "{refused:?}");
    assert_eq!(world.asked(), 0, "none of them went up");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_pings_without_end_do_not_pile_up() {
    const BLOCKED: std::time::Duration = std::time::Duration::from_secs(2);
    let world = World::new().await;
    let mut client = world.rude().await;
    let mut frames = BytesMut::new();
    for _ in 0..1_000 {
        frames.put(frame(PING, 0, 0, &[7; 8]));
        frames.put(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]));
    }
    // It does not read what comes back, so that at some point nothing more is taken.
    let (_unread, mut writer) = client.stream.split();
    let flood = async {
        for _ in 0..2_000 {
            match tokio::time::timeout(BLOCKED, writer.write_all(&frames)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return false,
            }
        }
        true
    };

    let took_all = soon(flood).await;

    assert!(!took_all, "64 MB, and what is to be said of them somewhere");
    assert!(world.serves_others().await);
}
