//! The session that stands between Pingora's loop and the client's own session.

use std::pin::Pin;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Version};
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as CustomSession;
use pingora_core::protocols::http::{HttpTask, ServerSession};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Sleep, sleep_until};

use super::feed::{Decision, Rest};
use super::{Custody, SharedFeed};

/// Whether the protocol is to be switched, which Pingora loses where the switch comes before the request's end
/// was handed on: it takes that for the end of the new protocol. So the end of an empty request is not handed on
/// until it is clear that there is no switch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    Never,
    Asked,
    Refused,
}

pub(super) struct Relay {
    /// Always there until the relay is dropped.
    client: Option<Box<ServerSession>>,
    custody: Custody,
    feed: SharedFeed,
    streams: bool,
    switch: Switch,
    /// Made when it is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            self.custody.put(client);
        }
    }
}

impl Relay {
    pub(super) fn new(mut client: Box<ServerSession>, feed: SharedFeed, custody: Custody) -> Self {
        let streams = feed.lock().streams;
        let switch = if client.is_upgrade_req() && client.is_body_empty() {
            Switch::Asked
        } else {
            Switch::Never
        };
        Self {
            client: Some(client),
            custody,
            feed,
            streams,
            switch,
            timer: None,
        }
    }

    #[expect(clippy::expect_used, reason = "the field is only emptied by drop")]
    fn client(&self) -> &ServerSession {
        self.client
            .as_ref()
            .expect("a relay holds its client until it is dropped")
    }

    #[expect(clippy::expect_used, reason = "the field is only emptied by drop")]
    fn client_mut(&mut self) -> &mut ServerSession {
        self.client
            .as_mut()
            .expect("a relay holds its client until it is dropped")
    }

    /// Waits for the client to leave (an error) or for the answer to be overdue (an error as well).
    async fn watch(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        loop {
            let deadline = self.feed.lock().deadline.into();
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            // Every event moves the deadline on; the timer follows only when it has to.
            if deadline < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            let client = self.client.as_mut().ok_or_else(gone)?;
            tokio::select! {
                event = client.read_body_or_idle(no_body_expected) => {
                    self.feed.lock().sending(Instant::now());
                    return event;
                }
                () = timer.as_mut() => {
                    if self.feed.lock().deadline <= Instant::now() {
                        // Boxed: rare, and large beside the waiting itself.
                        return Box::pin(self.give_up()).await;
                    }
                }
            }
        }
    }

    /// The upstream is overdue. An error answer whose end is missing is judged by what there is of it.
    async fn give_up(&mut self) -> Result<Option<Bytes>> {
        let (expired, judgement) = {
            let mut feed = self.feed.lock();
            (feed.expire(), feed.judgement(Rest::Lost))
        };
        match judgement {
            Some(Decision::Again) => return judged_again(),
            Some(Decision::Deliver(head, body) | Decision::Begin(head, body)) => {
                self.deliver(head, body, true).await?;
                self.feed.lock().tell();
            }
            None => {}
        }
        Error::e_explain(
            ErrorType::ReadTimedout,
            format!("upstream overdue: {expired:?}"),
        )
    }

    /// Waits until `at` for an early answer; the answer itself is the business of Pingora's loop.
    async fn pause_until(&mut self, at: Instant) -> Result<()> {
        tokio::select! {
            () = sleep_until(at.into()) => Ok(()),
            left = self.watch(true) => left.map(drop),
        }
    }

    /// Waits until the connection upstream has room for another piece, listening for an answer meanwhile.
    async fn until_room(&mut self, sent: usize) -> Result<()> {
        if !self.feed.lock().is_paced(sent) {
            return Ok(());
        }
        // What was handed over before this is written first.
        tokio::task::yield_now().await;
        let mut wait = SHORT_WAIT;
        while self.feed.lock().is_clogged() {
            self.pause_until(Instant::now() + wait).await?;
            wait = (wait * 3 / 2).min(LONG_WAIT);
        }
        Ok(())
    }

    async fn keep_answer(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut ended = false;
        let mut broken = None;
        let mut room = true;
        {
            let mut feed = self.feed.lock();
            for task in tasks {
                match task {
                    HttpTask::Header(head, end) => {
                        feed.keep_head(head);
                        ended |= end;
                    }
                    HttpTask::Body(bytes, end) | HttpTask::UpgradedBody(bytes, end) => {
                        room &= feed.keep_body(bytes.as_deref().unwrap_or_default());
                        ended |= end;
                    }
                    HttpTask::Trailer(_) | HttpTask::Done => ended = true,
                    HttpTask::Failed(error) => broken = Some(error),
                }
            }
        }
        if !ended && broken.is_none() && room {
            return Ok(false);
        }
        let rest = match (ended, &broken) {
            (true, _) => Rest::Nothing,
            (false, Some(_)) => Rest::Lost,
            (false, None) => Rest::Follows,
        };
        let judgement = self.feed.lock().judgement(rest);
        match (judgement, broken) {
            (Some(Decision::Deliver(head, body)), _) => self.deliver(head, body, true).await,
            (Some(Decision::Begin(head, body)), _) => self.deliver(head, body, false).await,
            (None, Some(error)) => Err(error),
            (Some(Decision::Again) | None, _) => judged_again(),
        }
    }

    /// Says in the head how the answer will end, and whether the connection will with it.
    fn settle(&mut self, head: &mut ResponseHeader) {
        let to_old = self.client().req_header().version == Version::HTTP_10;
        // HTTP/1.0 knows no chunks: the end of the connection is the answer's.
        let until_close = to_old && head.remove_header(&TRANSFER_ENCODING).is_some();
        // Pingora gives the client's connection up after an upload that it could not end.
        if until_close || self.feed.lock().is_cut() {
            self.client_mut().set_keepalive(None);
        }
    }

    async fn deliver(
        &mut self,
        mut head: Box<ResponseHeader>,
        body: Bytes,
        end: bool,
    ) -> Result<bool> {
        self.settle(&mut head);
        self.feed.lock().release();
        let tasks = vec![
            HttpTask::Header(head, false),
            HttpTask::Body(Some(body), end),
        ];
        self.client_mut().response_duplex_vec(tasks).await
    }
}

/// How often a full connection is looked at.
const SHORT_WAIT: Duration = Duration::from_millis(1);
const LONG_WAIT: Duration = Duration::from_millis(20);

/// The type of the error that asks for another attempt after a kept answer.
pub(crate) const AGAIN: &str = "AnswerJudged";

fn judged_again<T>() -> Result<T> {
    Error::e_explain(ErrorType::Custom(AGAIN), "another attempt").map_err(|e| e.into_up())
}

fn gone() -> Box<Error> {
    Error::explain(
        ErrorType::ConnectionClosed,
        "the client's session was given back",
    )
}

#[async_trait]
impl CustomSession for Relay {
    fn req_header(&self) -> &RequestHeader {
        self.client().req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.client_mut().req_header_mut()
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if self.was_upgraded() {
            // The new protocol knows its own silences.
            return self.client_mut().read_body_or_idle(no_body_expected).await;
        }
        if self.streams {
            let no_body = no_body_expected || self.switch == Switch::Asked;
            if !no_body {
                self.until_room(self.body_bytes_read()).await?;
            }
            return self.watch(no_body).await;
        }
        if no_body_expected || self.feed.lock().is_sent() {
            return self.watch(true).await;
        }
        let (wait, sent) = {
            let feed = self.feed.lock();
            let wait = feed.next_piece_at().filter(|_| !feed.is_stopped());
            (wait, feed.sent())
        };
        if let Some(at) = wait {
            self.pause_until(at).await?;
            self.until_room(sent).await?;
        }
        // No await after this: the piece is not lost when Pingora drops the future.
        Ok(Some(self.feed.lock().next_piece(Instant::now())))
    }

    fn is_body_empty(&mut self) -> bool {
        if self.streams {
            return self.client_mut().is_body_empty();
        }
        self.feed.lock().is_empty()
    }

    fn is_body_done(&mut self) -> bool {
        if self.streams {
            let waits = self.switch == Switch::Asked && !self.was_upgraded();
            return !waits && self.client_mut().is_body_done();
        }
        let feed = self.feed.lock();
        feed.is_stopped() || feed.is_sent()
    }

    async fn response_duplex_vec(&mut self, mut tasks: Vec<HttpTask>) -> Result<bool> {
        let final_head = tasks.iter_mut().find_map(|task| match task {
            HttpTask::Header(head, _) if !head.status.is_informational() => Some(head),
            _ => None,
        });
        let keeps = {
            let mut feed = self.feed.lock();
            if feed.expired().is_some() {
                // The client may have been told half of that already: nothing may follow.
                return Error::e_explain(ErrorType::ReadTimedout, "the upstream spoke too late");
            }
            feed.heard(final_head.is_some(), Instant::now());
            feed.keeps_answer()
        };
        if final_head.is_some() && self.switch == Switch::Asked {
            self.switch = Switch::Refused;
        }
        if let (Some(head), false) = (final_head, keeps) {
            self.settle(head);
        }
        let passed = if keeps {
            self.keep_answer(tasks).await
        } else {
            self.client_mut().response_duplex_vec(tasks).await
        };
        // A client's slowness is not the upstream's silence.
        self.feed.lock().heard(false, Instant::now());
        passed
    }

    // Pingora's own replay buffer stays out of what the feed replays.
    fn enable_retry_buffering(&mut self) {
        if self.streams && self.switch == Switch::Never {
            self.client_mut().enable_retry_buffering();
        }
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.streams && self.client().retry_buffer_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        if self.switch == Switch::Asked {
            // Something that is nothing: Pingora hands neither bytes nor an end on.
            return Some(Bytes::new());
        }
        self.client().get_retry_buffer().filter(|_| self.streams)
    }

    fn is_upgrade_req(&self) -> bool {
        self.client().is_upgrade_req()
    }

    fn was_upgraded(&self) -> bool {
        self.client().was_upgraded()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.client_mut().read_request_body().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.client_mut().drain_request_body().await
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, _end: bool) -> Result<()> {
        self.client_mut().write_response_header(head).await
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, _end: bool) -> Result<()> {
        self.client_mut().write_response_header_ref(head).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.client_mut().write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.client_mut().write_response_trailers(trailers).await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.client_mut().set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.client().get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.client_mut().set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.client().get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.client_mut().set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.client().get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.client().request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.client().response_written()
    }

    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.client_mut().shutdown().await;
    }

    async fn finish(&mut self) -> Result<()> {
        self.client_mut().finish_body().await
    }

    fn body_bytes_sent(&self) -> usize {
        self.client().body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.client().body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.client().digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.client_mut().digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.client().client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.client().server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.client().to_h1_raw()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(
        &mut self,
        _writer: Box<dyn CustomMessageWrite>,
    ) -> Result<()> {
        Ok(())
    }
}
