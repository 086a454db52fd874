//! What a scripted answer is: what it says, when it says it, and how it goes wrong.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::cloudflare::{EdgeError, Form};
use super::pace::Hold;
use super::reply::{Encoding, Reply};
use super::supermemory::Memory;

/// One scripted answer. Built by the functions below, by those of [`super::cloudflare`], or read from JSON.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    pub(super) say: Say,
    /// How many requests get it; 0 counts as 1.
    pub(super) times: u32,
    /// Set when it is given before the request's body was read.
    pub(super) early: Option<EarlyAnswer>,
    pub(super) pace: Pace,
    pub(super) cut: Option<Cut>,
    pub(super) extras: Extras,
    /// A graceful GOAWAY goes out with it (HTTP/2), or `connection: close` (HTTP/1.1).
    pub(super) goaway: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Say {
    /// What would have been said without a script.
    #[default]
    Usual,
    Reply(Reply),
    Message(Message),
    Cloudflare(EdgeError),
}

/// A model's turn with a given text, in whichever dialect and form (JSON, events) the request asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Message {
    pub(super) text: Option<String>,
    /// An `error` event of this type instead of the end of a stream.
    pub(super) stream_error: Option<String>,
    /// A stream that ends in good order without saying that it is whole.
    pub(super) unfinished: bool,
    /// What the router says of its memory, where it differs from what it usually says.
    pub(super) memory: Option<Memory>,
}

/// How an upstream behaves that answers before it has read the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EarlyAnswer {
    /// Answers, then reads the rest of the body.
    ReadOn,
    /// Answers and closes (HTTP/1.1); the same as [`EarlyAnswer::ResetNoError`] over HTTP/2.
    Close,
    /// Answers and never reads another byte (HTTP/1.1), never opens the window (HTTP/2).
    NeverRead,
    /// Answers and resets the stream with NO_ERROR (HTTP/2); the same as closing over HTTP/1.1.
    ResetNoError,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pace {
    #[serde(skip)]
    pub(super) hold: Option<Hold>,
    #[serde(rename = "delay_ms", deserialize_with = "milliseconds")]
    pub(super) delay: Duration,
    #[serde(rename = "between_ms", deserialize_with = "some_milliseconds")]
    pub(super) between: Option<Duration>,
}

/// Where an answer goes wrong, and how.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    pub at: At,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    BeforeHead,
    AfterHead,
    /// After this many bytes of the answer's body.
    AfterBytes(usize),
    /// After this many pieces: events of a stream.
    AfterEvents(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// A TCP reset of the whole connection.
    Abort,
    /// RST_STREAM with this code (HTTP/2), a TCP reset (HTTP/1.1).
    Reset(u32),
    /// The connection is closed in good order, the answer is not whole.
    Truncate,
    /// GOAWAY with this error code and the end of the connection (HTTP/1.1: a TCP reset).
    GoAway(u32),
    /// GOAWAY that says this very stream was never looked at (HTTP/1.1: the end of the connection).
    Disown,
    /// Silence, for ever: it ends when the client leaves.
    Stall,
    /// Silence for so many milliseconds, then the rest.
    Pause(u64),
}

/// What the wire carries beside head and body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Extras {
    /// Header fields put on the answer, whatever it says.
    pub(super) headers: Vec<(String, String)>,
    pub(super) informational: Vec<(u16, Vec<(String, String)>)>,
    pub(super) trailers: Vec<(String, String)>,
    pub(super) encoding: Option<Encoding>,
}

/// What the simulator would say anyway; the start of a script that only spoils how it arrives.
pub fn usual() -> Answer {
    Answer::default()
}

/// This status with an empty body.
pub fn status(status: u16) -> Answer {
    reply(Reply::new(status))
}

/// This status with a JSON body.
pub fn json(status: u16, body: &serde_json::Value) -> Answer {
    reply(Reply::json(status, body))
}

/// A provider error in Anthropic's form.
pub fn provider_error(status: u16, kind: &str, message: &str) -> Answer {
    reply(super::anthropic::error(status, kind, message))
}

/// A turn of the model with this text, as JSON or as a stream, as the request asks.
pub fn message(text: impl Into<String>) -> Answer {
    say(Say::Message(Message {
        text: Some(text.into()),
        ..Message::default()
    }))
}

/// A 200 whose stream breaks off with an `error` event of this type.
pub fn stream_error(kind: impl Into<String>) -> Answer {
    say(Say::Message(Message {
        stream_error: Some(kind.into()),
        ..Message::default()
    }))
}

/// A 200 whose stream ends in good order, but without the event that says it is whole.
pub fn unfinished() -> Answer {
    say(Say::Message(Message {
        unfinished: true,
        ..Message::default()
    }))
}

/// A turn of which the router says this of its memory.
pub fn remembered(memory: Memory) -> Answer {
    say(Say::Message(Message {
        memory: Some(memory),
        ..Message::default()
    }))
}

/// A 200 event stream of exactly these pieces, each sent on its own.
pub fn stream<P: Into<Bytes>>(pieces: impl IntoIterator<Item = P>) -> Answer {
    reply(Reply::events(pieces.into_iter().map(Into::into).collect()))
}

/// These bytes instead of an HTTP/1.1 answer, then the end of the connection.
pub fn raw(bytes: impl Into<Bytes>) -> Answer {
    reply(Reply::raw(bytes.into()))
}

pub(super) fn reply(reply: Reply) -> Answer {
    say(Say::Reply(reply))
}

pub(super) fn say(say: Say) -> Answer {
    Answer {
        say,
        ..Answer::default()
    }
}

impl Answer {
    /// The number of the edge's own error that it is.
    pub(super) fn edge_error(&self) -> Option<u16> {
        match &self.say {
            Say::Cloudflare(error) => Some(error.code),
            _ => None,
        }
    }

    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    pub fn before_body(mut self, early: EarlyAnswer) -> Self {
        self.early = Some(early);
        self
    }

    /// Says nothing before the hold is released.
    pub fn held(mut self, hold: &Hold) -> Self {
        self.pace.hold = Some(hold.clone());
        self
    }

    /// Waits this long before the head.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.pace.delay = delay;
        self
    }

    /// Waits this long between the pieces of a stream.
    pub fn between(mut self, pause: Duration) -> Self {
        self.pace.between = Some(pause);
        self
    }

    pub fn cut(mut self, at: At, how: How) -> Self {
        self.cut = Some(Cut { at, how });
        self
    }

    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extras.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        if let Say::Reply(reply) = &mut self.say {
            reply.set_body(body.into());
        }
        self
    }

    pub fn informational(mut self, status: u16) -> Self {
        self.extras.informational.push((status, Vec::new()));
        self
    }

    pub fn trailer(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extras.trailers.push((name.into(), value.into()));
        self
    }

    pub fn compressed(mut self, encoding: Encoding) -> Self {
        self.extras.encoding = Some(encoding);
        self
    }

    /// Streams in flight are finished, new ones go to another connection.
    pub fn goaway(mut self) -> Self {
        self.goaway = true;
        self
    }

    /// Retry-After in seconds; a Cloudflare error also says it in its body.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        if let Say::Cloudflare(error) = &mut self.say {
            error.retry_after = Some(seconds);
            return self;
        }
        self.header("retry-after", seconds.to_string())
    }

    /// The zone that a Cloudflare error names.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        if let Say::Cloudflare(error) = &mut self.say {
            error.zone = Some(zone.into());
        }
        self
    }

    /// The body form of a Cloudflare error, whatever the client accepts.
    pub fn form(mut self, form: Form) -> Self {
        if let Say::Cloudflare(error) = &mut self.say {
            error.form = form;
        }
        self
    }

    /// The ray id of a Cloudflare error.
    pub fn ray(mut self, ray: impl Into<String>) -> Self {
        if let Say::Cloudflare(error) = &mut self.say {
            error.ray = Some(ray.into());
        }
        self
    }
}

fn milliseconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

fn some_milliseconds<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
}
