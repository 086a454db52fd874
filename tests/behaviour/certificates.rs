//! A TLS listener's certificate: taken up again when it changes, with nobody dropped; and which TLS is spoken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::{Edge, Hold, answer};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::*;
use crate::logs;
use crate::wire::{H2, tls, try_tls};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A certificate for `localhost` that vouches for itself, and its key.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Pair {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            cert: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

/// The files that a listener's pair is read from.
pub struct PairFiles {
    folder: TempDir,
}

impl PairFiles {
    pub fn holding(pair: &Pair) -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        files.put(pair);
        files
    }

    fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    pub fn put(&self, pair: &Pair) {
        replace(&self.cert(), &pair.cert);
        replace(&self.key(), &pair.key);
    }

    /// As a listener's setting.
    pub fn listen(&self) -> String {
        let (cert, key) = (self.cert(), self.key());
        format!(
            "listen: [{{address: '127.0.0.1:0', tls: {{cert: {}, key: {}}}}}]",
            cert.display(),
            key.display()
        )
    }
}

/// The old text or the new one, never half of it.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

struct World {
    edge: Edge,
    gateway: TestGateway,
    clock: ManualClock,
    files: PairFiles,
}

impl World {
    async fn showing(pair: &Pair) -> Self {
        let edge = Edge::answering([]).await.unwrap();
        let clock = ManualClock::default();
        let files = PairFiles::holding(pair);
        let gateway = TestGateway::in_front_of(&edge)
            .own(&files.listen())
            .clock(Arc::new(clock.clone()))
            .start()
            .await;
        Self {
            edge,
            gateway,
            clock,
            files,
        }
    }

    async fn h2(&self, trusted: &Pair) -> H2 {
        let (stream, agreed) = tls(self.gateway.address(), &trusted.cert, &["h2"]).await;
        assert_eq!(agreed.as_deref(), Some("h2"));
        H2::on(stream).await
    }

    async fn shows(&self, pair: &Pair) -> bool {
        let address = self.gateway.address();
        let shaken = try_tls(address, &pair.cert, &["h2"], &BOTH).await;
        shaken.is_ok()
    }

    /// Time goes on until this is counted.
    async fn until_counted(&self, outcome: &str) {
        let counted = async {
            let label = [("outcome", outcome)];
            let name = "certificate_reloads_total";
            while self.gateway.metric(name, &label).await < 1.0 {
                self.clock.advance(Duration::from_secs(1));
            }
        };
        soon(counted).await;
    }
}

async fn whole(h2: &mut H2, text: &str) -> bool {
    let mut exchange = h2.post("/v1/messages", &[]).await;
    exchange.send(turn(text).to_string().as_bytes(), 4096).await;
    let reply = exchange.reply().await;
    let said = String::from_utf8_lossy(&reply.body);
    reply.status == 200 && reply.whole && said.contains(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_to_new_connections_and_drops_no_old_one() {
    let (old, new) = (Pair::new(), Pair::new());
    let world = World::showing(&old).await;
    let hold = Hold::default();
    let mut connection = world.h2(&old).await;
    world
        .edge
        .script([answer::message("what was under way").held(&hold)]);
    let mut under_way = connection.post("/v1/messages", &[]).await;
    under_way
        .send(turn("hi").to_string().as_bytes(), 4096)
        .await;
    world
        .edge
        .wait_until(|stats| stats.posts == 1, PATIENCE)
        .await;

    world.files.put(&new);
    world.until_counted("ok").await;

    assert!(world.shows(&new).await, "to a new connection");
    assert!(!world.shows(&old).await);
    hold.release();
    let reply = under_way.reply().await;
    assert!(reply.whole, "the answer that was under way");
    assert!(String::from_utf8_lossy(&reply.body).contains("what was under way"));
    assert!(
        whole(&mut connection, "again").await,
        "on the old connection"
    );
    assert!(whole(&mut world.h2(&new).await, "anew").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_changes_nothing_and_is_told_once() {
    let (old, new) = (Pair::new(), Pair::new());
    let world = World::showing(&old).await;

    replace(&world.files.cert(), &new.cert);
    world.until_counted("failed").await;
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(60));
        assert!(world.shows(&old).await);
    }

    let name = world.files.cert().display().to_string();
    let told = logs::lines().into_iter();
    let told = told.filter(|line| line.target == "memgate::tls" && line.text.contains(&name));
    let told: Vec<String> = told.map(|line| line.text).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("the key does not belong to the certificate"));
    replace(&world.files.key(), &new.key);
    world.until_counted("ok").await;
    assert!(world.shows(&new).await, "when the key has come");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_day_of_a_certificate_is_a_metric() {
    let world = World::showing(&Pair::new()).await;

    let name = "certificate_not_after_seconds";
    comes(async || (world.gateway.metric(name, &[]).await >= 1.0).then_some(())).await;

    // The year 4096, as certificates that are made without a wish have it.
    let file = world.files.cert().display().to_string();
    let seconds = world.gateway.metric(name, &[("file", &file)]).await;
    assert_eq!(seconds, 67_090_118_400.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_1_3_agree_on_http_2_or_1_1_as_the_client_offers() {
    let pair = Pair::new();
    let world = World::showing(&pair).await;
    for version in BOTH {
        for (offer, agreed) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let address = world.gateway.address();
            let shaken = try_tls(address, &pair.cert, offer, &[version]).await;

            let (stream, found) = shaken.unwrap();
            assert_eq!(found.as_deref(), agreed, "{version:?}");
            let spoken = stream.get_ref().1.protocol_version();
            assert_eq!(spoken, Some(version.version));
        }
    }
}

/// A hello that offers TLS 1.0 or 1.1 at most, with ciphers and signatures of that time.
fn old_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend([7; 32]);
    hello.push(0);
    let ciphers = [
        0xc0, 0x13, 0xc0, 0x14, 0xc0, 0x09, 0xc0, 0x0a, 0, 0x2f, 0, 0x35,
    ];
    hello.extend([0, ciphers.len() as u8]);
    hello.extend(ciphers);
    hello.extend([1, 0]);
    let groups = [0, 10, 0, 4, 0, 2, 0, 23];
    let points = [0, 11, 0, 2, 1, 0];
    let signatures = [0, 13, 0, 6, 0, 4, 4, 1, 4, 3];
    let extensions = [&groups[..], &points, &signatures].concat();
    hello.extend([0, extensions.len() as u8]);
    hello.extend(extensions);
    let mut handshake = vec![1, 0, 0, hello.len() as u8];
    handshake.extend(hello);
    let mut record = vec![22, 3, 1, 0, handshake.len() as u8];
    record.extend(handshake);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn older_tls_is_refused_by_its_version() {
    let world = World::showing(&Pair::new()).await;
    for minor in [1, 2] {
        let mut socket = TcpStream::connect(world.gateway.address()).await.unwrap();

        socket.write_all(&old_hello(minor)).await.unwrap();
        let mut said = Vec::new();
        soon(socket.read_to_end(&mut said)).await.unwrap();

        let (alert, fatal, protocol_version) = (21, 2, 70);
        assert_eq!(said.first(), Some(&alert), "TLS 1.{}", minor - 1);
        assert_eq!(said[5..], [fatal, protocol_version]);
    }
}
