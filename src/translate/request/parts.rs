//! What blocks do the parts of a message's content become?

use serde_json::value::RawValue;

use super::super::Unsupported;
use super::super::anthropic::{Block, Source};
use super::super::openai::{Message, Part, StringOr, Text};
use super::{Place, files};

type Blocks<'a> = Result<Vec<Block<'a>>, Unsupported>;

pub(super) fn system<'a>(message: Message<'a>, place: Place) -> Blocks<'a> {
    let mut blocks = content(message.content, place, |part, at| match &*part.kind {
        "text" => Ok(text(part.text, part.cache_control)),
        _ => Err(at.fault("the content of a system message is text")),
    })?;
    mark_last(&mut blocks, message.cache_control);
    Ok(blocks)
}

pub(super) fn user<'a>(message: Message<'a>, place: Place) -> Blocks<'a> {
    let mut blocks = content(message.content, place, shown)?;
    mark_last(&mut blocks, message.cache_control);
    Ok(blocks)
}

/// What a user shows, or a tool.
pub(super) fn shown<'a>(part: Part<'a>, place: Place) -> Result<Option<Block<'a>>, Unsupported> {
    let cache_control = part.cache_control;
    let mut block = match (&*part.kind, part.source) {
        ("text", _) => return Ok(text(part.text, cache_control)),
        ("image_url", _) => files::image(part.image_url, place)?,
        ("file", _) => files::file(part.file, place)?,
        ("image", Some(source)) => Block::Image {
            source: Source::Given(source),
            cache_control: None,
        },
        ("document", Some(source)) => Block::Document {
            source: Source::Given(source),
            title: part.title,
            context: part.context,
            citations: part.citations,
            cache_control: None,
        },
        ("input_audio", _) => return Err(place.fault("this model does not hear, send text")),
        ("", _) => return Err(place.field("type", "a part of the content needs a `type`")),
        _ => {
            return Err(place.field("type", "the part must be text, image_url or file"));
        }
    };
    mark_last(std::slice::from_mut(&mut block), cache_control);
    Ok(Some(block))
}

/// What the assistant said before.
pub(super) fn said<'a>(part: Part<'a>, place: Place) -> Result<Option<Block<'a>>, Unsupported> {
    match &*part.kind {
        "text" => Ok(text(part.text, part.cache_control)),
        "refusal" => Ok(text(part.refusal, part.cache_control)),
        "thinking" | "redacted_thinking" => Ok(thought(part)),
        _ => Err(place.field(
            "type",
            "the content of an assistant message is text, refusal, thinking or redacted_thinking",
        )),
    }
}

/// Signed thoughts go back as they came; others are not accepted there.
pub(super) fn thought(part: Part<'_>) -> Option<Block<'_>> {
    let given = |text: &Text<'_>| !text.is_empty();
    match &*part.kind {
        "thinking" => Some(Block::Thinking {
            thinking: part.thinking.unwrap_or_default(),
            signature: part.signature.filter(given)?,
        }),
        "redacted_thinking" => Some(Block::RedactedThinking {
            data: part.data.filter(given)?,
        }),
        _ => None,
    }
}

/// Each part through `block`; a string is one part of text. What a part that is left out marks is the end
/// of what came before it.
pub(super) fn content<'a>(
    content: Option<StringOr<'a, Vec<Part<'a>>>>,
    place: Place,
    block: impl Fn(Part<'a>, Place) -> Result<Option<Block<'a>>, Unsupported>,
) -> Blocks<'a> {
    match content {
        None => Ok(Vec::new()),
        Some(StringOr::Text(text)) if text.is_blank() => Ok(Vec::new()),
        Some(StringOr::Text(text)) => Ok(vec![Block::text(text)]),
        Some(StringOr::Other(parts)) => {
            let mut blocks = Vec::with_capacity(parts.len());
            for (at, part) in parts.into_iter().enumerate() {
                let mark = part.cache_control;
                match block(part, place.part(at))? {
                    Some(block) => blocks.push(block),
                    None => mark_last(&mut blocks, mark),
                }
            }
            Ok(blocks)
        }
    }
}

fn text<'a>(text: Option<Text<'a>>, cache_control: Option<&'a RawValue>) -> Option<Block<'a>> {
    let text = text.filter(|text| !text.is_blank())?;
    Some(Block::Text {
        text,
        cache_control,
    })
}

/// A breakpoint said of the whole stands at its end, unless one stands there already.
pub(super) fn mark_last<'a>(blocks: &mut [Block<'a>], mark: Option<&'a RawValue>) {
    let last = blocks.iter_mut().rev().find_map(Block::cache_control);
    if let Some(place @ None) = last {
        *place = mark;
    }
}
