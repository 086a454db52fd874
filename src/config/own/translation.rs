//! What does the `translation` section say?

use std::collections::BTreeMap;

use super::super::finding::Notes;
use super::super::section::Section;
use super::super::translation::{Effort, ThinkingKind, Traits, Translation};
use super::super::yaml::{Node, Value};

const SWITCHES: [&str; 4] = ["lenient", "strict_tools", "dummy_tool", "models"];
const TRAITS: [&str; 8] = [
    "thinking",
    "sampling",
    "forced_tool_choice",
    "efforts",
    "prefill",
    "structured_outputs",
    "system_in_messages",
    "max_tokens",
];
const EFFORTS: [(&str, Effort); 5] = [
    ("low", Effort::Low),
    ("medium", Effort::Medium),
    ("high", Effort::High),
    ("xhigh", Effort::XHigh),
    ("max", Effort::Max),
];

pub(super) fn read(node: Option<&Node>, notes: &mut Notes) -> Translation {
    let mut section = Section::open("translation", node, &SWITCHES, &[], notes);
    Translation {
        lenient: section.flag("lenient", false),
        strict_tools: section.flag("strict_tools", false),
        dummy_tool: section.flag("dummy_tool", false),
        models: models(section.get("models"), section.notes),
    }
}

fn models(node: Option<&Node>, notes: &mut Notes) -> BTreeMap<String, Traits> {
    let mut models = BTreeMap::new();
    let Some(node) = node else { return models };
    if !matches!(node.value, Value::Map(_)) {
        let kind = node.kind();
        notes.fault(
            &node.place,
            format!("`translation.models` is {kind}, it takes a mapping of beginnings of model ids to what those models can do"),
        );
    }
    for entry in node.entries() {
        match entry.key.as_str().filter(|start| !start.is_empty()) {
            Some(start) => {
                models.insert(start.to_owned(), traits(&entry.value, notes));
            }
            None => notes.fault(
                &entry.key.place,
                "a name in `translation.models` is the beginning of a provider's model id, such as `claude-opus-5`",
            ),
        }
    }
    models
}

fn traits(node: &Node, notes: &mut Notes) -> Traits {
    let mut section = Section::open("translation.models", Some(node), &TRAITS, &[], notes);
    let flag =
        |section: &mut Section, key| section.get(key).is_some().then(|| section.flag(key, true));
    Traits {
        thinking: thinking(&mut section),
        sampling: flag(&mut section, "sampling"),
        forced_tool_choice: flag(&mut section, "forced_tool_choice"),
        efforts: efforts(&mut section),
        prefill: flag(&mut section, "prefill"),
        structured_outputs: flag(&mut section, "structured_outputs"),
        system_in_messages: flag(&mut section, "system_in_messages"),
        max_tokens: max_tokens(&mut section),
    }
}

fn thinking(section: &mut Section) -> Option<ThinkingKind> {
    section.get("thinking")?;
    let kinds = [
        ("none", ThinkingKind::None),
        ("budget", ThinkingKind::Budget),
        ("adaptive", ThinkingKind::Adaptive),
        ("always", ThinkingKind::Always),
    ];
    Some(section.choice("thinking", ThinkingKind::None, &kinds))
}

fn efforts(section: &mut Section) -> Option<Vec<Effort>> {
    let mut efforts = Vec::new();
    for said in section.texts("efforts")? {
        match EFFORTS.iter().find(|(word, _)| *word == said.text) {
            Some((_, effort)) => efforts.push(*effort),
            None => section.notes.fault(
                said.place,
                format!("`translation.models` knows no effort {said}, it takes low, medium, high, xhigh, max"),
            ),
        }
    }
    efforts.sort_unstable();
    efforts.dedup();
    Some(efforts)
}

fn max_tokens(section: &mut Section) -> Option<u32> {
    const MOST: usize = 10_000_000;
    section.get("max_tokens")?;
    let tokens = section.count("max_tokens", 1, 1..=MOST);
    u32::try_from(tokens).ok()
}
