//! Which files make up LiteLLM's configuration, and how are they merged?

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::source::{self, directory, normal};
use super::{Finding, Node, Notes, Place};
use crate::config::yaml::{Entry, Value};

const KEY: &str = "include";

/// A file that still has to be read.
struct Pending {
    entry: String,
    place: Place,
    /// The file that declares it, last, behind those that led to it.
    chain: Vec<PathBuf>,
}

/// The root file with everything it includes: lists are extended, any other value is replaced whole.
pub(super) fn merged(
    (said_at, path): &(Place, PathBuf),
    notes: &mut Notes,
) -> Option<(Node, Vec<PathBuf>)> {
    let root_path = normal(path);
    let mut root = mapping(path, said_at, notes)?;
    let mut seen = vec![root_path.clone()];
    let mut pending = VecDeque::from(take_includes(
        &mut root,
        std::slice::from_ref(&root_path),
        notes,
    ));
    while let Some(next) = pending.pop_front() {
        let location = locate(&next, &root_path, notes);
        if next.chain.contains(&location) {
            notes.fault(
                &next.place,
                format!(
                    "{} includes itself, remove one of the two lines",
                    location.display()
                ),
            );
            continue;
        }
        if seen.contains(&location) {
            continue;
        }
        seen.push(location.clone());
        let Some(mut included) = mapping_or_empty(&location, &next.place, notes) else {
            continue;
        };
        let chain: Vec<PathBuf> = next.chain.iter().cloned().chain([location]).collect();
        pending.extend(take_includes(&mut included, &chain, notes));
        merge(&mut root, included);
    }
    Some((root, seen))
}

fn mapping(path: &Path, said_at: &Place, notes: &mut Notes) -> Option<Node> {
    let root = mapping_or_empty(path, said_at, notes)?;
    if root.is_null() {
        notes.fault(
            &root.place,
            "the file is empty, LiteLLM needs at least a `model_list`",
        );
        return None;
    }
    Some(root)
}

fn mapping_or_empty(path: &Path, said_at: &Place, notes: &mut Notes) -> Option<Node> {
    let document = source::read(path, said_at, notes)?;
    notes.extend_warnings(
        document
            .duplicates
            .into_iter()
            .map(|found| Finding {
                message: format!("{}; LiteLLM takes the last", found.message),
                ..found
            })
            .collect(),
    );
    match document.root.value {
        Value::Map(_) | Value::Null => Some(document.root),
        _ => {
            notes.fault(
                &document.root.place,
                format!(
                    "the file is {}, LiteLLM needs a mapping with a `model_list`",
                    document.root.kind()
                ),
            );
            None
        }
    }
}

fn take_includes(root: &mut Node, chain: &[PathBuf], notes: &mut Notes) -> Vec<Pending> {
    let Value::Map(entries) = &mut root.value else {
        return Vec::new();
    };
    let Some(at) = entries
        .iter()
        .position(|entry| entry.key.as_str() == Some(KEY))
    else {
        return Vec::new();
    };
    let include = entries.remove(at).value;
    if !matches!(include.value, Value::Seq(_)) {
        notes.fault(
            &include.place,
            format!(
                "`include` is {}, it takes a list of file names",
                include.kind()
            ),
        );
    }
    let mut pending = Vec::new();
    for item in include.items() {
        match item.as_str() {
            Some(entry) => pending.push(Pending {
                entry: entry.to_owned(),
                place: item.place.clone(),
                chain: chain.to_vec(),
            }),
            None => notes.fault(
                &item.place,
                format!("`include` holds {}, it takes file names", item.kind()),
            ),
        }
    }
    pending
}

/// Beside the file that declares it, else beside the root file.
fn locate(pending: &Pending, root: &Path, notes: &mut Notes) -> PathBuf {
    let beside = |file: &Path| normal(&directory(file).join(&pending.entry));
    let declared = beside(pending.chain.last().map_or(root, PathBuf::as_path));
    let of_root = beside(root);
    if declared == of_root || !of_root.exists() {
        return declared;
    }
    let (read, problem) = if declared.exists() {
        (
            &declared,
            format!(
                "{} has the same name and is not read, rename one of them",
                of_root.display()
            ),
        )
    } else {
        (
            &of_root,
            format!(
                "{} is read, move it beside the file that includes it",
                of_root.display()
            ),
        )
    };
    notes.warn(&pending.place, problem);
    read.clone()
}

fn merge(base: &mut Node, included: Node) {
    let (Value::Map(entries), Value::Map(new)) = (&mut base.value, included.value) else {
        return;
    };
    for Entry { key, value } in new {
        match entries
            .iter_mut()
            .find(|entry| entry.key.key_identity() == key.key_identity())
        {
            None => entries.push(Entry { key, value }),
            Some(old) => match (&mut old.value.value, value) {
                (
                    Value::Seq(items),
                    Node {
                        value: Value::Seq(more),
                        ..
                    },
                ) => items.extend(more),
                (_, value) => old.value = value,
            },
        }
    }
}
