//! Does a function's schema describe an object, and if not, which object is meant?

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::super::anthropic::Schema;

/// A union of more is no tool's, and would cost its square; their own parts count too.
const MOST_BRANCHES: usize = 100;
/// A schema that only names another may do so as often.
const MOST_NAMES: usize = 8;

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
    #[serde(default, rename = "$ref")]
    named: Option<IgnoredAny>,
}

/// Anthropic wants `type: object` at the top, and no union there.
pub(in super::super) fn input(given: Option<&RawValue>) -> Result<Schema<'_>, NoObject> {
    let Some(given) = given else {
        return Ok(Schema::Changed(empty()));
    };
    let top: Top<'_> = serde_json::from_str(given.get()).map_err(|_e| NoObject)?;
    let union = top.any_of.is_some() || top.one_of.is_some() || top.all_of.is_some();
    if !union && top.named.is_none() && top.kind.is_some_and(|kind| kind.get() == "\"object\"") {
        return Ok(Schema::Given(given));
    }
    let mut schema: Map<String, Value> =
        serde_json::from_str(given.get()).map_err(|_e| NoObject)?;
    take_named(&mut schema);
    let nowhere = schema.contains_key("$ref") && !schema.contains_key("properties");
    if nowhere || !describes_object(&schema) {
        return Err(NoObject);
    }
    for (key, alternatives) in [("allOf", false), ("anyOf", true), ("oneOf", true)] {
        if let Some(Value::Array(branches)) = schema.remove(key) {
            merge(&mut schema, &branches, alternatives)?;
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

/// What a `$ref` at the top names is the schema itself, beside what is said there.
fn take_named(schema: &mut Map<String, Value>) {
    for _ in 0..MOST_NAMES {
        let path = schema.get("$ref").and_then(Value::as_str);
        let Some(named) = path.and_then(|path| definition(schema, path)).cloned() else {
            return;
        };
        schema.shift_remove("$ref");
        for (key, theirs) in named {
            if key == "required" {
                require(schema, strings(Some(&theirs)).map(str::to_owned).collect());
                continue;
            }
            match (schema.get_mut(&key), theirs) {
                (Some(Value::Object(ours)), Value::Object(theirs)) => {
                    for (name, value) in theirs {
                        ours.entry(name).or_insert(value);
                    }
                }
                (Some(_), _) => {}
                (None, theirs) => {
                    schema.insert(key, theirs);
                }
            }
        }
    }
}

/// Takes the properties of all branches. Of alternatives, only what each of them requires is required.
fn merge(
    schema: &mut Map<String, Value>,
    branches: &[Value],
    alternatives: bool,
) -> Result<(), NoObject> {
    let mut properties = Map::new();
    let mut required: Vec<BTreeSet<&str>> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut parts = 0;
    for branch in branches {
        let named = branch.get("$ref").and_then(Value::as_str);
        if named.is_some_and(|name| !seen.insert(name)) {
            continue;
        }
        let mut names = BTreeSet::new();
        for part in parts_of(schema, branch) {
            parts += 1;
            if parts > MOST_BRANCHES {
                return Err(NoObject);
            }
            let members = part.get("properties").and_then(Value::as_object);
            for (name, property) in members.into_iter().flatten() {
                add(&mut properties, name, property);
            }
            names.extend(strings(part.get("required")));
        }
        required.push(names);
    }
    let needed = |name: &&str| match alternatives {
        true => required.iter().all(|names| names.contains(name)),
        false => true,
    };
    let needed: BTreeSet<String> = required
        .iter()
        .flatten()
        .copied()
        .filter(needed)
        .map(str::to_owned)
        .collect();
    require(schema, needed);
    let base = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(base) = base {
        for (name, property) in properties {
            base.entry(name).or_insert(property);
        }
    }
    Ok(())
}

/// A branch, and what its own `allOf` adds to it.
fn parts_of<'s>(
    schema: &'s Map<String, Value>,
    branch: &'s Value,
) -> impl Iterator<Item = &'s Map<String, Value>> {
    let meant = move |part: &'s Value| {
        let path = part.get("$ref").and_then(Value::as_str);
        let named = path.and_then(|path| definition(schema, path));
        named.or(part.as_object())
    };
    let whole = meant(branch);
    let all = whole.and_then(|whole| whole.get("allOf")?.as_array());
    let inner = all.into_iter().flatten().filter_map(meant);
    whole.into_iter().chain(inner)
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// What a `$ref` names among the schema's own definitions.
fn definition<'s>(schema: &'s Map<String, Value>, path: &str) -> Option<&'s Map<String, Value>> {
    let (place, name) = path.strip_prefix("#/")?.split_once('/')?;
    schema.get(place)?.get(name)?.as_object()
}

fn require(schema: &mut Map<String, Value>, mut names: BTreeSet<String>) {
    let before = schema.entry("required").or_insert_with(|| json!([]));
    let Value::Array(required) = before else {
        return;
    };
    for name in required.iter().filter_map(Value::as_str) {
        names.remove(name);
    }
    required.extend(names.into_iter().map(Value::from));
    if required.is_empty() {
        schema.shift_remove("required");
    }
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
