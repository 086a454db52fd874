//! Does a function's schema describe an object, and if not, which object is meant?

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::super::anthropic::Schema;

/// No schema of an object.
#[derive(Debug)]
pub(in super::super) struct NoObject;

/// What decides whether a schema can stay byte for byte.
#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(default, rename = "anyOf")]
    any_of: Option<IgnoredAny>,
    #[serde(default, rename = "oneOf")]
    one_of: Option<IgnoredAny>,
    #[serde(default, rename = "allOf")]
    all_of: Option<IgnoredAny>,
}

/// Anthropic wants `type: object` at the top, and no union there.
pub(in super::super) fn input(given: Option<&RawValue>) -> Result<Schema<'_>, NoObject> {
    let Some(given) = given else {
        return Ok(Schema::Changed(empty()));
    };
    let top: Top<'_> = serde_json::from_str(given.get()).map_err(|_e| NoObject)?;
    let union = top.any_of.is_some() || top.one_of.is_some() || top.all_of.is_some();
    if !union && top.kind.is_some_and(|kind| kind.get() == "\"object\"") {
        return Ok(Schema::Given(given));
    }
    let mut schema: Map<String, Value> =
        serde_json::from_str(given.get()).map_err(|_e| NoObject)?;
    if !describes_object(&schema) {
        return Err(NoObject);
    }
    for (key, every) in [("allOf", false), ("anyOf", true), ("oneOf", true)] {
        if let Some(Value::Array(branches)) = schema.remove(key) {
            merge(&mut schema, &branches, every);
        }
    }
    schema.insert("type".to_owned(), Value::from("object"));
    schema.entry("properties").or_insert_with(|| json!({}));
    Ok(Schema::Changed(Value::Object(schema)))
}

pub(in super::super) fn empty() -> Value {
    json!({"type": "object", "properties": {}})
}

/// A schema of a string or a list cannot be an object's; one that says no type can.
fn describes_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        None | Some(Value::Null) => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
    }
}

/// Takes the properties of all branches. Of alternatives, only what each of them requires is required.
fn merge(schema: &mut Map<String, Value>, branches: &[Value], alternatives: bool) {
    let branches: Vec<Map<String, Value>> = branches
        .iter()
        .filter_map(|branch| resolve(schema, branch))
        .collect();
    let mut properties = Map::new();
    for branch in &branches {
        if let Some(Value::Object(theirs)) = branch.get("properties") {
            for (name, property) in theirs {
                add(&mut properties, name, property);
            }
        }
    }
    let base = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(base) = base {
        for (name, property) in properties {
            base.entry(name).or_insert(property);
        }
    }
    let mut required = names(schema.get("required"));
    let theirs = branches.iter().map(|branch| names(branch.get("required")));
    let more = match alternatives {
        true => theirs
            .reduce(|all, next| all.into_iter().filter(|name| next.contains(name)).collect())
            .unwrap_or_default(),
        false => theirs.flatten().collect(),
    };
    for name in more {
        if !required.contains(&name) {
            required.push(name);
        }
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::from(required));
    }
}

/// The branch itself, or what its `$ref` names among the schema's own definitions.
fn resolve(schema: &Map<String, Value>, branch: &Value) -> Option<Map<String, Value>> {
    let branch = branch.as_object()?;
    let named = branch
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.strip_prefix("#/"))
        .and_then(|path| {
            let (place, name) = path.split_once('/')?;
            schema.get(place)?.get(name)?.as_object()
        });
    Some(named.unwrap_or(branch).clone())
}

/// Branches that differ over a property leave both ways open.
fn add(properties: &mut Map<String, Value>, name: &str, property: &Value) {
    match properties.get_mut(name) {
        None => {
            properties.insert(name.to_owned(), property.clone());
        }
        Some(known) if known == property => {}
        Some(known) => match known.get_mut("anyOf").and_then(Value::as_array_mut) {
            Some(ways) if !ways.contains(property) => ways.push(property.clone()),
            Some(_) => {}
            None => *known = json!({"anyOf": [known.take(), property]}),
        },
    }
}

fn names(list: Option<&Value>) -> Vec<String> {
    let names = list.and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}
