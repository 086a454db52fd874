//! How does a passing event stream fare: has its last event passed, did it say an error, what did it take, and how would it end if it broke?

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, header};
use memchr::memmem::Finder;

use crate::upstream::ProviderError;
use crate::wire::sse::{Lines, data, field};
use crate::wire::usage::{Usage, UsageSaid, UsageScan};
use crate::wire::{Dialect, ErrorKind, Said, error_body};

/// As much of a line that two pieces share is kept as tells an error.
const LINE_KEPT: usize = 4096;

/// The end of what has passed of an event stream.
pub(super) struct Tail {
    /// A whole stream on this path says when it is over.
    says_its_end: bool,
    lines: Lines,
    /// Over the line under way, where pieces share it: the whole answer may stand in it, the usage at its end.
    long: Option<Box<UsageScan>>,
    seen: Seen,
}

/// What the lines said.
struct Seen {
    event: Event,
    /// A part of an event has passed, and no blank line after it.
    within_event: bool,
    finished: bool,
    error: Option<ProviderError>,
    usage: Option<UsageSaid>,
    /// Events that each brought a piece of the answer.
    pieces: u64,
}

/// The event under way, as far as we care.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Unnamed,
    /// It may say the usage.
    Counts,
    Piece,
    Last,
    Error,
    Other,
}

impl Tail {
    /// For a plain event stream; any other body, and an encoded one, cannot take an event.
    pub(super) fn of(headers: &HeaderMap, path: &str) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let is_events = kind
            .get(..17)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"));
        let plain = headers
            .get(header::CONTENT_ENCODING)
            .is_none_or(|v| v.as_bytes() == b"identity")
            && !headers.contains_key(header::CONTENT_LENGTH);
        (is_events && plain).then_some(Self {
            says_its_end: says_its_end(path),
            lines: Lines::new(LINE_KEPT),
            long: None,
            seen: Seen {
                event: Event::Unnamed,
                within_event: false,
                finished: false,
                error: None,
                usage: None,
                pieces: 0,
            },
        })
    }

    /// Takes note of a piece on its way. A line break cannot stand in a JSON string, so that no text of a model
    /// looks like a line of its own.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let before = bytes;
            let line = self.lines.next(&mut bytes);
            let passed = before.get(..before.len() - bytes.len());
            let passed = passed.unwrap_or_default();
            let Some(line) = line else {
                if self.seen.event.may_count() && !passed.is_empty() {
                    let new = || Box::new(UsageScan::of_event());
                    self.long.get_or_insert_with(new).push(passed);
                }
                return;
            };
            let long = self.long.take().filter(|_| line.len() >= LINE_KEPT);
            self.seen.end_line(line);
            if let Some(mut long) = long {
                long.push(passed);
                self.seen.note(long.said());
            }
        }
    }

    /// Whether the dialect's last event has passed, an error or not: SDKs close the connection then, and nothing is missing.
    pub(super) fn is_finished(&self) -> bool {
        self.seen.finished
            || self.seen.error.is_some()
            || data(self.lines.unfinished()) == Some(b"[DONE]")
    }

    /// The stream is over, and it was not whole.
    pub(super) fn is_truncated(&self) -> bool {
        self.says_its_end && !self.is_finished()
    }

    /// The error that the upstream said in the stream.
    pub(super) fn seen_error(&self) -> Option<ProviderError> {
        self.seen.error
    }

    /// What the answer took, as last said; of one that was cut short, no less output than there were pieces.
    pub(super) fn usage(&self) -> Option<Usage> {
        let mut usage = self.seen.usage?.usage();
        if !self.is_finished() {
            usage.output = usage.output.max(self.seen.pieces);
        }
        Some(usage)
    }

    /// Events that each brought a piece of the answer, a token or more.
    pub(super) fn pieces(&self) -> u64 {
        self.seen.pieces
    }

    /// The last bytes of a stream that broke: an event that the client's parser takes as an error, also
    /// where the stream was cut inside an event.
    pub(super) fn error_event(
        &self,
        dialect: Dialect,
        code: &'static str,
        message: &str,
        request_id: &str,
    ) -> Bytes {
        let between_events = self.lines.unfinished().is_empty() && !self.seen.within_event;
        let said = Said {
            kind: ErrorKind::Api,
            code,
            message,
            param: None,
        };
        let body = error_body(dialect, &said, request_id);
        let body = String::from_utf8_lossy(&body);
        // An unfinished event cannot be taken back. Named `error` after the fact it is one.
        let start = match (between_events, dialect) {
            (true, _) => "",
            (false, Dialect::Anthropic) => "\n",
            (false, Dialect::OpenAi) => "\n\n",
        };
        Bytes::from(match dialect {
            Dialect::Anthropic => format!("{start}event: error\ndata: {body}\n\n"),
            Dialect::OpenAi => format!("{start}data: {body}\n\n"),
        })
    }
}

impl Seen {
    fn end_line(&mut self, line: &[u8]) {
        self.within_event = !line.is_empty();
        if line.is_empty() {
            self.event = Event::Unnamed;
        } else if let Some(name) = field(line, b"event:") {
            self.event = Event::of_name(name);
        } else if self.event == Event::Piece {
            self.pieces += u64::from(data(line).is_some());
        } else if self.event != Event::Other
            && let Some(data) = data(line)
        {
            self.end_data(data);
        }
    }

    fn end_data(&mut self, data: &[u8]) {
        let kind = match self.event {
            Event::Unnamed => Event::of_data(data),
            named => named,
        };
        match kind {
            Event::Last => self.finished = true,
            Event::Error => {
                let unsaid = (self.event == Event::Error).then_some(ProviderError::Api);
                self.error = ProviderError::of_event(data).or(unsaid).or(self.error);
            }
            Event::Counts => self.note_usage(data),
            Event::Other if self.event == Event::Unnamed => {
                self.pieces += 1;
                self.note_usage(data);
            }
            Event::Unnamed | Event::Piece | Event::Other => {}
        }
    }

    fn note_usage(&mut self, data: &[u8]) {
        if may_say_usage(data) {
            self.note(UsageSaid::of_event(data));
        }
    }

    fn note(&mut self, newer: Option<UsageSaid>) {
        if let Some(newer) = newer {
            self.usage.get_or_insert_default().replace(newer);
        }
    }
}

impl Event {
    /// Whether a line of it may say the usage.
    fn may_count(self) -> bool {
        matches!(self, Self::Unnamed | Self::Counts)
    }

    fn of_name(name: &[u8]) -> Self {
        match name {
            b"message_stop" => Self::Last,
            b"error" => Self::Error,
            b"message_start"
            | b"message_delta"
            | b"response.completed"
            | b"response.incomplete" => Self::Counts,
            _ if name.ends_with(b"delta") => Self::Piece,
            _ => Self::Other,
        }
    }

    /// By the first words of its data, where it has no name.
    fn of_data(data: &[u8]) -> Self {
        if data == b"[DONE]" {
            return Self::Last;
        }
        let Some(first) = after(data, b"{").and_then(|rest| after(rest, b"\"")) else {
            return Self::Other;
        };
        if first.starts_with(b"error\"") {
            return Self::Error;
        }
        let kind = after(first, b"type\"").and_then(|rest| after(rest, b":"));
        match kind {
            Some(kind) if kind.starts_with(b"\"message_stop\"") => Self::Last,
            Some(kind) if kind.starts_with(b"\"error\"") => Self::Error,
            _ => Self::Other,
        }
    }
}

/// Whether this JSON has an object by that name, or Gemini's: in a string the quotes would be escaped.
fn may_say_usage(data: &[u8]) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage"));
    let mut found = NAME.find_iter(data).filter_map(|at| data.get(at + 6..));
    found.any(|rest| {
        let rest = rest.strip_prefix(b"Metadata").unwrap_or(rest);
        let value = after(rest, b"\"").and_then(|rest| after(rest, b":"));
        value.is_some_and(|value| value.starts_with(b"{"))
    })
}

/// Whether whole streams on this path end with an event that says so: `message_stop`, or `[DONE]`.
fn says_its_end(path: &str) -> bool {
    path.ends_with("/completions") || path.ends_with("/v1/messages")
}

/// What follows this piece of JSON and the spaces after it.
fn after<'d>(data: &'d [u8], piece: &[u8]) -> Option<&'d [u8]> {
    data.strip_prefix(piece).map(<[u8]>::trim_ascii_start)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
