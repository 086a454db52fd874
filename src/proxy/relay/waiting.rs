//! How does the relay wait for an answer, and what does it do with one that it keeps?

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version;
use http::header::TRANSFER_ENCODING;
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use tokio::time::sleep_until;

use super::feed::{Decision, Rest};
use super::session::Relay;
use crate::gateway::TimeUp;
use crate::proxy::body::TOO_SLOW;

/// How often a full connection is looked at.
const SHORT_WAIT: Duration = Duration::from_millis(1);
const LONG_WAIT: Duration = Duration::from_millis(20);

/// The type of the error that asks for another attempt after a kept answer.
pub(crate) const AGAIN: &str = "AnswerJudged";
/// The type of the error that lets go of an upstream of which nothing more is told.
pub(crate) const CLOSED: &str = "AnswerClosed";

fn judged_again<T>() -> Result<T> {
    Error::e_explain(ErrorType::Custom(AGAIN), "another attempt").map_err(|e| e.into_up())
}

fn too_slow<T>() -> Result<T> {
    Error::e_explain(ErrorType::Custom(TOO_SLOW), "the client's pace").map_err(|e| e.into_down())
}

/// It tells once.
async fn told(time_up: &mut Option<TimeUp>) {
    match time_up.as_mut() {
        Some(told) => told.await,
        None => std::future::pending().await,
    }
    *time_up = None;
}

fn gone() -> Box<Error> {
    Error::explain(
        ErrorType::ConnectionClosed,
        "the client's session was given back",
    )
}

impl Relay {
    /// Waits for the client to leave (an error) or for the answer to be overdue (an error as well).
    pub(super) async fn watch(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        loop {
            let body_due = (!no_body_expected).then(|| self.pace.deadline());
            let answer_due = self.feed.lock().deadline;
            let deadline = body_due
                .map_or(answer_due, |due| due.min(answer_due))
                .into();
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
                    if event.as_ref().is_err_and(|error| *error.etype() == ErrorType::ReadTimedout) {
                        return too_slow();
                    }
                    let now = Instant::now();
                    self.feed.lock().sending(now);
                    if let Ok(Some(piece)) = &event {
                        self.pace.progress(piece.len(), now);
                    }
                    return event;
                }
                () = timer.as_mut() => {
                    if body_due.is_some_and(|due| due <= Instant::now()) {
                        return too_slow();
                    }
                    if self.feed.lock().deadline <= Instant::now() {
                        // Boxed: rare, and large beside the waiting itself.
                        return Box::pin(self.give_up(false)).await;
                    }
                }
                () = told(&mut self.time_up) => return Box::pin(self.give_up(true)).await,
            }
        }
    }

    /// The upstream is overdue, or nobody waits for it any longer. An error answer whose end is missing is judged by what there is of it.
    async fn give_up(&mut self, stopping: bool) -> Result<Option<Bytes>> {
        let (expired, judgement) = {
            let mut feed = self.feed.lock();
            (feed.expire(stopping), feed.judgement(Rest::Lost))
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
    pub(super) async fn pause_until(&mut self, at: Instant) -> Result<()> {
        tokio::select! {
            () = sleep_until(at.into()) => Ok(()),
            left = self.watch(true) => left.map(drop),
        }
    }

    /// Waits until the connection upstream has room for another piece, listening for an answer meanwhile.
    pub(super) async fn until_room(&mut self, sent: usize) -> Result<()> {
        if !self.feed.lock().is_paced(sent) {
            return Ok(());
        }
        // What was handed over before this is written first.
        tokio::task::yield_now().await;
        let began = Instant::now();
        let mut wait = SHORT_WAIT;
        while self.feed.lock().is_clogged() {
            let until = Instant::now() + wait;
            if self.streams {
                // The client is not listened to: what it says now is its body.
                sleep_until(until.into()).await;
                if self.feed.lock().deadline <= until {
                    return Box::pin(self.give_up(false)).await.map(drop);
                }
            } else {
                self.pause_until(until).await?;
            }
            wait = (wait * 3 / 2).min(LONG_WAIT);
        }
        self.pace.excuse(began.elapsed());
        Ok(())
    }

    pub(super) async fn keep_answer(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
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

    /// Ends the answer before the upstream does.
    pub(super) async fn close(&mut self, mut tasks: Vec<HttpTask>) -> Result<bool> {
        tasks.push(HttpTask::Done);
        self.client_mut().response_duplex_vec(tasks).await?;
        self.feed.lock().tell();
        Error::e_explain(ErrorType::Custom(CLOSED), "nothing more is told").map_err(|e| e.into_up())
    }

    /// Says in the head how the answer will end, and whether the connection will with it.
    pub(super) fn settle(&mut self, head: &mut ResponseHeader) {
        let to_old = self.client().req_header().version == Version::HTTP_10;
        // HTTP/1.0 knows no chunks: the end of the connection is the answer's.
        let until_close = to_old && head.remove_header(&TRANSFER_ENCODING).is_some();
        // By now the gateway may be about to stop.
        let leaves = self.traffic.as_ref().is_some_and(|all| all.is_draining());
        // Pingora gives the client's connection up after an upload that it could not end.
        if until_close || leaves || self.feed.lock().is_cut() {
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
