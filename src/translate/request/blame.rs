//! Which parameter is at fault in a body that does not parse?

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use serde_json::{Error, Value, from_str};

use super::super::Unsupported;
use super::super::openai::{
    Called, Function, KnownTool, Members, Message, Part, Request, ToolCall,
};

/// Looks for the member that fails alone. What it holds is not repeated: it may be a prompt.
pub(super) fn of(text: &str, error: &Error) -> Unsupported {
    let Ok(members) = from_str::<Members<'_>>(text) else {
        if error.is_data() {
            return not_an_object();
        }
        let (line, column) = (error.line(), error.column());
        return Unsupported {
            param: None,
            message: format!("the body is not JSON (line {line}, column {column})"),
        };
    };
    Kind::Request
        .faulty_among(&members, "")
        .unwrap_or_else(|| repeated(&members))
}

fn not_an_object() -> Unsupported {
    Unsupported {
        param: None,
        message: "the body is not a JSON object".to_owned(),
    }
}

/// What an object is read as.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    Message,
    Part,
    Call,
    Called,
    Tool,
    Function,
}

impl Kind {
    fn fault(self, text: &str) -> Option<Error> {
        match self {
            Self::Request => from_str::<Request<'_>>(text).err(),
            Self::Message => from_str::<Message<'_>>(text).err(),
            Self::Part => from_str::<Part<'_>>(text).err(),
            Self::Call => from_str::<ToolCall<'_>>(text).err(),
            Self::Called => from_str::<Called<'_>>(text).err(),
            Self::Tool => from_str::<KnownTool<'_>>(text).err(),
            Self::Function => from_str::<Function<'_>>(text).err(),
        }
    }

    /// What stands under `key`, alone or in a list.
    fn inside(self, key: &str) -> Option<Self> {
        match (self, key) {
            (Self::Request, "messages") => Some(Self::Message),
            (Self::Request, "tools") => Some(Self::Tool),
            (Self::Message, "content" | "thinking_blocks") => Some(Self::Part),
            (Self::Message, "tool_calls") => Some(Self::Call),
            (Self::Call, "function") => Some(Self::Called),
            (Self::Tool, "function") => Some(Self::Function),
            _ => None,
        }
    }

    fn faulty_among(self, members: &Members<'_>, place: &str) -> Option<Unsupported> {
        let dot = if place.is_empty() { "" } else { "." };
        members.0.iter().find_map(|(key, value)| {
            let place = format!("{place}{dot}{}", &**key);
            let deeper = self
                .inside(key)
                .and_then(|kind| kind.faulty_within(value, &place));
            deeper.or_else(|| {
                let alone = format!("{{{}:{}}}", Value::from(&**key), value.get());
                Some(wrong(&place, &self.fault(&alone)?))
            })
        })
    }

    fn faulty_within(self, value: &RawValue, place: &str) -> Option<Unsupported> {
        match value.get().as_bytes().first() {
            Some(b'[') => {
                let list: Vec<&RawValue> = from_str(value.get()).ok()?;
                let mut list = list.iter().enumerate();
                list.find_map(|(at, one)| self.faulty(one, &format!("{place}[{at}]")))
            }
            Some(b'{') => self.faulty(value, place),
            _ => None,
        }
    }

    fn faulty(self, value: &RawValue, place: &str) -> Option<Unsupported> {
        let error = self.fault(value.get())?;
        let members: Option<Members<'_>> = from_str(value.get()).ok();
        let member = members.and_then(|members| self.faulty_among(&members, place));
        Some(member.unwrap_or_else(|| wrong(place, &error)))
    }
}

fn wrong(place: &str, error: &Error) -> Unsupported {
    let said = error.to_string();
    let message = match said.rsplit_once(", expected ") {
        Some((_, rest)) => {
            let expected = match rest.split(" at line ").next().unwrap_or(rest) {
                "f64" => "a number",
                "u64" => "a whole number, not negative",
                "a sequence" => "an array",
                said if said.starts_with("struct ") => "an object",
                said => said,
            };
            format!("`{place}` is of the wrong type, expected {expected}")
        }
        None => format!("`{place}` is malformed"),
    };
    Unsupported::new(place, message)
}

fn repeated(members: &Members<'_>) -> Unsupported {
    let mut seen = BTreeSet::new();
    let twice = members.0.iter().find(|(key, _)| !seen.insert(&**key));
    match twice {
        Some((key, _)) => Unsupported::new(&**key, format!("the body names `{}` twice", &**key)),
        None => Unsupported {
            param: None,
            message: "the body is not a chat completion".to_owned(),
        },
    }
}
