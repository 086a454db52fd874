//! What of OpenAI's chat completions do we read and write? Fields that are not named here do not exist for us.

mod message;
mod request;
mod tool;
mod value;

pub(super) use message::{Called, File, ImageUrl, Message, Part, ToolCall};
pub(super) use request::Request;
pub(super) use tool::{ChoiceObject, Function, KnownTool, ResponseFormat, Tool};
pub(super) use value::{Members, StringOr, Text};
