//! What of Anthropic's Messages do we write and read? A field it does not know is a 400 there.

mod block;
mod request;

pub(super) use block::{Block, Made, Role, Source, Turn};
pub(super) use request::{
    Format, Function, Metadata, OutputConfig, Request, Schema, Thinking, ThinkingMode, Tool,
    ToolChoice,
};
