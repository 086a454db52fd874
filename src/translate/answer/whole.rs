//! How is a whole answer told?

use bytes::Bytes;

use crate::translate::Reply;

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
    let message: Message<'_> = serde_json::from_slice(body)
        .ok()
        .ok_or(Unreadable("it is no message"))?;
    let mut parts = Parts::default();
    for block in &message.content {
        parts.add(block, reply)?;
    }
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

impl Parts {
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
        for (name, list) in [
            ("thinking_blocks", &self.thinking_blocks),
            ("tool_calls", &self.tool_calls),
        ] {
            if !list.is_empty() {
                message.extend([",\"", name, "\":[{", &list.join("},{"), "}]"]);
            }
        }
        message.push('}');
        message
    }
}
