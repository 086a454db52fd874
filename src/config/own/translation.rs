//! What does the `translation` section say?

use std::collections::BTreeMap;

use super::super::finding::Notes;
use super::super::reference::Key;
use super::super::section::Section;
use super::super::translation::{Effort, ThinkingKind, Traits, Translation};
use super::super::yaml::{Node, Value};

const SWITCHES: &[Key] = &[
    (
        "lenient",
        "Ignore what cannot be delivered and does no harm (`logprobs`), where a 400 would say so.",
    ),
    (
        "strict_tools",
        "Send `function.strict` up, to models that know it.",
    ),
    (
        "dummy_tool",
        "Offer a tool that does nothing where the history has calls and the request has no tools.",
    ),
    (
        "models",
        "What models can do, where memgate's own table is wrong or too old: by the beginning of the provider's model id, the longest that fits. `claude-opus-4` is `claude-opus-4-20250514` and not `claude-opus-4-8`; `claude-opus-` is both.",
    ),
];
const TRAITS: &[Key] = &[
    (
        "thinking",
        "How it is asked to think; `always`: it cannot be switched off.",
    ),
    ("sampling", "It takes `temperature`, `top_p` and `top_k`."),
    (
        "forced_tool_choice",
        "`tool_choice` may be `required`, or one tool.",
    ),
    (
        "efforts",
        "Levels of `output_config.effort`; `[]`: it does not know the field.",
    ),
    ("prefill", "The last message may be the assistant's."),
    (
        "structured_outputs",
        "It takes JSON schemas and strict tools.",
    ),
    (
        "system_in_messages",
        "`role: system` may stand within the messages.",
    ),
    ("max_tokens", "Sent where the client sets no limit."),
];
const EFFORTS: [(&str, Effort); 5] = [
    ("low", Effort::Low),
    ("medium", Effort::Medium),
    ("high", Effort::High),
    ("xhigh", Effort::XHigh),
    ("max", Effort::Max),
];

pub(super) fn read(node: Option<&Node>, notes: &mut Notes) -> Translation {
    let mut section = Section::open("translation", node, SWITCHES, &[], notes);
    section.takes(
        "models",
        "a mapping of beginnings of model ids to what those models can do",
    );
    section.unset_is("models", "`{}`");
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
    let mut section = Section::open("translation.models", Some(node), TRAITS, &[], notes);
    for (key, _) in TRAITS {
        section.unset_is(key, "as memgate knows it");
    }
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
    section.takes("efforts", "a list of low, medium, high, xhigh, max");
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
