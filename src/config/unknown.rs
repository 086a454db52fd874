//! Which words may stand here, and which one was meant by another?

use super::finding::Notes;
use super::reference::Refused;
use super::yaml::Node;

/// Tells of each key of a mapping that is neither known nor refused.
pub(super) fn report_unknown(
    section: &str,
    node: &Node,
    known: &[&str],
    refused: &[Refused],
    notes: &mut Notes,
) {
    for entry in node.entries() {
        let Some(key) = entry.key.as_str() else {
            notes.fault(
                &entry.key.place,
                format!(
                    "a key is {}, keys are words such as `{}`",
                    entry.key.kind(),
                    known.first().unwrap_or(&"listen")
                ),
            );
            continue;
        };
        if known.contains(&key) || refused.iter().any(|(refused, _)| *refused == key) {
            continue;
        }
        let whose = if section.is_empty() {
            String::new()
        } else {
            format!(" in `{section}`")
        };
        let advice = nearest(key, known).map_or_else(
            || format!("known are {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        notes.fault(
            &entry.key.place,
            format!("unknown key `{key}`{whose}, {advice}"),
        );
    }
}

/// The known word that a mistyped one is closest to, if one is close at all.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |candidate: &str| {
        let contained = candidate.len() > 3 && word.contains(candidate);
        let typos = strsim::damerau_levenshtein(&word.to_lowercase(), candidate);
        (contained || typos <= 1 + candidate.len() / 3).then_some(typos)
    };
    known
        .iter()
        .filter_map(|candidate| Some((distance(candidate)?, *candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}
