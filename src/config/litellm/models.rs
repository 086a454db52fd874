//! `model_list`: which names are there, and which deployments serve each?

use std::collections::HashMap;
use std::sync::Arc;

use super::deployment::{self, Draft};
use super::values::Values;
use super::{Models, Node, Place, aliases};
use crate::config::models::{Deployment, ModelGroup, ProviderDialect};
use crate::config::settings::BaseUrl;
use crate::config::yaml::Value;

/// The models, and what was written about those that the gateway calls itself.
pub(super) struct Read<'a> {
    pub models: Models,
    pub direct: Vec<DirectModel<'a>>,
    /// What LiteLLM calls for the others.
    pub called: Vec<BaseUrl>,
}

pub(super) struct DirectModel<'a> {
    pub name: &'a str,
    pub place: &'a Place,
    /// `litellm_params`.
    pub params: &'a Node,
    /// Some of its requests are translated.
    pub translated: bool,
}

pub(super) fn read<'a>(root: &'a Node, domains: &[String], values: &mut Values) -> Read<'a> {
    let list = root.present("model_list");
    if let Some(node) = list.filter(|node| !matches!(node.value, Value::Seq(_))) {
        values.notes.fault(
            &node.place,
            format!("`model_list` is {}, it takes a list of models", node.kind()),
        );
    }
    if list.is_none() {
        values.notes.warn(
            &root.place,
            "no `model_list`, so no model is direct and LiteLLM judges every name",
        );
    }
    let mut groups: Vec<(&str, Vec<Draft>)> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    let (mut direct, mut called) = (Vec::new(), Vec::new());
    for entry in list.map(Node::items).unwrap_or_default() {
        let Some((name, params)) = name_and_params(entry, values) else {
            continue;
        };
        let Some(mut draft) = deployment::read(entry, params, root, domains, values) else {
            continue;
        };
        called.extend(draft.called.take());
        if let Some(target) = &draft.deployment.direct {
            direct.push(DirectModel {
                name,
                place: &entry.place,
                params,
                translated: target.dialect == ProviderDialect::Anthropic,
            });
        }
        let at = *index.entry(name).or_insert_with(|| {
            groups.push((name, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, drafts)) = groups.get_mut(at) {
            drafts.push(draft);
        }
    }
    report_repeated_ids(&groups, values);
    let groups: Vec<ModelGroup> = groups
        .into_iter()
        .map(|(name, drafts)| group(name, drafts))
        .collect();
    let aliases = aliases::read(root, &groups, values);
    Read {
        models: Models { groups, aliases },
        direct,
        called,
    }
}

fn name_and_params<'a>(entry: &'a Node, values: &mut Values) -> Option<(&'a str, &'a Node)> {
    if !matches!(entry.value, Value::Map(_)) {
        values.notes.fault(
            &entry.place,
            format!(
                "`model_list` holds {}, it takes mappings with `model_name` and `litellm_params`",
                entry.kind()
            ),
        );
        return None;
    }
    let name = entry.present("model_name");
    let params = entry.present("litellm_params");
    for (key, node) in [("model_name", name), ("litellm_params", params)] {
        if node.is_none() {
            values
                .notes
                .fault(&entry.place, format!("a model without `{key}`, add it"));
        }
    }
    let (name, params) = (name?, params?);
    if !matches!(params.value, Value::Map(_)) {
        values.notes.fault(
            &params.place,
            format!(
                "`litellm_params` is {}, it takes a mapping with `model`",
                params.kind()
            ),
        );
        return None;
    }
    if name.as_str().is_none() {
        values.notes.fault(
            &name.place,
            format!("`model_name` is {}, put it in quotes", name.kind()),
        );
    }
    Some((name.as_str()?, params))
}

fn report_repeated_ids(groups: &[(&str, Vec<Draft>)], values: &mut Values) {
    let mut seen: HashMap<&str, ()> = HashMap::new();
    for draft in groups.iter().flat_map(|(_, drafts)| drafts) {
        let Some(id) = &draft.deployment.id else {
            continue;
        };
        if seen.insert(id, ()).is_some() {
            values.notes.warn(
                &draft.place,
                format!("the id `{id}` is there already, only one model can be called by it"),
            );
        }
    }
}

fn group(name: &str, drafts: Vec<Draft>) -> ModelGroup {
    let weights = weights(&drafts);
    let weighted = drafts.into_iter().zip(weights);
    ModelGroup {
        name: name.to_owned(),
        deployments: weighted
            .map(|(draft, weight)| {
                Arc::new(Deployment {
                    weight,
                    ..draft.deployment
                })
            })
            .collect(),
    }
}

/// The shares of a group: by `weight`, else by `rpm`, else by `tpm`, whichever any deployment has set; one
/// without it then gets no share. Else all are alike.
fn weights(drafts: &[Draft]) -> Vec<u32> {
    const WHOLE: f64 = 1_000_000.0;
    for metric in 0..3 {
        let shares: Vec<f64> = drafts
            .iter()
            .filter_map(|draft| draft.shares.get(metric).copied())
            .collect();
        let largest = shares.iter().copied().fold(0.0, f64::max);
        if largest <= 0.0 {
            continue;
        }
        let small = largest < WHOLE && shares.iter().all(|share| share.fract() == 0.0);
        let scale = if small { 1.0 } else { WHOLE / largest };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        return shares
            .iter()
            .map(|share| (share * scale).round() as u32)
            .collect();
    }
    vec![1; drafts.len()]
}
