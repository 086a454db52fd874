//! What do all chunks of one stream share, and how do they differ?

use bytes::BytesMut;

use crate::translate::Reply;

use super::json;
use super::usage::Usage;

/// The beginning of every chunk, written once, and what follows its choices.
pub(super) struct Frame {
    start: String,
    end: &'static str,
}

/// The chunks of a stream on their way out.
pub(super) struct Chunks<'a> {
    frame: &'a Frame,
    out: &'a mut BytesMut,
}

impl Frame {
    /// For an answer with this id, which is JSON without quotes.
    pub(super) fn new(id: &str, reply: &Reply) -> Self {
        let (created, model) = (reply.created, json::of(&*reply.alias));
        let start = format!(
            r#"data: {{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":{model},"choices":["#
        );
        let end = match reply.include_usage {
            true => ",\"usage\":null}\n\n",
            false => "}\n\n",
        };
        Self { start, end }
    }

    pub(super) fn onto<'a>(&'a self, out: &'a mut BytesMut) -> Chunks<'a> {
        Chunks { frame: self, out }
    }
}

impl Chunks<'_> {
    /// More of the message.
    pub(super) fn delta(&mut self, delta: &[&str]) {
        let said: usize = delta.iter().map(|piece| piece.len()).sum();
        self.out.reserve(self.frame.start.len() + said + 80);
        self.put(&[&self.frame.start, r#"{"index":0,"delta":{"#]);
        self.put(delta);
        self.put(&[r#"},"finish_reason":null}]"#, self.frame.end]);
    }

    /// More of one of its texts, unless there is no more; JSON without quotes.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.delta(&["\"", name, r#"":""#, text, "\""]);
        }
    }

    /// Why it is over. The refusal is JSON.
    pub(super) fn finish(&mut self, reason: &str, refusal: Option<&str>, usage: &Usage) {
        self.put(&[&self.frame.start, r#"{"index":0,"delta":{"#]);
        if let Some(refusal) = refusal {
            self.put(&[r#""refusal":"#, refusal]);
        }
        self.put(&[r#"},"finish_reason":""#, reason, r#""}]"#]);
        self.put(&[usage.service_tier(), self.frame.end]);
    }

    /// The usage, in a chunk without a choice.
    pub(super) fn usage(&mut self, usage: &Usage) {
        let usage = json::of(&usage.told());
        self.put(&[&self.frame.start, r#"],"usage":"#, &usage, "}\n\n"]);
    }

    /// After this nothing comes.
    pub(super) fn done(&mut self) {
        self.put(&["data: [DONE]\n\n"]);
    }

    fn put(&mut self, pieces: &[&str]) {
        for piece in pieces {
            self.out.extend_from_slice(piece.as_bytes());
        }
    }
}
