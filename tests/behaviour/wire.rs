//! Clients that say every byte themselves: HTTP/1.1 on a bare socket, HTTP/2 on the bare `h2` crate.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use rustls::SupportedProtocolVersion;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{MASTER, PATIENCE};

pub async fn soon<T>(what: &str, step: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, step).await {
        Ok(done) => done,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}

/// One answer, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The body ended as its framing says, not with the connection.
    pub whole: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An HTTP/1.1 connection.
pub struct Raw<S = TcpStream> {
    io: S,
    unread: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn on(io: S) -> Self {
        Self {
            io,
            unread: Vec::new(),
        }
    }

    /// A POST's head with the master key; `more` are whole header lines.
    pub async fn post(&mut self, target: &str, more: &str) {
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {MASTER}\r\ncontent-type: application/json\r\n{more}\r\n"
        );
        self.send(head.as_bytes()).await;
    }

    /// What cannot be written any more is not: the other side may have answered and closed.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = soon("writing", self.io.write_all(bytes)).await;
    }

    /// Pieces as chunks, and the last chunk.
    pub async fn chunks(&mut self, body: &[u8], piece: usize) {
        for piece in body.chunks(piece) {
            self.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
            self.send(piece).await;
            self.send(b"\r\n").await;
        }
        self.send(b"0\r\n\r\n").await;
    }

    /// The next answer, an informational one included.
    pub async fn reply(&mut self) -> Reply {
        soon("the answer", self.read()).await
    }

    /// Whether something has come, an end included.
    pub async fn has_said(&mut self) -> bool {
        if !self.unread.is_empty() {
            return true;
        }
        let brief = std::time::Duration::from_millis(1);
        tokio::time::timeout(brief, self.more()).await.is_ok()
    }

    /// The next answer, or `None` where the connection ends first.
    pub async fn reply_or_end(&mut self) -> Option<Reply> {
        let first = async { !self.unread.is_empty() || self.more().await };
        if soon("an answer or the end", first).await {
            Some(self.reply().await)
        } else {
            None
        }
    }

    /// Whether the connection ends without another byte.
    pub async fn ended(&mut self) -> bool {
        self.unread.is_empty() && !soon("the end", self.more()).await
    }

    async fn read(&mut self) -> Reply {
        let (status, headers, length) = loop {
            if let Some(head) = parse(&self.unread) {
                break head;
            }
            assert!(self.more().await, "the connection ended before an answer");
        };
        self.unread.drain(..length);
        let mut reply = Reply {
            status,
            headers,
            body: Vec::new(),
            whole: true,
        };
        if status < 200 || status == 204 {
            return reply;
        }
        if reply.header("transfer-encoding") == "chunked" {
            reply.whole = self.read_chunks(&mut reply.body).await;
        } else if let Ok(length) = reply.header("content-length").parse() {
            reply.whole = self.take(length, &mut reply.body).await;
        } else {
            while self.more().await {}
            reply.body.append(&mut self.unread);
        }
        reply
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let end = loop {
                if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                    break end;
                }
                if !self.more().await {
                    return false;
                }
            };
            let size = std::str::from_utf8(&self.unread[..end]).unwrap_or_default();
            let size = usize::from_str_radix(size, 16).unwrap_or_default();
            self.unread.drain(..end + 2);
            let mut line_end = Vec::new();
            if !self.take(size, body).await || !self.take(2, &mut line_end).await {
                return false;
            }
            if size == 0 {
                return true;
            }
        }
    }

    async fn take(&mut self, length: usize, into: &mut Vec<u8>) -> bool {
        while self.unread.len() < length {
            if !self.more().await {
                into.append(&mut self.unread);
                return false;
            }
        }
        into.extend(self.unread.drain(..length));
        true
    }

    async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 64 << 10];
        match self.io.read(&mut buffer).await {
            Ok(read) => {
                self.unread.extend_from_slice(&buffer[..read]);
                read > 0
            }
            Err(_) => false,
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(u16, HeaderMap, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes).unwrap() {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return None,
    };
    let headers = head.headers.iter().map(|field| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).unwrap();
        (name, HeaderValue::from_bytes(field.value).unwrap())
    });
    Some((head.code.unwrap(), headers.collect(), length))
}

/// Speaks TLS with `address`, trusting only `ca`; what was agreed on by ALPN comes with it.
pub async fn tls(
    address: SocketAddr,
    ca: &str,
    offer: &[&str],
) -> (TlsStream<TcpStream>, Option<String>) {
    try_tls(address, ca, offer, rustls::DEFAULT_VERSIONS)
        .await
        .unwrap()
}

/// The same with these versions only, where it may fail.
pub async fn try_tls(
    address: SocketAddr,
    ca: &str,
    offer: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<(TlsStream<TcpStream>, Option<String>)> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offer.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await?;
    let agreed = stream.get_ref().1.alpn_protocol();
    let agreed = agreed.map(|name| String::from_utf8_lossy(name).into_owned());
    Ok((stream, agreed))
}

/// An HTTP/2 connection.
pub struct H2 {
    requests: SendRequest<Bytes>,
}

/// A request whose body is under way.
pub struct Exchange {
    pub upload: SendStream<Bytes>,
    answer: ResponseFuture,
}

impl H2 {
    /// By prior knowledge, without TLS.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).await.unwrap()).await
    }

    pub async fn on(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(8 << 20)
            .initial_connection_window_size(16 << 20)
            .handshake(io)
            .await
            .unwrap();
        tokio::spawn(connection);
        Self { requests }
    }

    /// Sends a POST's head with the master key.
    pub async fn post(&mut self, target: &str, more: &[(&str, &str)]) -> Exchange {
        let mut request = Request::post(format!("http://gateway{target}"))
            .header("authorization", format!("Bearer {MASTER}"))
            .header("content-type", "application/json");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        poll_fn(|cx| self.requests.poll_ready(cx)).await.unwrap();
        let (answer, upload) = self
            .requests
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        Exchange { upload, answer }
    }
}

impl Exchange {
    /// The body, piece by piece, and its end; it stops when the other side wants no more.
    pub async fn send(&mut self, body: &[u8], piece: usize) {
        for piece in body.chunks(piece.max(1)) {
            if !soon("the upload", self.piece(Bytes::copy_from_slice(piece))).await {
                return;
            }
        }
        let _ = self.upload.send_data(Bytes::new(), true);
    }

    async fn piece(&mut self, mut piece: Bytes) -> bool {
        while !piece.is_empty() {
            self.upload.reserve_capacity(piece.len());
            let Some(Ok(room)) = poll_fn(|cx| self.upload.poll_capacity(cx)).await else {
                return false;
            };
            let part = piece.split_to(room.min(piece.len()));
            if self.upload.send_data(part, false).is_err() {
                return false;
            }
        }
        true
    }

    pub async fn reply(self) -> Reply {
        let (status, headers, body) = soon("the answer", self.head()).await;
        soon("the answer's body", rest(status, headers, body)).await
    }

    pub async fn head(self) -> (StatusCode, HeaderMap, RecvStream) {
        let (head, body) = self.answer.await.unwrap().into_parts();
        (head.status, head.headers, body)
    }
}

async fn rest(status: StatusCode, headers: HeaderMap, mut stream: RecvStream) -> Reply {
    let (mut body, mut whole) = (Vec::new(), true);
    while let Some(piece) = stream.data().await {
        match piece {
            Ok(piece) => {
                let _ = stream.flow_control().release_capacity(piece.len());
                body.extend_from_slice(&piece);
            }
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    Reply {
        status: status.as_u16(),
        headers,
        body,
        whole,
    }
}
