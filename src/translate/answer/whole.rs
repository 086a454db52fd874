//! How is a whole answer told?

use bytes::{Bytes, BytesMut};

use crate::translate::Reply;

use super::frame::Frame;
use super::received::{Block, Message, explanation};
use super::usage::Usage;
use super::{Unreadable, finish_reason, json};

/// What the blocks of a message come to; strings are JSON without quotes, and objects without braces.
#[derive(Default)]
struct Parts {
    text: String,
    reasoning: String,
    thinking_blocks: Vec<String>,
    tool_calls: Vec<String>,
}

/// A chat completion of an Anthropic message.
pub fn answer(body: &[u8], reply: &Reply) -> Result<Bytes, Unreadable> {
    let message = read(body)?;
    let parts = Parts::of(&message, reply)?;
    let usage = Usage::of(message.usage);
    let stop = message.stop_reason.unwrap_or_default();
    let told = [
        r#"{"id":""#,
        json::inner(message.id)?,
        r#"","object":"chat.completion","created":"#,
        &reply.created.to_string(),
        r#","model":"#,
        &json::of(&*reply.alias),
        r#","system_fingerprint":null"#,
        usage.service_tier(),
        r#","choices":[{"index":0,"message":"#,
        &parts.message(explanation(&stop, message.stop_details)),
        r#","logprobs":null,"finish_reason":""#,
        finish_reason(&stop),
        r#""}],"usage":"#,
        &json::of(&usage.told()),
        "}",
    ];
    Ok(Bytes::from(told.concat()))
}

/// The chunks of an Anthropic message that came whole, although a stream was asked for.
pub fn streamed(body: &[u8], reply: &Reply) -> Result<Bytes, Unreadable> {
    let message = read(body)?;
    let parts = Parts::of(&message, reply)?;
    let frame = Frame::new(json::inner(message.id)?, reply);
    let mut out = BytesMut::new();
    let mut chunks = frame.onto(&mut out);
    chunks.delta(&[r#""role":"assistant","content":"""#]);
    chunks.text("reasoning_content", &parts.reasoning);
    chunks.text("content", &parts.text);
    for (name, list) in parts.lists() {
        for (index, entry) in list.iter().enumerate() {
            let index = index.to_string();
            chunks.delta(&["\"", name, r#"":[{"index":"#, &index, ",", entry, "}]"]);
        }
    }
    let usage = Usage::of(message.usage);
    let stop = message.stop_reason.unwrap_or_default();
    let refusal = explanation(&stop, message.stop_details);
    chunks.finish(finish_reason(&stop), refusal, &usage);
    if reply.include_usage {
        chunks.usage(&usage);
    }
    chunks.done();
    Ok(out.freeze())
}

fn read(body: &[u8]) -> Result<Message<'_>, Unreadable> {
    serde_json::from_slice(body)
        .ok()
        .ok_or(Unreadable("it is no message"))
}

impl Parts {
    fn of(message: &Message<'_>, reply: &Reply) -> Result<Self, Unreadable> {
        let mut parts = Self::default();
        for block in &message.content {
            parts.add(block, reply)?;
        }
        Ok(parts)
    }

    /// What a message has several of.
    fn lists(&self) -> [(&'static str, &[String]); 2] {
        [
            ("thinking_blocks", &self.thinking_blocks),
            ("tool_calls", &self.tool_calls),
        ]
    }

    fn add(&mut self, block: &Block<'_>, reply: &Reply) -> Result<(), Unreadable> {
        match &*block.kind {
            "text" => self.text.push_str(json::inner(block.text)?),
            "thinking" => {
                let thought = json::inner(block.thinking)?;
                let signature = json::inner(block.signature)?;
                self.reasoning.push_str(thought);
                if !signature.is_empty() {
                    self.thinking_blocks
                        .push(json::thinking(thought, signature));
                }
            }
            "redacted_thinking" => {
                self.thinking_blocks
                    .push(json::redacted(json::inner(block.data)?));
            }
            "tool_use" => {
                let (id, name) = (
                    json::inner(block.id)?,
                    json::tool_name(block.name, &reply.names)?,
                );
                let arguments = json::arguments(block.input);
                self.tool_calls.push(format!(
                    r#""id":"{id}","type":"function","function":{{"name":{name},"arguments":"{arguments}"}}"#
                ));
            }
            // What the provider ran by itself is no call for the client to answer.
            _ => {}
        }
        Ok(())
    }

    /// The message; the refusal is JSON.
    fn message(&self, refusal: Option<&str>) -> String {
        let mut message = String::from(r#"{"role":"assistant","content":"#);
        match self.text.as_str() {
            "" => message.push_str("null"),
            text => message.extend(["\"", text, "\""]),
        }
        message.extend([r#","refusal":"#, refusal.unwrap_or("null")]);
        if !self.reasoning.is_empty() {
            message.extend([r#","reasoning_content":""#, &self.reasoning, "\""]);
        }
        for (name, list) in self.lists() {
            if !list.is_empty() {
                message.extend([",\"", name, "\":[{", &list.join("},{"), "}]"]);
            }
        }
        message.push('}');
        message
    }
}
