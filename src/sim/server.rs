//! One simulated server: what happens to a request from its head to its place in the record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use super::answer::{Answer, EarlyAnswer, Message, Say};
use super::control;
use super::exchange::Exchange;
use super::h2::H2Limits;
use super::head::{Asked, Head};
use super::play::play;
use super::record::{Outcome, Recorder, Retention, Ticket};
use super::reply::{Body, Reply};
use super::script::{Planned, Script};

/// What a simulated host is, apart from scripts: pure, from request to reply.
pub(super) trait Site: Send + Sync + 'static {
    /// An answer from before the body matters.
    fn door(&self, head: &Head) -> Option<Answer>;
    /// The host's own reply; a scripted message replaces what its model says.
    fn reply(&self, asked: &Asked, scripted: Option<&Message>) -> Reply;
    /// The fields that every answer of the host carries.
    fn dress(&self, head: &Head, reply: &mut Reply);
}

pub(super) struct Server {
    pub(super) recorder: Arc<Recorder>,
    pub(super) script: Script,
    pub(super) h2: H2Limits,
    site: Box<dyn Site>,
    /// The pace of events where no script sets one.
    between: Duration,
    connections: AtomicU64,
}

/// A connection's view of the server it reached.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) server: Arc<Server>,
    pub(super) stopped: watch::Receiver<bool>,
    connection: u64,
    /// The control port serves nothing but control.
    control_only: bool,
}

/// Stands for a body that was not read, so that even a model's turn can come early.
const UNREAD: &[u8] =
    br#"{"model":"claude","max_tokens":1,"messages":[{"role":"user","content":""}]}"#;

/// What the connection is used for after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Http,
    WebSocket,
}

impl Server {
    pub(super) fn new(
        site: impl Site,
        retention: Retention,
        h2: H2Limits,
        between: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            recorder: Recorder::new(retention),
            script: Script::default(),
            h2,
            site: Box::new(site),
            between,
            connections: AtomicU64::new(0),
        })
    }

    pub(super) fn visit(
        self: &Arc<Self>,
        stopped: watch::Receiver<bool>,
        control_only: bool,
    ) -> Visit {
        Visit {
            server: Arc::clone(self),
            stopped,
            connection: self.connections.fetch_add(1, Ordering::Relaxed),
            control_only,
        }
    }

    /// What a script's answer comes to for this request.
    fn resolve(&self, answer: &Answer, asked: &Asked) -> Reply {
        let mut reply = match &answer.say {
            Say::Usual => self.site.reply(asked, None),
            Say::Message(message) => self.site.reply(asked, Some(message)),
            Say::Reply(reply) => reply.clone(),
            Say::Cloudflare(error) => error.reply(&asked.head),
        };
        reply.headers.extend(answer.extras.headers.iter().cloned());
        if let Some(encoding) = answer.extras.encoding {
            reply.compress(encoding);
        }
        reply.default_header("date", || {
            httpdate::fmt_http_date(std::time::SystemTime::now())
        });
        self.site.dress(&asked.head, &mut reply);
        reply
    }

    fn plan(&self, head: &Head) -> Planned {
        match self.script.at_head(head) {
            Planned::Nothing => self
                .site
                .door(head)
                .map_or(Planned::Nothing, |answer| Planned::Answer(Box::new(answer))),
            planned => planned,
        }
    }
}

impl Visit {
    pub(super) fn counts(&self) -> bool {
        !self.control_only
    }

    pub(super) async fn serve(&self, head: Head, mut exchange: Exchange<'_>, stream: u32) -> Next {
        if control::owns(head.path()) || self.control_only {
            self.control(head, &mut exchange).await;
            return Next::Http;
        }
        let ticket = self.server.recorder.arrive(&head, self.connection, stream);
        match self.server.plan(&head) {
            Planned::Answer(answer) => match answer.early {
                Some(early) => {
                    self.answer_early(ticket, head, &mut exchange, (&answer, early))
                        .await;
                    Next::Http
                }
                None => self.answer(ticket, head, &mut exchange, Some(answer)).await,
            },
            Planned::NeedsBody | Planned::Nothing => {
                self.answer(ticket, head, &mut exchange, None).await
            }
        }
    }

    async fn answer(
        &self,
        ticket: Ticket,
        head: Head,
        exchange: &mut Exchange<'_>,
        planned: Option<Box<Answer>>,
    ) -> Next {
        let mut body = BytesMut::new();
        let whole = exchange.read_body(&mut body).await.is_ok();
        let asked = Asked::new(head, body.freeze());
        ticket.body(&asked, whole);
        if !whole {
            ticket.end(Outcome::ClientLeft);
            return Next::Http;
        }

        let answer = match planned {
            Some(answer) => *answer,
            None => self.server.script.at_body(&asked).unwrap_or_default(),
        };
        let reply = self.server.resolve(&answer, &asked);
        drop(asked);
        ticket.status(reply.status);
        let outcome = play(exchange, &answer, &reply, self.server.between).await;
        ticket.end(outcome);
        match reply.body {
            Body::WebSocketEcho if outcome == Outcome::Answered => Next::WebSocket,
            _ => Next::Http,
        }
    }

    async fn answer_early(
        &self,
        ticket: Ticket,
        head: Head,
        exchange: &mut Exchange<'_>,
        (answer, early): (&Answer, EarlyAnswer),
    ) {
        let asked = Asked::new(head, Bytes::from_static(UNREAD));
        let reply = self.server.resolve(answer, &asked);
        let unread = exchange.has_unread_body();
        if unread && matches!(early, EarlyAnswer::Close | EarlyAnswer::ResetNoError) {
            exchange.last_on_connection();
        }
        ticket.status(reply.status);
        let outcome = play(exchange, answer, &reply, self.server.between).await;

        if early == EarlyAnswer::ReadOn {
            let mut body = BytesMut::new();
            let whole = exchange.read_body(&mut body).await.is_ok();
            ticket.body(&Asked::new(asked.head, body.freeze()), whole);
        }
        ticket.end(outcome);
        if early == EarlyAnswer::NeverRead && unread {
            exchange.gone().await;
        }
    }

    async fn control(&self, head: Head, exchange: &mut Exchange<'_>) {
        let mut body = BytesMut::new();
        if exchange.read_body(&mut body).await.is_ok() {
            let asked = Asked::new(head, body.freeze());
            let reply = control::reply(&self.server, &asked);
            let answer = Answer::default();
            play(exchange, &answer, &reply, Duration::ZERO).await;
        }
    }
}
