//! What of a schema for the answer does Anthropic enforce, and where does the rest go?

use std::fmt::Write;

use serde_json::{Map, Value};

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

/// Closes every object, turns `oneOf` into `anyOf`, and moves the limits into the descriptions.
pub(in super::super) fn clean(schema: &mut Value) {
    let Value::Object(schema) = schema else {
        return;
    };
    schema.remove("$schema");
    if let Some(ways) = schema.remove("oneOf") {
        schema.entry("anyOf").or_insert(ways);
    }
    tell_limits(schema);
    if is_object(schema) {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for (key, value) in schema.iter_mut() {
        let key = key.as_str();
        match value {
            Value::Array(schemas) if LISTS.contains(&key) => schemas.iter_mut().for_each(clean),
            Value::Object(schemas) if BY_NAME.contains(&key) => {
                schemas.values_mut().for_each(clean);
            }
            one if ONE.contains(&key) => clean(one),
            _ => {}
        }
    }
}

fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => schema.contains_key("properties"),
    }
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
