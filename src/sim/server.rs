//! One simulated server: what happens to a request from its head to its place in the record.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::answer::{Answer, EarlyAnswer, Message, Say};
use super::anthropic::Tokens;
use super::cloudflare::{self, Door, Gates, Slot};
use super::control;
use super::exchange::Exchange;
use super::h2::H2Limits;
use super::head::{Asked, Head};
use super::hosts::Hosts;
use super::listener::Life;
use super::pace::Tempo;
use super::play::{Part, play};
use super::record::{Outcome, Recorder, Retention, Ticket};
use super::reply::{Body, Reply};
use super::script::{Planned, Script};

/// What a simulated host is, apart from scripts: pure, from request to reply.
pub(super) trait Site: Send + Sync + 'static {
    /// The host's own reply; a scripted message replaces what its model says.
    fn reply(&self, asked: &Asked, scripted: Option<&Message>) -> Reply;
    /// The fields that every answer of the host carries.
    fn dress(&self, head: &Head, reply: &mut Reply);
    /// The limit of the provider behind it.
    fn tokens(&self) -> &Tokens;
    /// Whether the request brings what this host should never see.
    fn leaks(&self, _: &Head) -> bool {
        false
    }
}

/// How a server behaves, whatever its host says.
#[derive(Default)]
pub(super) struct Manner {
    pub(super) retention: Retention,
    pub(super) h2: H2Limits,
    pub(super) tempo: Tempo,
    pub(super) gates: Gates,
}

pub(super) struct Server {
    pub(super) name: String,
    pub(super) recorder: Arc<Recorder>,
    pub(super) script: Script,
    pub(super) h2: H2Limits,
    pub(super) door: Door,
    pub(super) tempo: Mutex<Tempo>,
    pub(super) site: Box<dyn Site>,
}

/// A connection's view of the server it reached.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) hosts: Arc<Hosts>,
    /// The one that the connection was opened to.
    pub(super) server: Arc<Server>,
    pub(super) life: watch::Receiver<Life>,
    pub(super) connection: u64,
    /// The SNI named the server.
    pub(super) by_name: bool,
    /// The control port serves nothing but control.
    pub(super) control_only: bool,
}

/// What a request gets, as far as its head tells.
enum Plan {
    /// A script's word, or a gate's refusal.
    Answer(Box<Answer>),
    /// It is let in.
    Pass(Slot),
    /// A rule wants to see the body first.
    NeedsBody,
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
    pub(super) fn new(name: &str, site: impl Site, manner: Manner) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            recorder: Recorder::new(manner.retention),
            script: Script::default(),
            h2: manner.h2,
            door: Door::new(manner.gates),
            tempo: Mutex::new(manner.tempo),
            site: Box::new(site),
        })
    }

    /// Forgets script and record; the gates stay as they are.
    pub(super) fn reset(&self) {
        self.script.clear();
        self.recorder.reset();
        self.door.capacity.reset();
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

    fn plan(&self, head: &Head, ticket: &Ticket) -> Plan {
        match self.script.at_head(head) {
            Planned::Answer(answer) => Plan::Answer(answer),
            Planned::NeedsBody => Plan::NeedsBody,
            Planned::Nothing => self.knock(head, ticket),
        }
    }

    /// Asks the gates.
    fn knock(&self, head: &Head, ticket: &Ticket) -> Plan {
        match self.door.enter(head) {
            Ok(slot) => Plan::Pass(slot),
            Err((guard, refusal)) => {
                ticket.refused(guard);
                Plan::Answer(refusal)
            }
        }
    }

    /// The host's pace for what its model says; everything else comes at once.
    fn tempo(&self, answer: &Answer, reply: &Reply) -> Tempo {
        match answer.say {
            Say::Usual | Say::Message(_) if reply.status == 200 => *self.tempo.lock(),
            _ => Tempo {
                first_byte: std::time::Duration::ZERO,
                ..*self.tempo.lock()
            },
        }
    }
}

impl Visit {
    pub(super) fn counts(&self) -> bool {
        !self.control_only
    }

    pub(super) async fn serve(&self, head: Head, mut exchange: Exchange<'_>, stream: u32) -> Next {
        if *self.life.borrow() == Life::Leaving {
            exchange.last_on_connection();
        }
        if control::owns(head.path()) || self.control_only {
            self.control(head, &mut exchange).await;
            return Next::Http;
        }
        let named = self.hosts.find(&head.authority);
        let server = named.unwrap_or(&self.server);
        let mut ticket = server.recorder.arrive(&head, self.connection, stream);
        let astray = self.by_name && !Arc::ptr_eq(server, &self.server);
        let plan = if astray {
            Plan::Answer(Box::new(cloudflare::error(1013)))
        } else {
            server.plan(&head, &ticket)
        };
        if server.site.leaks(&head) {
            ticket.leaked();
        }
        match plan {
            Plan::Answer(answer) => match answer.early {
                Some(early) => {
                    let early = (&*answer, early);
                    server
                        .answer_early(ticket, head, &mut exchange, early)
                        .await;
                    Next::Http
                }
                None => {
                    server
                        .answer(ticket, head, &mut exchange, Some(answer))
                        .await
                }
            },
            Plan::Pass(slot) => {
                ticket.hold(slot);
                server.answer(ticket, head, &mut exchange, None).await
            }
            Plan::NeedsBody => server.answer(ticket, head, &mut exchange, None).await,
        }
    }

    async fn control(&self, head: Head, exchange: &mut Exchange<'_>) {
        let mut body = BytesMut::new();
        if exchange.read_body(&mut body).await.is_ok() {
            let asked = Asked::new(head, body.freeze());
            let reply = control::reply(&self.hosts, &asked);
            if let Body::Whole(body) = &reply.body {
                // Whoever asked may have left.
                let _ = exchange.send_whole(&reply, body).await;
            }
        }
    }
}

impl Server {
    async fn answer(
        &self,
        mut ticket: Ticket,
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

        let answer = planned.unwrap_or_else(|| self.decide(&asked, &mut ticket));
        let reply = self.resolve(&answer, &asked);
        drop(asked);
        ticket.says(&reply, answer.edge_error());
        let part = Part {
            answer: &answer,
            reply: &reply,
            tempo: self.tempo(&answer, &reply),
        };
        let outcome = play(exchange, part, &mut ticket).await;
        ticket.end(outcome);
        match reply.body {
            Body::WebSocketEcho if outcome == Outcome::Answered => Next::WebSocket,
            _ => Next::Http,
        }
    }

    /// What is answered when the head alone did not tell.
    fn decide(&self, asked: &Asked, ticket: &mut Ticket) -> Box<Answer> {
        if let Some(answer) = self.script.at_body(asked) {
            return Box::new(answer);
        }
        if !ticket.holds() {
            match self.knock(&asked.head, ticket) {
                Plan::Answer(refusal) => return refusal,
                Plan::Pass(slot) => ticket.hold(slot),
                Plan::NeedsBody => {}
            }
        }
        Box::default()
    }

    async fn answer_early(
        &self,
        mut ticket: Ticket,
        head: Head,
        exchange: &mut Exchange<'_>,
        (answer, early): (&Answer, EarlyAnswer),
    ) {
        let asked = Asked::new(head, Bytes::from_static(UNREAD));
        let reply = self.resolve(answer, &asked);
        let unread = exchange.has_unread_body();
        if unread && matches!(early, EarlyAnswer::Close | EarlyAnswer::ResetNoError) {
            exchange.last_on_connection();
        }
        ticket.says(&reply, answer.edge_error());
        let part = Part {
            answer,
            reply: &reply,
            tempo: self.tempo(answer, &reply),
        };
        let outcome = play(exchange, part, &mut ticket).await;

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
}
