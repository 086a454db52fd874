//! The session that stands between Pingora's loop and the client's own session: what Pingora asks of it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as CustomSession;
use pingora_core::protocols::http::{HttpTask, ServerSession};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::Sleep;

use super::{Custody, SharedFeed};
use crate::gateway::{TimeUp, Traffic};
use crate::proxy::body::Pace;

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
    pub(super) client: Option<Box<ServerSession>>,
    custody: Custody,
    pub(super) feed: SharedFeed,
    pub(super) streams: bool,
    switch: Switch,
    /// Of a body that streams.
    pub(super) pace: Pace,
    /// Made when it is first waited for.
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    /// `None` where nobody would wait for it.
    pub(super) time_up: Option<TimeUp>,
    /// `None` where nothing is proxied.
    pub(super) traffic: Option<Arc<Traffic>>,
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
        let (streams, body_timeout) = {
            let feed = feed.lock();
            (feed.streams, feed.body_timeout())
        };
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
            pace: Pace::new(body_timeout, Instant::now()),
            timer: None,
            time_up: None,
            traffic: None,
        }
    }

    #[expect(clippy::expect_used, reason = "the field is only emptied by drop")]
    pub(super) fn client(&self) -> &ServerSession {
        self.client
            .as_ref()
            .expect("a relay holds its client until it is dropped")
    }

    #[expect(clippy::expect_used, reason = "the field is only emptied by drop")]
    pub(super) fn client_mut(&mut self) -> &mut ServerSession {
        self.client
            .as_mut()
            .expect("a relay holds its client until it is dropped")
    }
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
                let mut feed = self.feed.lock();
                if !feed.is_sent() {
                    return Ok(Some(feed.next_piece(Instant::now())));
                }
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
            return !waits && self.feed.lock().is_sent() && self.client_mut().is_body_done();
        }
        let feed = self.feed.lock();
        feed.is_stopped() || feed.is_sent()
    }

    async fn response_duplex_vec(&mut self, mut tasks: Vec<HttpTask>) -> Result<bool> {
        let final_head = tasks.iter_mut().find_map(|task| match task {
            HttpTask::Header(head, _) if !head.status.is_informational() => Some(head),
            _ => None,
        });
        let (keeps, closed) = {
            let mut feed = self.feed.lock();
            if feed.expired().is_some() {
                // The client may have been told half of that already: nothing may follow.
                return Error::e_explain(ErrorType::ReadTimedout, "the upstream spoke too late");
            }
            feed.heard(final_head.is_some(), Instant::now());
            (feed.keeps_answer(), feed.is_closed())
        };
        if final_head.is_some() && self.switch == Switch::Asked {
            self.switch = Switch::Refused;
        }
        if let (Some(head), false) = (final_head, keeps) {
            self.settle(head);
        }
        let passed = if keeps {
            self.keep_answer(tasks).await
        } else if closed && !tasks.iter().any(HttpTask::is_end) {
            self.close(tasks).await
        } else {
            self.client_mut().response_duplex_vec(tasks).await
        };
        // A client's slowness is not the upstream's silence.
        self.feed.lock().heard(false, Instant::now());
        passed
    }

    // Pingora's own replay buffer stays out of what the feed replays.
    fn enable_retry_buffering(&mut self) {
        // It would also put what streams before the beginning that was read already.
        if self.streams && self.switch == Switch::Never && self.feed.lock().is_sent() {
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
