//! Which parameter is at fault in a body that does not parse?

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::super::Unsupported;
use super::super::openai::{Members, Message, Request};
use super::Place;

/// Looks for the member that fails alone. What it holds is not repeated: it may be a prompt.
pub(super) fn of(text: &str, error: &serde_json::Error) -> Unsupported {
    let Ok(members) = serde_json::from_str::<Members<'_>>(text) else {
        if error.is_data() {
            return not_an_object();
        }
        let (line, column) = (error.line(), error.column());
        return Unsupported {
            param: None,
            message: format!("the body is not JSON (line {line}, column {column})"),
        };
    };
    members
        .0
        .iter()
        .find_map(|(key, value)| faulty(key, value))
        .unwrap_or_else(|| repeated(&members))
}

pub(super) fn not_an_object() -> Unsupported {
    Unsupported {
        param: None,
        message: "the body is not a JSON object".to_owned(),
    }
}

fn faulty(key: &str, value: &RawValue) -> Option<Unsupported> {
    if key == "messages"
        && let Ok(messages) = serde_json::from_str::<Vec<&RawValue>>(value.get())
    {
        return messages.iter().enumerate().find_map(|(at, message)| {
            let error = serde_json::from_str::<Message<'_>>(message.get()).err()?;
            Some(Place::message(at).fault(sentence(&Place::message(at).to_string(), &error)))
        });
    }
    let alone = format!("{{{}:{}}}", serde_json::Value::from(key), value.get());
    let error = serde_json::from_str::<Request<'_>>(&alone).err()?;
    Some(Unsupported::new(key, sentence(key, &error)))
}

fn sentence(place: &str, error: &serde_json::Error) -> String {
    let said = error.to_string();
    match said.split_once(", expected ") {
        Some((_, rest)) => {
            let expected = match rest.split(" at line ").next().unwrap_or(rest) {
                "f64" => "a number",
                "u64" => "a whole number, not negative",
                said if said.starts_with("struct ") => "an object",
                said => said,
            };
            format!("`{place}` is of the wrong type, expected {expected}")
        }
        None => format!("`{place}` is malformed"),
    }
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
