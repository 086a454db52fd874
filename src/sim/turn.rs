//! What the simulated model says to a request, before any dialect words it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Message;

/// What of a request decides the model's turn; each dialect fills it in.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) stream: bool,
    /// The text of the last user message.
    pub(super) text: String,
    /// The last message brings a tool's result.
    pub(super) tool_result: bool,
    pub(super) tool: Option<Tool>,
    pub(super) thinking: bool,
    pub(super) input_tokens: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) schema: Value,
}

/// The shape of every turn of a host.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Shape {
    /// Into how many deltas a streamed text is cut; the text is lengthened to have as many words.
    /// None: one a word, at most twelve.
    pub deltas: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    Thinking(String),
    Text(Vec<String>),
    ToolUse { name: String, input: Value },
}

/// How a stream of a turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending<'m> {
    Whole,
    /// With an `error` event of this type.
    Error(&'m str),
    /// In good order, but without the event that says it is whole.
    Missing,
}

impl<'m> Ending<'m> {
    pub(super) fn of(scripted: Option<&'m Message>) -> Self {
        match scripted {
            Some(Message {
                stream_error: Some(kind),
                ..
            }) => Self::Error(kind),
            Some(message) if message.unfinished => Self::Missing,
            _ => Self::Whole,
        }
    }
}

pub(super) struct Turn {
    pub(super) model: String,
    pub(super) parts: Vec<Part>,
    pub(super) input_tokens: usize,
}

impl Turn {
    /// The rule: a scripted text is said as it is; else, where tools are offered and the user's text
    /// speaks of a "tool", the first one is used; a tool's result and everything else is echoed.
    pub(super) fn to(ask: &Ask, scripted: Option<&str>, shape: Shape) -> Self {
        let mut parts = Vec::new();
        if ask.thinking {
            let thought = format!(
                "The user wrote {} bytes; I shall echo them.",
                ask.text.len()
            );
            parts.push(Part::Thinking(thought));
        }
        let wants_tool = scripted.is_none() && !ask.tool_result && ask.text.contains("tool");
        match ask.tool.as_ref().filter(|_| wants_tool) {
            Some(tool) => {
                parts.push(Part::Text(vec![format!("I use {}.", tool.name)]));
                parts.push(Part::ToolUse {
                    name: tool.name.clone(),
                    input: fitting(&tool.schema),
                });
            }
            None => {
                let text = scripted.map_or_else(|| echo(ask), str::to_owned);
                parts.push(Part::Text(shape.cut(&text)));
            }
        }
        Self {
            model: ask.model.clone(),
            parts,
            input_tokens: ask.input_tokens,
        }
    }

    pub(super) fn uses_tool(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::ToolUse { .. }))
    }

    pub(super) fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(pieces) => Some(pieces.concat()),
                _ => None,
            })
            .collect()
    }

    pub(super) fn output_tokens(&self) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Thinking(thought) => thought.len() / 4 + 1,
                Part::Text(pieces) => pieces.len(),
                Part::ToolUse { input, .. } => input.to_string().len() / 4 + 8,
            })
            .sum()
    }
}

fn echo(ask: &Ask) -> String {
    const LONGEST: usize = 200;
    let text: String = ask.text.chars().take(LONGEST).collect();
    if ask.tool_result {
        format!("tool result: {text}")
    } else {
        format!("echo: {text}")
    }
}

impl Shape {
    fn cut(self, text: &str) -> Vec<String> {
        const USUAL: usize = 12;
        let mut words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        let most = self.deltas.unwrap_or(USUAL).max(1);
        if self.deltas.is_some() {
            for number in words.len()..most {
                words.push(format!(" word{number}"));
            }
        }
        if words.len() > most {
            let tail = words.split_off(most - 1).concat();
            words.push(tail);
        }
        words
    }
}

/// The simplest value that satisfies a schema's required properties.
fn fitting(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("string") => json!("sim"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields = required.filter_map(Value::as_str).map(|name| {
                let value = fitting(&schema["properties"][name]);
                (name.to_owned(), value)
            });
            Value::Object(fields.collect())
        }
    }
}

/// An id of the kind providers hand out.
pub(super) fn id(prefix: &str) -> String {
    let tail: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(22)
        .collect();
    format!("{prefix}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_input_holds_what_the_schema_requires() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "note": {"type": "string"},
            },
            "required": ["city", "days", "unit"],
        });

        assert_eq!(
            fitting(&schema),
            json!({"city": "sim", "days": 1, "unit": "C"})
        );
    }

    #[test]
    fn a_text_has_exactly_as_many_deltas_as_its_shape_says() {
        for deltas in [1, 3, 40] {
            let shape = Shape {
                deltas: Some(deltas),
            };

            let pieces = shape.cut("echo: one two three four");

            assert_eq!(pieces.len(), deltas);
            assert!(pieces.concat().starts_with("echo: one two three four"));
        }
    }
}
