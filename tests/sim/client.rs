//! The clients of these tests: reqwest for what any client can do, bare TLS and h2 for the rest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use memgate::sim::{Edge, EdgeOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const SOON: Duration = Duration::from_secs(60);
/// How soon a departure is noticed, on a machine with other things to do.
pub const PROMPTLY: Duration = Duration::from_secs(3);
pub const ROUTER: &str = "/v3/api.anthropic.com/v1/messages";

pub async fn edge() -> Edge {
    edge_with(EdgeOptions::default()).await
}

pub async fn edge_with(options: EdgeOptions) -> Edge {
    Edge::start(options).await.unwrap()
}

/// HTTP/1.1 by reqwest, trusting the edge alone.
pub fn browser(edge: &Edge) -> reqwest::Client {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(edge.ca_pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .resolve("api.supermemory.ai", edge.addr())
        .build()
        .unwrap()
}

pub fn url(edge: &Edge, path: &str) -> String {
    format!("https://api.supermemory.ai:{}{path}", edge.addr().port())
}

pub fn ask(text: &str) -> Value {
    json!({
        "model": "claude-sonnet-4-5",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": text}],
    })
}

/// A POST through the router with all that the router and the provider demand.
pub fn post(client: &reqwest::Client, edge: &Edge, body: &Value) -> reqwest::RequestBuilder {
    client
        .post(url(edge, ROUTER))
        .header("x-supermemory-api-key", "sm-key")
        .header("x-sm-user-id", "alice")
        .header("x-api-key", "sk-ant")
        .header("anthropic-version", "2023-06-01")
        .json(body)
}

/// The data of each event of a stream.
pub fn events(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

pub fn tls_config(edge: &Edge, alpn: &[u8]) -> Arc<ClientConfig> {
    tls_config_of(edge, alpn, rustls::DEFAULT_VERSIONS)
}

pub fn tls_config_of(
    edge: &Edge,
    alpn: &[u8],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(edge.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

pub async fn connect(edge: &Edge, config: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(edge.addr()).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = ServerName::try_from("api.anthropic.com").unwrap();
    TlsConnector::from(config).connect(name, tcp).await.unwrap()
}

/// A bare HTTP/1.1 connection.
pub struct Wire(TlsStream<TcpStream>);

impl Wire {
    pub async fn to(edge: &Edge) -> Self {
        Self(connect(edge, tls_config(edge, b"http/1.1")).await)
    }

    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// A POST's head announcing `length` bytes, and the first of them.
    pub async fn post(&mut self, length: usize, first: &[u8]) {
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: api.anthropic.com\r\n\
             anthropic-version: 2023-06-01\r\ncontent-length: {length}\r\n\r\n"
        );
        self.write(&[head.as_bytes(), first].concat())
            .await
            .unwrap();
    }

    pub async fn ask(&mut self, text: &str) {
        let body = ask(text).to_string();
        self.post(body.len(), body.as_bytes()).await;
    }

    /// Everything up to and with this text.
    pub async fn read_to(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            match self.0.read_u8().await {
                Ok(byte) => text.push(byte),
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&text)),
            }
        }
        String::from_utf8(text).unwrap()
    }

    /// Everything up to the end, and how it ended.
    pub async fn read_all(&mut self) -> (String, std::io::Result<()>) {
        let mut bytes = Vec::new();
        let end = self.0.read_to_end(&mut bytes).await;
        (String::from_utf8_lossy(&bytes).into_owned(), end.map(drop))
    }
}

/// An HTTP/2 connection; the second part ends with the connection.
pub async fn h2(
    edge: &Edge,
) -> (
    SendRequest<Bytes>,
    tokio::task::JoinHandle<Option<h2::Error>>,
) {
    let tls = connect(edge, tls_config(edge, b"h2")).await;
    let (requests, connection) = h2::client::handshake(tls).await.unwrap();
    let driver = tokio::spawn(async move { connection.await.err() });
    (requests.ready().await.unwrap(), driver)
}

pub fn h2_post() -> Request<()> {
    Request::post("https://api.anthropic.com/v1/messages")
        .header("anthropic-version", "2023-06-01")
        .body(())
        .unwrap()
}

/// The body, and the error that ended it if one did.
pub async fn h2_body(body: &mut h2::RecvStream) -> (Vec<u8>, Option<h2::Error>) {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        match piece {
            Ok(piece) => {
                body.flow_control().release_capacity(piece.len()).unwrap();
                bytes.extend_from_slice(&piece);
            }
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}
