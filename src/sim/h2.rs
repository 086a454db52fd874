//! HTTP/2 on the bare `h2` crate: streams that can be left half read, reset, or cut at any point.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::sync::{Mutex, mpsc, watch};

use super::exchange::{Exchange, Gone};
use super::head::{Head, Version};
use super::io::{End, Io};
use super::listener::Life;
use super::reply::{Body, Reply};
use super::server::Visit;

/// What a connection allows its clients.
#[derive(Clone, Copy, Debug)]
pub struct H2Limits {
    pub concurrent_streams: u32,
    /// The window each stream opens with; the bytes a client may send before it is answered.
    pub stream_window: u32,
    /// A graceful GOAWAY after so many streams.
    pub goaway_after: Option<u32>,
}

impl Default for H2Limits {
    fn default() -> Self {
        Self {
            concurrent_streams: 100,
            stream_window: 65_535,
            goaway_after: None,
        }
    }
}

/// A stream's hold on the connection it rides on.
#[derive(Clone)]
struct Line {
    commands: mpsc::UnboundedSender<Command>,
    ping: Arc<Mutex<Option<PingPong>>>,
    closed: watch::Receiver<bool>,
    end: End,
}

enum Command {
    GoAway,
    Abrupt(u32),
    Close,
}

/// A socket closed at once answers what the client still sends with a reset, which can hide what was said last.
const LINGER: Duration = Duration::from_millis(100);

/// Streams that a client may take back before they are looked at. How many those are depends on how busy the machine is,
/// and an edge ends a connection when it is told to, never by chance.
const TAKEN_BACK: usize = 10_000;

pub(super) async fn serve(io: Io, visit: Visit) -> Result<(), Gone> {
    let limits = visit.server.h2;
    let end = io.end();
    let mut connection = h2::server::Builder::new()
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(64 << 20)
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(1 << 20)
        .max_pending_accept_reset_streams(TAKEN_BACK)
        .handshake::<_, Bytes>(io)
        .await?;
    let (commands, mut orders) = mpsc::unbounded_channel();
    let (open, closed) = watch::channel(false);
    let line = Line {
        commands,
        ping: Arc::new(Mutex::new(connection.ping_pong())),
        closed,
        end,
    };
    let mut life = visit.life.clone();
    let mut streams = 0;
    let mut linger = Duration::ZERO;

    loop {
        tokio::select! {
            _ = life.wait_for(|life| *life == Life::Gone) => break,
            order = orders.recv() => match order {
                Some(Command::GoAway) => {
                    visit.server.recorder.count(|stats| stats.goaways += 1);
                    connection.graceful_shutdown();
                    linger = LINGER;
                }
                Some(Command::Abrupt(code)) => {
                    visit.server.recorder.count(|stats| stats.goaways += 1);
                    connection.abrupt_shutdown(Reason::from(code));
                    linger = LINGER;
                }
                Some(Command::Close) | None => break,
            },
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { break };
                tokio::spawn(stream(request, respond, line.clone(), visit.clone()));
                streams += 1;
                if limits.goaway_after == Some(streams) {
                    line.goaway();
                }
            }
        }
    }
    tokio::time::sleep(linger).await;
    drop(connection);
    open.send_replace(true);
    Ok(())
}

async fn stream(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    line: Line,
    visit: Visit,
) {
    let number = respond.stream_id().as_u32();
    let (head, stream) = Stream::open(request, respond, line);
    visit.serve(head, Exchange::H2(stream), number).await;
}

impl Line {
    fn goaway(&self) {
        // The connection may be gone already; then there is nothing to say goodbye to.
        let _ = self.commands.send(Command::GoAway);
    }
}

pub(super) struct Stream {
    upload: RecvStream,
    respond: SendResponse<Bytes>,
    answer: Option<SendStream<Bytes>>,
    answers_head: bool,
    ended: bool,
    line: Line,
}

impl Stream {
    fn open(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        line: Line,
    ) -> (Head, Self) {
        let (parts, upload) = request.into_parts();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let target = parts.uri.path_and_query().map(|target| target.as_str());
        let head = Head {
            method: parts.method.as_str().to_owned(),
            target: target.unwrap_or("/").to_owned(),
            version: Version::Http2,
            authority: parts
                .uri
                .authority()
                .map(|authority| authority.as_str().to_owned())
                .unwrap_or_default(),
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
        };
        let stream = Self {
            upload,
            respond,
            answer: None,
            answers_head: head.method == "HEAD",
            ended: false,
            line,
        };
        (head, stream)
    }

    pub(super) async fn read_body(&mut self, into: &mut BytesMut) -> Result<(), Gone> {
        while let Some(piece) = self.upload.data().await {
            let piece = piece?;
            into.extend_from_slice(&piece);
            self.upload.flow_control().release_capacity(piece.len())?;
        }
        Ok(())
    }

    pub(super) fn informational(
        &mut self,
        status: u16,
        headers: &[(String, String)],
    ) -> Result<(), Gone> {
        let head = response(status, headers);
        Ok(self.respond.send_informational(head)?)
    }

    pub(super) fn send_head(&mut self, reply: &Reply) -> Result<(), Gone> {
        let mut head = response(reply.status, &reply.headers);
        if let Body::Whole(bytes) = &reply.body {
            head.headers_mut()
                .entry(http::header::CONTENT_LENGTH)
                .or_insert_with(|| HeaderValue::from(bytes.len()));
        }
        self.ended = self.answers_head || matches!(reply.status, 204 | 304);
        self.answer = Some(self.respond.send_response(head, self.ended)?);
        Ok(())
    }

    pub(super) async fn send(&mut self, mut piece: Bytes, last: bool) -> Result<(), Gone> {
        let Some(answer) = self.answer.as_mut().filter(|_| !self.ended) else {
            return Ok(());
        };
        while !piece.is_empty() {
            answer.reserve_capacity(piece.len());
            let granted = poll_fn(|cx| answer.poll_capacity(cx)).await.ok_or(Gone)??;
            let part = piece.split_to(granted.min(piece.len()));
            self.ended = last && piece.is_empty();
            answer.send_data(part, self.ended)?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, trailers: &[(String, String)]) -> Result<(), Gone> {
        let Some(answer) = self.answer.as_mut().filter(|_| !self.ended) else {
            return Ok(());
        };
        self.ended = true;
        if trailers.is_empty() {
            return Ok(answer.send_data(Bytes::new(), true)?);
        }
        Ok(answer.send_trailers(fields(trailers))?)
    }

    pub(super) async fn gone(&mut self) {
        let (respond, answer) = (&mut self.respond, &mut self.answer);
        let reset = poll_fn(|cx| match answer {
            Some(answer) => answer.poll_reset(cx).map(drop),
            None => respond.poll_reset(cx).map(drop),
        });
        tokio::select! {
            () = reset => {}
            _ = self.line.closed.wait_for(|closed| *closed) => {}
        }
    }

    /// Returns when what was sent so far is on its way: a reset throws away what is still queued.
    async fn settle(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(10);
        let mut ping = self.line.ping.lock().await;
        if let Some(ping) = ping.as_mut() {
            // A connection that died, or does not read, has no more of it to come.
            let _ = tokio::time::timeout(PATIENCE, ping.ping(Ping::opaque())).await;
        }
    }

    pub(super) async fn reset(&mut self, code: u32) {
        let reason = Reason::from(code);
        match &mut self.answer {
            None => self.respond.send_reset(reason),
            Some(_) => {
                self.settle().await;
                if let Some(answer) = &mut self.answer {
                    answer.send_reset(reason);
                }
            }
        }
    }

    pub(super) async fn abort(&mut self) {
        self.line.end.abort();
        self.close().await;
    }

    pub(super) async fn close(&mut self) {
        self.settle().await;
        self.end_connection(Command::Close).await;
    }

    /// Waits for the end: a stream let go before it would say so with a reset of its own.
    async fn end_connection(&mut self, command: Command) {
        let _ = self.line.commands.send(command);
        let _ = self.line.closed.wait_for(|closed| *closed).await;
    }

    pub(super) fn goaway(&self) {
        self.line.goaway();
    }

    pub(super) async fn abrupt_goaway(&mut self, code: u32) {
        self.end_connection(Command::Abrupt(code)).await;
    }

    /// Ends the connection with a GOAWAY that leaves this stream out, so the client may send it again.
    pub(super) async fn disown(&mut self) {
        const GOAWAY: u8 = 7;
        let last = self.respond.stream_id().as_u32().saturating_sub(2);
        let mut frame = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend_from_slice(&last.to_be_bytes());
        frame.extend_from_slice(&u32::from(Reason::NO_ERROR).to_be_bytes());
        self.line.end.say(frame.into());
        self.close().await;
    }

    pub(super) fn has_unread_body(&self) -> bool {
        !self.upload.is_end_stream()
    }
}

fn response(status: u16, headers: &[(String, String)]) -> Response<()> {
    let mut response = Response::new(());
    if let Ok(status) = http::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    *response.headers_mut() = fields(headers);
    response
}

/// Fields that HTTP/2 can carry; the others belong to HTTP/1.1 connections.
fn fields(headers: &[(String, String)]) -> HeaderMap {
    const CONNECTION_BOUND: [&str; 4] =
        ["connection", "keep-alive", "transfer-encoding", "upgrade"];
    headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let value = HeaderValue::from_str(value).ok()?;
            (!CONNECTION_BOUND.contains(&name.as_str())).then_some((name, value))
        })
        .collect()
}
