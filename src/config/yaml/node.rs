//! The tree of a YAML document, each node with its place.

use serde_json::{Number, json};

use crate::config::Place;

/// A node and where it stands. It has no `Debug`: it may hold a secret.
#[derive(Clone)]
pub(crate) struct Node {
    pub place: Place,
    pub value: Value,
    /// The value was taken from an environment variable or a file of its own, so it is text whatever it looks like.
    pub from_env: bool,
}

#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    /// A date or a time, as written.
    Timestamp(String),
    /// What is no text; nobody asks for it.
    Binary(Vec<u8>),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub key: Node,
    pub value: Node,
}

impl Node {
    pub fn new(place: Place, value: Value) -> Self {
        Self {
            place,
            value,
            from_env: false,
        }
    }

    /// What to call this value in a message.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "empty",
            Value::Bool(_) => "a yes/no value",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Timestamp(_) => "a date",
            Value::Binary(_) => "binary data",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Seq(items) => items,
            _ => &[],
        }
    }

    /// The value of a key, `null` included; `None` also where this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key.as_str() == Some(key))
            .map(|entry| &entry.value)
    }

    /// The value of a key that is there and not `null`.
    pub fn present(&self, key: &str) -> Option<&Self> {
        self.get(key).filter(|node| !node.is_null())
    }

    /// What tells two keys of one mapping apart, as Python does (`1`, `1.0` and `true` are one key);
    /// `None` for lists and mappings, which cannot be keys.
    pub fn key_identity(&self) -> Option<String> {
        Some(match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => format!("number {}", i128::from(*flag)),
            Value::Int(number) => format!("number {number}"),
            Value::Float(number) => format!("number {number}"),
            Value::Str(text) => format!("text {text}"),
            Value::Timestamp(text) => format!("time {text}"),
            Value::Binary(bytes) => format!("bytes {bytes:?}"),
            Value::Seq(_) | Value::Map(_) => return None,
        })
    }

    /// The tree in JSON. What JSON has no word for becomes an object with one `!` key.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => json!(null),
            Value::Bool(flag) => json!(flag),
            Value::Int(number) => i64::try_from(*number).map_or_else(
                |_too_large| json!({"!int": number.to_string()}),
                |n| json!(n),
            ),
            Value::Float(number) => Number::from_f64(*number)
                .map_or_else(|| json!({"!float": number.to_string()}), |n| json!(n)),
            Value::Str(text) => json!(text),
            Value::Timestamp(_) => json!({"!time": true}),
            Value::Binary(bytes) => json!({"!binary": bytes}),
            Value::Seq(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.json_key(), entry.value.to_json()))
                    .collect(),
            ),
        }
    }

    fn json_key(&self) -> String {
        match &self.value {
            Value::Str(text) => text.clone(),
            other => format!(
                "!{}",
                Self::new(self.place.clone(), other.clone()).to_json()
            ),
        }
    }
}
