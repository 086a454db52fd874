//! `memgate check`: what is wrong with a configuration, what is unwise, and what LiteLLM will not see?

use std::io::{self, Write};

use serde_json::Map;

use crate::config::{
    Config, Deployment, DirectTarget, Faults, Finding, Loaded, ProviderDialect, Skipped, Sources,
    Translation,
};
use crate::translate::{Capabilities, Defaults};

/// Checks the configuration and writes what was found, one line each. `None` where it cannot be used.
pub fn report(sources: &Sources, out: &mut impl Write) -> io::Result<Option<Loaded>> {
    match usable(sources) {
        Ok(loaded) => {
            warnings(&loaded.warnings, out)?;
            skipped(&loaded.skipped, out)?;
            writeln!(out, "ok: {}", summary(&loaded))?;
            Ok(Some(loaded))
        }
        Err(faults) => {
            writeln!(out, "{faults}")?;
            warnings(faults.warnings(), out)?;
            writeln!(out, "not usable: {}", count(faults.iter().len(), "fault"))?;
            Ok(None)
        }
    }
}

/// The configuration, unless a model has a default that no request could carry.
pub(super) fn usable(sources: &Sources) -> Result<Loaded, Faults> {
    let loaded = Config::load(sources)?;
    let Config {
        models,
        translation,
        ..
    } = &loaded.config;
    let deployments = models.groups.iter().flat_map(|group| &group.deployments);
    let targets = deployments
        .clone()
        .filter_map(|deployment| deployment.direct.as_ref());
    let faults = targets.flat_map(unusable).collect();
    let outgrown = deployments.filter_map(|deployment| outgrown(deployment, translation));
    let outgrown: Vec<Finding> = outgrown.collect();
    let mut loaded = loaded.without_faults(faults)?;
    loaded.warnings.extend(outgrown);
    Ok(loaded)
}

/// A default `thinking` that the model would refuse.
fn outgrown(deployment: &Deployment, translation: &Translation) -> Option<Finding> {
    let (id, target) = (&deployment.model, deployment.direct.as_ref()?);
    let kind = target.defaults.get("thinking")?.get("type")?.as_str()?;
    let place = target.defaults_at.get("thinking")?.clone();
    let model = Capabilities::of(id, translation.traits_of(id));
    let named = target.dialect == ProviderDialect::Anthropic && !id.contains('*');
    (named && model.outgrew(kind)).then(|| Finding {
        place,
        message: format!(
            "`{id}` sets its budget for thinking itself, so that chat completions say `adaptive` where `{kind}` stands, better write `thinking: {{type: adaptive}}`"
        ),
    })
}

fn unusable(target: &DirectTarget) -> Vec<Finding> {
    let defaults = target.defaults.iter();
    let faults = defaults.filter_map(|(name, value)| {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        let unusable = Defaults::parse(&alone).err()?;
        Some(Finding {
            place: target.defaults_at.get(name)?.clone(),
            message: format!("{unusable}, correct or remove it"),
        })
    });
    faults.collect()
}

fn warnings(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    for Finding { place, message } in findings {
        writeln!(out, "{place}: warning: {message}")?;
    }
    Ok(())
}

fn skipped(models: &[Skipped], out: &mut impl Write) -> io::Result<()> {
    for Skipped {
        place,
        model,
        features,
    } in models
    {
        writeln!(
            out,
            "{place}: note: requests for `{model}` do not pass LiteLLM and skip its {}",
            features.join(", ")
        )?;
    }
    Ok(())
}

fn summary(loaded: &Loaded) -> String {
    let groups = &loaded.config.models.groups;
    let direct = groups
        .iter()
        .filter(|group| {
            group
                .deployments
                .iter()
                .any(|deployment| deployment.direct.is_some())
        })
        .count();
    format!(
        "{}, {direct} of them direct, {}, {}",
        count(groups.len(), "model"),
        count(loaded.config.models.aliases.len(), "alias"),
        count(loaded.warnings.len(), "warning")
    )
}

fn count(number: usize, noun: &str) -> String {
    match (number, noun.ends_with('s')) {
        (1, _) => format!("1 {noun}"),
        (_, true) => format!("{number} {noun}es"),
        (_, false) => format!("{number} {noun}s"),
    }
}
