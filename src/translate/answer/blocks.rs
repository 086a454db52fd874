//! What is under way among the content blocks of a stream?

use crate::translate::ToolNames;

use super::frame::Chunks;
use super::received::{Block, Delta};
use super::{Unreadable, json};

/// Anthropic sends one block after the other.
const OPEN_AT_ONCE: usize = 64;

/// Thinking can be sent back only as a whole, so that it is kept until its signature comes. More than this, which
/// is longer than the largest `max_tokens` allows, is told as text alone.
const THOUGHT_KEPT: usize = 512 * 1024;

#[derive(Default)]
pub(super) struct Blocks {
    /// Those whose deltas are not just passed on, by Anthropic's index.
    open: Vec<(u64, Kind)>,
    /// How many tool calls the client has seen.
    calls: u64,
    /// How many blocks of thinking.
    thoughts: u64,
    thought: Option<Thought>,
}

enum Kind {
    /// Nothing of it is the client's.
    Hidden,
    Call(Call),
}

struct Call {
    /// Among the tool calls: a number.
    index: String,
    arguments: Arguments,
}

#[derive(PartialEq)]
enum Arguments {
    None,
    /// They stood in the block's start.
    Whole,
    Pieces,
}

/// The thinking under way; strings are JSON without quotes.
struct Thought {
    block: u64,
    text: String,
    signature: String,
}

impl Blocks {
    pub(super) fn start(
        &mut self,
        index: u64,
        block: &Block<'_>,
        names: &ToolNames,
        chunks: &mut Chunks<'_>,
    ) -> Result<(), Unreadable> {
        self.stop(index, chunks);
        match &*block.kind {
            "text" => chunks.text("content", json::inner(block.text)?),
            "thinking" => {
                if let Some(before) = self.thought.replace(Thought::new(index)) {
                    self.end_thought(&before, chunks);
                }
                self.think(index, json::inner(block.thinking)?, chunks);
                self.sign(index, json::inner(block.signature)?);
            }
            "redacted_thinking" => {
                self.tell_thought(&json::redacted(json::inner(block.data)?), chunks);
                self.open(index, Kind::Hidden)?;
            }
            "tool_use" => {
                let call = self.call(block, names, chunks)?;
                self.open(index, Kind::Call(call))?;
            }
            // What the provider runs by itself is no call for the client to answer.
            _ => self.open(index, Kind::Hidden)?,
        }
        Ok(())
    }

    pub(super) fn delta(
        &mut self,
        index: u64,
        delta: &Delta<'_>,
        chunks: &mut Chunks<'_>,
    ) -> Result<(), Unreadable> {
        let open = self.open.iter_mut().find(|(open, _)| *open == index);
        match (&*delta.kind, open.map(|(_, kind)| kind)) {
            ("text_delta", None) => chunks.text("content", json::inner(delta.text)?),
            ("thinking_delta", None) => self.think(index, json::inner(delta.thinking)?, chunks),
            ("signature_delta", None) => self.sign(index, json::inner(delta.signature)?),
            ("input_json_delta", Some(Kind::Call(call))) => {
                call.add(json::inner(delta.partial_json)?, chunks);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn stop(&mut self, index: u64, chunks: &mut Chunks<'_>) {
        if let Some(thought) = self.thought.take_if(|thought| thought.block == index) {
            self.end_thought(&thought, chunks);
        }
        if let Some(at) = self.open.iter().position(|(open, _)| *open == index)
            && let (_, Kind::Call(call)) = self.open.remove(at)
        {
            call.end(chunks);
        }
    }

    /// The message is over, and so are the blocks of which it was not said.
    pub(super) fn stop_all(&mut self, chunks: &mut Chunks<'_>) {
        while let Some((index, _)) = self.open.first() {
            self.stop(*index, chunks);
        }
        if let Some(thought) = self.thought.take() {
            self.end_thought(&thought, chunks);
        }
    }

    fn open(&mut self, index: u64, kind: Kind) -> Result<(), Unreadable> {
        if self.open.len() == OPEN_AT_ONCE {
            return Err(Unreadable("it has too many blocks at once"));
        }
        self.open.push((index, kind));
        Ok(())
    }

    fn call(
        &mut self,
        block: &Block<'_>,
        names: &ToolNames,
        chunks: &mut Chunks<'_>,
    ) -> Result<Call, Unreadable> {
        let (id, name) = (json::inner(block.id)?, json::tool_name(block.name, names)?);
        let whole = block
            .input
            .map(|input| json::arguments(Some(input)))
            .filter(|input| input.starts_with('{') && input != "{}");
        let index = self.calls.to_string();
        self.calls += 1;
        chunks.delta(&[
            r#""tool_calls":[{"index":"#,
            &index,
            r#","id":""#,
            id,
            r#"","type":"function","function":{"name":"#,
            &name,
            r#","arguments":""#,
            whole.as_deref().unwrap_or_default(),
            r#""}}]"#,
        ]);
        Ok(Call {
            index,
            arguments: match whole {
                Some(_) => Arguments::Whole,
                None => Arguments::None,
            },
        })
    }

    fn think(&mut self, index: u64, text: &str, chunks: &mut Chunks<'_>) {
        chunks.text("reasoning_content", text);
        let thought = self.thought.as_mut().filter(|it| it.block == index);
        if let Some(thought) = thought {
            thought.text.push_str(text);
            self.thought
                .take_if(|thought| thought.text.len() > THOUGHT_KEPT);
        }
    }

    fn sign(&mut self, index: u64, signature: &str) {
        let thought = self.thought.as_mut().filter(|it| it.block == index);
        if let Some(thought) = thought {
            signature.clone_into(&mut thought.signature);
        }
    }

    /// What is not signed could not be sent back.
    fn end_thought(&mut self, thought: &Thought, chunks: &mut Chunks<'_>) {
        if !thought.signature.is_empty() {
            let block = json::thinking(&thought.text, &thought.signature);
            self.tell_thought(&block, chunks);
        }
    }

    /// Numbered: OpenAI's Python SDK puts lists together by the index of their entries, and fails without one.
    fn tell_thought(&mut self, block: &str, chunks: &mut Chunks<'_>) {
        let index = self.thoughts.to_string();
        self.thoughts += 1;
        chunks.delta(&[r#""thinking_blocks":[{"index":"#, &index, ",", block, "}]"]);
    }
}

impl Call {
    fn add(&mut self, fragment: &str, chunks: &mut Chunks<'_>) {
        if fragment.is_empty() || self.arguments == Arguments::Whole {
            return;
        }
        self.arguments = Arguments::Pieces;
        chunks.delta(&[
            r#""tool_calls":[{"index":"#,
            &self.index,
            r#","function":{"arguments":""#,
            fragment,
            r#""}}]"#,
        ]);
    }

    /// A call without arguments has an empty object of them: clients parse what they are given.
    fn end(mut self, chunks: &mut Chunks<'_>) {
        if self.arguments == Arguments::None {
            self.add("{}", chunks);
        }
    }
}

impl Thought {
    fn new(block: u64) -> Self {
        Self {
            block,
            text: String::new(),
            signature: String::new(),
        }
    }
}
