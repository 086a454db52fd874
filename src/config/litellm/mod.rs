//! What does LiteLLM's own `config.yaml` mean, read as LiteLLM reads it?

mod aliases;
mod defaults;
mod deployment;
mod direct;
mod features;
mod identity;
mod include;
mod models;
mod provider;
mod shared;
mod values;

use std::path::PathBuf;

use super::Env;
use super::finding::{Finding, Notes, Place};
use super::models::{Identity, Models};
use super::settings::BaseUrl;
use super::yaml::Node;
use super::{Secret, source};

pub use features::Skipped;
pub(super) use values::Values;

/// LiteLLM's half of a [`super::Config`].
#[derive(Default)]
pub(super) struct LiteLlmFile {
    /// The tree with all includes merged; `None` when there is no file.
    pub root: Option<Node>,
    /// The files that make up the tree.
    pub files: Vec<PathBuf>,
    pub models: Models,
    /// What LiteLLM calls for the models that it serves.
    pub called: Vec<BaseUrl>,
    pub identity: Identity,
    pub master_key: Option<Secret>,
    pub skipped: Vec<Skipped>,
}

/// Reads the file and what it includes. `domains` tell which models the gateway calls itself.
pub(super) fn read(
    named: &(Place, PathBuf),
    domains: &[String],
    env: &Env,
    notes: &mut Notes,
) -> LiteLlmFile {
    let Some((root, files)) = include::merged(named, notes) else {
        return LiteLlmFile::default();
    };
    let mut values = Values::new(&root, env, notes);
    let models = models::read(&root, domains, &mut values);
    let identity = identity::read(root.get("user_id_mappings"), &mut values);
    let master_key = master_key(&root, &mut values);
    let skipped = features::skipped(&root, &models.direct, values.notes);
    LiteLlmFile {
        models: models.models,
        called: models.called,
        identity,
        master_key,
        skipped,
        root: Some(root),
        files,
    }
}

/// `general_settings.master_key`, which hides the variable even where it is empty.
fn master_key(root: &Node, values: &mut Values) -> Option<Secret> {
    let Some(node) = root
        .get("general_settings")
        .and_then(|settings| settings.get("master_key"))
    else {
        return values.running_var("LITELLM_MASTER_KEY").map(Secret::new);
    };
    if node.is_null() {
        values.notes.warn(
            &node.place,
            "`master_key` is empty, so LiteLLM checks no keys and LITELLM_MASTER_KEY is not read; set it or remove the line",
        );
        return None;
    }
    values.secret(node, "master_key")
}
