//! `memgate check`: what is wrong with a configuration, what is unwise, and what LiteLLM will not see?

use std::io::{self, Write};

use crate::config::{Config, Finding, Loaded, Skipped, Sources};
use crate::translate::Defaults;

/// Checks the configuration and writes what was found, one line each. `None` where it cannot be used.
pub fn report(sources: &Sources, out: &mut impl Write) -> io::Result<Option<Loaded>> {
    match Config::load(sources) {
        Ok(loaded) => {
            let faults = unusable(&loaded);
            if !faults.is_empty() {
                for fault in &faults {
                    writeln!(out, "{fault}")?;
                }
                warnings(&loaded.warnings, out)?;
                writeln!(out, "not usable: {}", count(faults.len(), "fault"))?;
                return Ok(None);
            }
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

/// Defaults of a model's bodies that no request could carry.
fn unusable(loaded: &Loaded) -> Vec<Finding> {
    let groups = loaded.config.models.groups.iter();
    let direct = groups.flat_map(|group| {
        let targets = group
            .deployments
            .iter()
            .filter_map(|one| one.direct.as_ref());
        targets.map(move |target| (&group.name, &target.defaults))
    });
    let found = direct.filter_map(|(model, defaults)| {
        let unusable = Defaults::parse(defaults).err()?;
        // Whatever sets a default is noted with its place.
        let noted = loaded
            .skipped
            .iter()
            .find(|skipped| skipped.model == *model)?;
        Some(Finding {
            place: noted.place.clone(),
            message: format!("a default of `{model}`: {unusable}, correct or remove it"),
        })
    });
    found.collect()
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
