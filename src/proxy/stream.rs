//! How does a broken stream end? With the dialect's error event where that can be said.

use bytes::Bytes;
use http::{HeaderMap, header};
use memchr::memmem;

use crate::wire::{Dialect, ErrorKind, error_body};

/// The end of what has passed of an event stream.
pub(super) struct Tail {
    last: [u8; 4],
    /// The dialect's own end has passed; what is left is framing.
    finished: bool,
}

impl Tail {
    /// For a plain event stream; any other body, and an encoded one, cannot take an event.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let is_events = kind
            .get(..17)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"));
        let plain = headers
            .get(header::CONTENT_ENCODING)
            .is_none_or(|v| v.as_bytes() == b"identity")
            && !headers.contains_key(header::CONTENT_LENGTH);
        (is_events && plain).then_some(Self {
            last: *b"\0\0\n\n",
            finished: false,
        })
    }

    pub(super) fn pass(&mut self, bytes: &[u8]) {
        let keep = bytes.len().min(4);
        self.last.rotate_left(keep);
        let (_, tail) = self.last.split_at_mut(4 - keep);
        tail.copy_from_slice(bytes.split_at(bytes.len() - keep).1);
        // A line break cannot stand in a JSON string, so that no text of a model looks like this.
        self.finished |= memmem::find(bytes, b"data: [DONE]\n").is_some()
            || memmem::find(bytes, b"event: message_stop\n").is_some();
    }

    /// Whether the dialect's last event has passed: SDKs close the connection then, and nothing is missing.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The last bytes of a stream that broke: an event that the client's parser takes as an error, also
    /// where the stream was cut inside an event.
    pub(super) fn error_event(&self, dialect: Dialect, message: &str, request_id: &str) -> Bytes {
        let between_events = self.last.ends_with(b"\n\n") || self.last.ends_with(b"\r\n\r\n");
        let body = error_body(
            dialect,
            ErrorKind::Api,
            "upstream_broken",
            message,
            request_id,
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_a_plain_event_stream_can_take_an_error_event() {
        assert!(
            Tail::of(&headers(&[(
                "content-type",
                "text/event-stream; charset=utf-8"
            )]))
            .is_some()
        );
        assert!(Tail::of(&headers(&[("content-type", "application/json")])).is_none());
        assert!(
            Tail::of(&headers(&[
                ("content-type", "text/event-stream"),
                ("content-encoding", "gzip")
            ]))
            .is_none()
        );
        assert!(
            Tail::of(&headers(&[
                ("content-type", "text/event-stream"),
                ("content-length", "5")
            ]))
            .is_none()
        );
    }

    #[test]
    fn between_events_the_error_stands_alone() {
        let mut tail = Tail::of(&headers(&[("content-type", "text/event-stream")])).unwrap();
        for piece in ["data: {}\r", "\n", "\r\n"] {
            tail.pass(piece.as_bytes());
        }

        let event = tail.error_event(Dialect::Anthropic, "gone", "r1");

        assert!(
            event.starts_with(b"event: error\ndata: {\"type\":\"error\""),
            "{event:?}"
        );
        assert!(event.ends_with(b"\n\n"));
    }

    #[test]
    fn the_dialects_own_end_is_seen_and_text_that_mentions_it_is_not() {
        let finished = |pieces: &[&str]| {
            let events = headers(&[("content-type", "text/event-stream")]);
            let mut tail = Tail::of(&events).unwrap();
            pieces.iter().for_each(|piece| tail.pass(piece.as_bytes()));
            tail.is_finished()
        };

        assert!(finished(&["data: {}\n\n", "data: [DONE]\n\n"]));
        assert!(finished(&[
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
        ]));
        assert!(!finished(&[
            "data: {\"text\":\"data: [DONE]\\n event: message_stop\"}\n\n"
        ]));
    }

    #[test]
    fn a_cut_event_becomes_an_error_event_in_the_anthropic_dialect() {
        let mut tail = Tail::of(&headers(&[("content-type", "text/event-stream")])).unwrap();
        tail.pass(b"event: content_block_delta\ndata: {\"ty");

        let event = tail.error_event(Dialect::Anthropic, "gone", "r1");

        assert!(event.starts_with(b"\nevent: error\n"), "{event:?}");
    }

    #[test]
    fn the_openai_dialect_says_it_as_a_data_object() {
        let tail = Tail::of(&headers(&[("content-type", "text/event-stream")])).unwrap();

        let event = tail.error_event(Dialect::OpenAi, "gone", "r1");

        assert!(event.starts_with(b"data: {\"error\":{"), "{event:?}");
    }
}
