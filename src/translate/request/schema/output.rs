//! What of a schema for the answer does Anthropic enforce, and where does the rest go?

use std::fmt::{self, Write};

use serde_json::{Map, Value, json};

/// Limits that are not enforced: told in words, so that the model still knows them.
const LIMITS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// Members that hold one schema, many in a list, or many by name.
const ONE: &[&str] = &["items", "not", "if", "then", "else", "contains"];
const LISTS: &[&str] = &["anyOf", "allOf", "prefixItems"];
const BY_NAME: &[&str] = &["properties", "$defs", "definitions"];

/// Where an object's properties stand if not in itself.
const ELSEWHERE: &[&str] = &["$ref", "anyOf", "allOf", "enum", "const"];

/// An object that leaves the names of its properties to the model: closed, it could only be empty.
#[derive(Debug, Default)]
pub(in super::super) struct Unnamed {
    path: String,
}

impl Unnamed {
    fn within(self, key: &dyn fmt::Display) -> Self {
        let path = match self.path.as_str() {
            "" => key.to_string(),
            path => format!("{key}.{path}"),
        };
        Self { path }
    }
}

impl fmt::Display for Unnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "the schema leaves")?,
            path => write!(f, "`{path}` leaves")?,
        }
        f.write_str(
            " the names of its properties open, which this model's schemas cannot: \
             name them, or ask for a list of names and values",
        )
    }
}

/// Closes every object, turns `oneOf` into `anyOf`, and moves the limits into the descriptions.
pub(in super::super) fn clean(schema: &mut Value) -> Result<(), Unnamed> {
    let Value::Object(schema) = schema else {
        return Ok(());
    };
    schema.remove("$schema");
    join_ways(schema);
    tell_limits(schema);
    if is_object(schema) {
        if is_unnamed(schema) {
            return Err(Unnamed::default());
        }
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for (key, value) in schema.iter_mut() {
        let key = key.as_str();
        let cleaned = match value {
            Value::Array(schemas) if LISTS.contains(&key) => schemas
                .iter_mut()
                .enumerate()
                .try_for_each(|(at, one)| clean(one).map_err(|unnamed| unnamed.within(&at))),
            Value::Object(schemas) if BY_NAME.contains(&key) => schemas
                .iter_mut()
                .try_for_each(|(name, one)| clean(one).map_err(|unnamed| unnamed.within(name))),
            one if ONE.contains(&key) => clean(one),
            _ => Ok(()),
        };
        cleaned.map_err(|unnamed| unnamed.within(&key))?;
    }
    Ok(())
}

/// Where both kinds of alternatives stand, both hold.
fn join_ways(schema: &mut Map<String, Value>) {
    let Some(one_of) = schema.remove("oneOf") else {
        return;
    };
    let Some(any_of) = schema.remove("anyOf") else {
        schema.insert("anyOf".to_owned(), one_of);
        return;
    };
    let all = schema.entry("allOf").or_insert_with(|| json!([]));
    if let Value::Array(all) = all {
        all.extend([any_of, one_of].map(|ways| json!({"anyOf": ways})));
    }
}

fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => schema.contains_key("properties") || schema.contains_key("additionalProperties"),
    }
}

fn is_unnamed(schema: &Map<String, Value>) -> bool {
    let some = |key: &str| {
        let members = schema.get(key).and_then(Value::as_object);
        members.is_some_and(|members| !members.is_empty())
    };
    let more = schema.get("additionalProperties");
    // Another way to say `false`.
    let closed = more.is_some_and(|more| *more == false || *more == json!({"not": {}}));
    if some("patternProperties") || (some("additionalProperties") && !closed) {
        return true;
    }
    let named = some("properties") || ELSEWHERE.iter().any(|key| schema.contains_key(*key));
    let said_empty = more.is_none() && schema.contains_key("properties");
    !(named || closed || said_empty)
}

fn tell_limits(schema: &mut Map<String, Value>) {
    let mut told = String::new();
    for limit in LIMITS {
        if let Some(value) = schema.remove(*limit) {
            let comma = if told.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(told, "{comma}{limit}: {value}");
        }
    }
    if told.is_empty() {
        return;
    }
    let description = match schema.get("description").and_then(Value::as_str) {
        Some(text) => format!("{text}\n\n({told})"),
        None => format!("({told})"),
    };
    schema.insert("description".to_owned(), Value::from(description));
}
