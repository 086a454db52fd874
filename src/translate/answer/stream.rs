//! How is a streamed answer told, event by event?

use bytes::BytesMut;

use crate::translate::Reply;
use crate::wire::sse::{self, Decoder};

use super::blocks::Blocks;
use super::frame::{Chunks, Frame};
use super::received::{Block, Delta, End, Event, Start, explanation, part};
use super::usage::Usage;
use super::{Unreadable, error, finish_reason, json};

/// The longest events hold a web page that a tool of the provider's has read.
const EVENT_LIMIT: usize = 4 << 20;

/// The names of Anthropic's events.
const KNOWN: [&[u8]; 8] = [
    b"message_start",
    b"content_block_start",
    b"content_block_delta",
    b"content_block_stop",
    b"message_delta",
    b"message_stop",
    b"ping",
    b"error",
];

/// Chat completion chunks of Anthropic's events. The work for an event does not grow with the stream, nor does what
/// is held: one event, the blocks under way, the thinking whose signature is to come.
pub struct ChunkStream {
    events: Decoder,
    telling: Telling,
}

struct Telling {
    reply: Reply,
    /// From `message_start` on.
    frame: Option<Frame>,
    blocks: Blocks,
    usage: Usage,
    reason: &'static str,
    /// A JSON string.
    refusal: Option<Box<str>>,
    over: bool,
}

impl ChunkStream {
    pub fn new(reply: Reply) -> Self {
        Self {
            events: Decoder::new(EVENT_LIMIT),
            telling: Telling {
                reply,
                frame: None,
                blocks: Blocks::default(),
                usage: Usage::default(),
                reason: finish_reason(""),
                refusal: None,
                over: false,
            },
        }
    }

    /// Tells the events that end in these bytes.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        while !self.telling.over {
            let told = match self.events.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(event)) => self.telling.tell(event, out),
                Err(_) => Err(Unreadable("it has an event beyond all measure")),
            };
            if let Err(unreadable) = told {
                self.telling.fail(&unreadable.to_string(), out);
            }
        }
    }

    /// The upstream's stream has ended. Before its last event that is an error, and never a `stop`.
    pub fn end(&mut self, out: &mut BytesMut) {
        if !self.telling.over
            && let Some(event) = self.events.end()
        {
            // Perhaps only the blank line is missing.
            self.telling.tell(event, out).ok();
        }
        if !self.telling.over {
            self.telling
                .fail("the upstream's stream broke off before its end", out);
        }
    }

    /// The last event was told; what follows is left out.
    pub fn is_over(&self) -> bool {
        self.telling.over
    }
}

impl Telling {
    fn tell(&mut self, event: sse::Event<'_>, out: &mut BytesMut) -> Result<(), Unreadable> {
        if !event.name.is_empty() && !KNOWN.contains(&event.name) {
            // Whatever it says: it is tomorrow's, or of somebody in between.
            return Ok(());
        }
        let event: Event<'_> = serde_json::from_slice(event.data)
            .ok()
            .ok_or(Unreadable("it has an event that is not JSON"))?;
        match &*event.kind {
            "content_block_delta" => {
                let (index, delta): (_, Delta<'_>) = (part(event.index)?, part(event.delta)?);
                let chunks = &mut chunks(self.frame.as_ref(), out)?;
                self.blocks.delta(index, &delta, chunks)?;
            }
            "content_block_start" => {
                let (index, block): (_, Block<'_>) =
                    (part(event.index)?, part(event.content_block)?);
                let (names, chunks) = (&self.reply.names, &mut chunks(self.frame.as_ref(), out)?);
                self.blocks.start(index, &block, names, chunks)?;
            }
            "content_block_stop" => {
                let index = part(event.index)?;
                self.blocks
                    .stop(index, &mut chunks(self.frame.as_ref(), out)?);
            }
            "message_start" => self.start(&part(event.message)?, out)?,
            "message_delta" => {
                self.usage.replace(Usage::of(event.usage));
                if event.delta.is_some() {
                    self.note(&part(event.delta)?);
                }
            }
            "message_stop" => self.stop(out)?,
            "ping" => out.extend_from_slice(b": ping\n\n"),
            kind if kind == "error" || event.error.is_some() => {
                error::said_event(out, event.error);
                self.over = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, message: &Start<'_>, out: &mut BytesMut) -> Result<(), Unreadable> {
        if self.frame.is_none() {
            let frame = Frame::new(json::inner(message.id)?, &self.reply);
            frame
                .onto(out)
                .delta(&[r#""role":"assistant","content":"""#]);
            self.frame = Some(frame);
            self.usage = Usage::of(message.usage);
        }
        Ok(())
    }

    fn note(&mut self, end: &End<'_>) {
        if let Some(stop) = &end.stop_reason {
            self.reason = finish_reason(stop);
            self.refusal = explanation(stop, end.stop_details).map(Box::from);
        }
    }

    fn stop(&mut self, out: &mut BytesMut) -> Result<(), Unreadable> {
        let chunks = &mut chunks(self.frame.as_ref(), out)?;
        self.blocks.stop_all(chunks);
        chunks.finish(self.reason, self.refusal.as_deref(), &self.usage);
        if self.reply.include_usage {
            chunks.usage(&self.usage);
        }
        chunks.done();
        self.over = true;
        Ok(())
    }

    fn fail(&mut self, reason: &str, out: &mut BytesMut) {
        error::event(out, "upstream_error", reason);
        self.over = true;
    }
}

fn chunks<'a>(frame: Option<&'a Frame>, out: &'a mut BytesMut) -> Result<Chunks<'a>, Unreadable> {
    match frame {
        Some(frame) => Ok(frame.onto(out)),
        None => Err(Unreadable("it does not begin with `message_start`")),
    }
}
