//! Under which other names can a model be called?

use std::collections::HashMap;

use super::Node;
use super::values::Values;
use crate::config::models::{ModelAlias, ModelGroup};
use crate::config::yaml::Value;

/// `router_settings.model_group_alias`, and behind it `litellm_settings.model_alias_map`, which wins.
pub(super) fn read(root: &Node, groups: &[ModelGroup], values: &mut Values) -> Vec<ModelAlias> {
    let setting = |section: &str, key: &str| {
        root.present(section)
            .and_then(|section| section.present(key))
    };
    let of_groups = entries(
        setting("router_settings", "model_group_alias"),
        "model_group_alias",
        values,
    );
    let mapped = entries(
        setting("litellm_settings", "model_alias_map"),
        "model_alias_map",
        values,
    );
    let targets: HashMap<&str, &str> = of_groups
        .iter()
        .map(|alias| (alias.name.as_str(), alias.target.as_str()))
        .collect();
    // What the map yields is looked up among the aliases once more, but no alias leads to another.
    let mapped: Vec<ModelAlias> = mapped
        .into_iter()
        .map(|alias| ModelAlias {
            target: targets
                .get(alias.target.as_str())
                .map_or(alias.target.clone(), |target| (*target).to_owned()),
            hidden: true,
            name: alias.name,
        })
        .collect();
    report_strays(root, &of_groups, groups, values);
    of_groups.into_iter().chain(mapped).collect()
}

fn entries(node: Option<&Node>, what: &str, values: &mut Values) -> Vec<ModelAlias> {
    let Some(node) = node else { return Vec::new() };
    if !matches!(node.value, Value::Map(_)) {
        values.notes.fault(
            &node.place,
            format!(
                "`{what}` is {}, it takes a mapping of names to models",
                node.kind()
            ),
        );
    }
    let mut aliases = Vec::new();
    for entry in node.entries() {
        let Some(name) = entry.key.as_str() else {
            values.notes.fault(
                &entry.key.place,
                format!(
                    "a name in `{what}` is {}, put it in quotes",
                    entry.key.kind()
                ),
            );
            continue;
        };
        let (target, hidden) = match &entry.value.value {
            Value::Map(_) => (entry.value.present("model"), is_hidden(&entry.value)),
            _ => (Some(&entry.value), false),
        };
        let Some(target) = target else {
            values.notes.fault(
                &entry.value.place,
                format!("the alias `{name}` without `model`, add it"),
            );
            continue;
        };
        if let Some(target) = values.text(target, &format!("{what}.{name}")) {
            aliases.push(ModelAlias {
                name: name.to_owned(),
                target,
                hidden,
            });
        }
    }
    aliases
}

fn is_hidden(node: &Node) -> bool {
    matches!(
        node.get("hidden").map(|node| &node.value),
        Some(Value::Bool(true))
    )
}

fn report_strays(root: &Node, aliases: &[ModelAlias], groups: &[ModelGroup], values: &mut Values) {
    let place_of = |name: &str| {
        let map = root.get("router_settings")?.get("model_group_alias")?;
        map.entries()
            .iter()
            .find(|entry| entry.key.as_str() == Some(name))
            .map(|entry| entry.key.place.clone())
    };
    let any_wildcard = groups.iter().any(|group| group.name.contains('*'));
    let known = |name: &str| {
        groups
            .iter()
            .any(|group| group.name == name || deployed(group, name))
    };
    for alias in aliases {
        let Some(place) = place_of(&alias.name) else {
            continue;
        };
        if !known(&alias.target) && !any_wildcard {
            values.notes.warn(
                &place,
                format!(
                    "the alias `{}` leads to `{}`, which no `model_name` is; LiteLLM will judge it",
                    alias.name, alias.target
                ),
            );
        }
        if groups.iter().any(|group| group.name == alias.name) {
            values.notes.warn(
                &place,
                format!(
                    "the alias hides the model `{}` of the same name, rename one of them",
                    alias.name
                ),
            );
        }
    }
}

fn deployed(group: &ModelGroup, id: &str) -> bool {
    group
        .deployments
        .iter()
        .any(|deployment| deployment.id.as_deref() == Some(id))
}
