//! What does the `prices` section say?

use super::super::finding::Notes;
use super::super::prices::{ModelPattern, Price, Prices};
use super::super::reference::Key;
use super::super::section::{REQUIRED, Section};
use super::super::yaml::{Node, Value};

const KINDS: &[Key] = &[
    (
        "input",
        "A million tokens of input that no cache gave or takes.",
    ),
    ("output", "A million tokens of output."),
    ("cache_read", "A million tokens that a cache gave."),
    (
        "cache_write",
        "A million tokens that a cache keeps for minutes.",
    ),
    (
        "cache_write_1h",
        "A million tokens that a cache keeps for an hour.",
    ),
];

const KEYS: &[Key] = &[
    (
        "version",
        "The day of the prices, shown at `/status`; needed with them.",
    ),
    (
        "models",
        "By the model's name, the client's or the provider's, or by its beginning and a `*`; the longest that fits wins. A model that is not here costs as much as the dearest that is, and no less than 15 for input and 75 for output.",
    ),
];

pub(super) fn read(node: Option<&Node>, notes: &mut Notes) -> Prices {
    let mut section = Section::open("prices", node, KEYS, &[], notes);
    section.takes("version", "a string such as `2026-11-01`");
    section.takes("models", "a mapping of names to prices");
    section.unset_is("models", "`{}`");
    let version = section.text("version").map(str::to_owned);
    let models = models(section.get("models"), section.notes);
    if !models.is_empty() && section.get("version").is_none() {
        section.fault(
            "models",
            "is of no known day, say in `prices.version` as of when the prices hold, such as \"2026-11-01\"",
        );
    }
    Prices::new(version, models)
}

fn models(node: Option<&Node>, notes: &mut Notes) -> Vec<(ModelPattern, Price)> {
    let mut models = Vec::new();
    let Some(node) = node else { return models };
    if !matches!(node.value, Value::Map(_)) {
        let kind = node.kind();
        notes.fault(
            &node.place,
            format!("`prices.models` is {kind}, it takes a mapping of model names to their prices"),
        );
    }
    for entry in node.entries() {
        match entry.key.as_str().and_then(ModelPattern::parse) {
            Some(pattern) => models.push((pattern, price(&entry.value, notes))),
            None => notes.fault(
                &entry.key.place,
                "a name in `prices.models` is a model's name, or its beginning and a `*`, such as `claude-opus-4*`",
            ),
        }
    }
    models
}

/// Where nothing else is said, what the cache gives costs as much as other input, and what it takes as much as
/// Anthropic asks.
fn price(node: &Node, notes: &mut Notes) -> Price {
    let mut section = Section::open("prices.models", Some(node), KINDS, &[], notes);
    for needed in ["input", "output"] {
        section.unset_is(needed, REQUIRED);
        if matches!(node.value, Value::Map(_)) && section.get(needed).is_none() {
            section.notes.fault(
                &node.place,
                format!("`prices.models` needs `{needed}` here, dollars for a million tokens"),
            );
        }
    }
    section.unset_is("cache_read", "as `input`");
    section.unset_is("cache_write", "1.25 × `input`");
    section.unset_is("cache_write_1h", "2 × `input`");
    let input = section.dollars("input", 0.0);
    Price {
        input,
        output: section.dollars("output", 0.0),
        cache_read: section.dollars("cache_read", input),
        cache_write: section.dollars("cache_write", input * 1.25),
        cache_write_1h: section.dollars("cache_write_1h", input * 2.0),
    }
}
