//! Which keys are there, what does each take, what is it without being set, and what does it do?

use std::collections::BTreeMap;
use std::path::Path;

use super::finding::Notes;
use super::yaml::{Document, parse};
use super::{Env, Sources, keys_file, own};

/// A key and what it does.
pub(super) type Key = (&'static str, &'static str);
/// A key that is refused, and why.
pub(super) type Refused = (&'static str, &'static str);

/// Opens the sections that are not read where nobody names them; what it says of their keys is nothing.
const OWN: &str = "
listen: [{address: '[::1]:1', tls: {}}]
egress: {}
prices: {models: {m: {}}}
translation:
  models:
    m: {thinking: none, sampling: true, forced_tool_choice: true, efforts: [], prefill: true,
        structured_outputs: true, system_in_messages: true, max_tokens: 1}
";
const KEYS: &str = "
keys: [{expires: never, limits: {requests_per_minute: 1, tokens_per_minute: 1, concurrent_requests: 1}}]
";

const ABOUT: &str = "# Configuration

Every key there is. Written by `memgate check --reference`, from what reads the files; [`conf/memgate.yaml`](../conf/memgate.yaml) is the same as
a file with comments, to begin from.

- The file is optional, and so is every key in it. `memgate run` and `memgate check` take it as `--config FILE`; `--listen`, `--admin`,
  `--litellm-config` and `--litellm-url` win over it.
- Times are `250ms`, `10s`, `5m`, `1h`; sizes `64KiB`, `32MiB`, `1GiB`; shares `20%`. `null` is as if the key were not there.
- File names start from the folder of the file that names them.
- Any string may be `os.environ/NAME`, a variable or a credential that systemd loaded under that name, or `file:PATH`, what that file holds
  without the end of its line.
- Nothing is guessed: an unknown key, a value of another kind or out of its range keeps memgate from starting, or from taking a changed file
  up. `memgate check` tells all of it at once, each with its place and with what the column “takes” says here:

  ```
  memgate.yaml:3:13: `retry.attempts` is `0`, it takes a whole number from 1 to 20
  memgate.yaml:7:1: unknown key `limts`, did you mean `limits`?
  ```
";

const ABOUT_KEYS: &str = "# The keys file

What `auth.keys_file` names; [`conf/keys.yaml`](../conf/keys.yaml) is one, and `memgate key new` writes entries for it. It is read again when it
changes; a mistake in it is logged (`memgate::auth`) and changes nothing.
";

/// The reference of all keys, in Markdown.
pub fn reference() -> String {
    let [own, keys] = files().map(|file| file.text());
    [ABOUT, &own, ABOUT_KEYS, &keys].join("\n")
}

/// Our own file, and that of the keys.
fn files() -> [Reference; 2] {
    let sources = Sources::new(Env::from_pairs([]));
    let own = told(OWN, |document, notes| {
        own::read(Some(&document.root), Path::new(""), &sources, notes);
    });
    let keys = told(KEYS, |document, notes| {
        keys_file::keys(document, notes);
    });
    [own, keys]
}

/// What the readers of a file tell of it.
fn told(text: &str, read: impl FnOnce(Document, &mut Notes)) -> Reference {
    let mut notes = Notes::for_the_reference();
    if let Ok(document) = parse(text.as_bytes(), &"".into()) {
        read(document, &mut notes);
    }
    notes.reference.unwrap_or_default()
}

/// The sections of a file, in the order in which they were read.
#[derive(Default)]
pub(super) struct Reference(Vec<Sheet>);

/// A section.
struct Sheet {
    name: &'static str,
    keys: &'static [Key],
    refused: &'static [Refused],
    takes: BTreeMap<String, String>,
    unset: BTreeMap<String, String>,
}

impl Reference {
    pub fn open(&mut self, name: &'static str, keys: &'static [Key], refused: &'static [Refused]) {
        if self.sheet(name).is_none() {
            self.0.push(Sheet {
                name,
                keys,
                refused,
                takes: BTreeMap::new(),
                unset: BTreeMap::new(),
            });
        }
    }

    /// Of a key counts what is told first.
    pub fn takes(&mut self, section: &str, key: &str, what: &str) {
        if let Some(sheet) = self.sheet(section) {
            sheet.takes.entry(key.to_owned()).or_insert(what.to_owned());
        }
    }

    pub fn unset_is(&mut self, section: &str, key: &str, words: &str) {
        if let Some(sheet) = self.sheet(section) {
            sheet
                .unset
                .entry(key.to_owned())
                .or_insert(words.to_owned());
        }
    }

    fn sheet(&mut self, name: &str) -> Option<&mut Sheet> {
        self.0.iter_mut().find(|sheet| sheet.name == name)
    }

    fn has(&self, path: &str) -> bool {
        self.0.iter().any(|sheet| sheet.name == path)
    }

    fn text(&self) -> String {
        let top = self.0.first().map_or(&[][..], |sheet| sheet.keys);
        let place = |sheet: &&Sheet| {
            let first = sheet.name.split('.').next();
            let first = top.iter().position(|(key, _)| Some(*key) == first);
            (first, sheet.name.matches('.').count())
        };
        let mut sheets: Vec<&Sheet> = self.0.iter().collect();
        sheets.sort_by_key(place);
        let texts = sheets.into_iter().map(|sheet| self.section(sheet));
        texts.collect::<Vec<_>>().join("\n")
    }

    fn section(&self, sheet: &Sheet) -> String {
        let heading = match sheet.name {
            "" => String::new(),
            name => {
                let does = self
                    .opener(name)
                    .map(|(_, (_, does))| format!("{does}\n\n"));
                format!("## `{name}`\n\n{}", does.unwrap_or_default())
            }
        };
        let rows: String = sheet.keys.iter().map(|key| self.row(sheet, key)).collect();
        let refused = sheet.refused.iter();
        let refused: String = refused
            .map(|(key, why)| format!("- `{}` {why}.\n", sheet.path(key)))
            .collect();
        let table = "| key | takes | by default | is |\n|---|---|---|---|";
        match refused.as_str() {
            "" => format!("{heading}{table}\n{rows}"),
            refused => format!("{heading}{table}\n{rows}\n{refused}"),
        }
    }

    /// The key that opens this section, and where that stands.
    fn opener(&self, name: &str) -> Option<(&Sheet, &Key)> {
        let (parent, key) = name.rsplit_once('.').unwrap_or(("", name));
        let parent = self.0.iter().find(|sheet| sheet.name == parent)?;
        let key = parent.keys.iter().find(|(word, _)| *word == key)?;
        Some((parent, key))
    }

    /// There are as many of this section as somebody gives names to.
    fn has_names(&self, sheet: &Sheet) -> bool {
        self.opener(sheet.name).is_some_and(|(parent, (key, _))| {
            let takes = parent.takes.get(*key);
            takes.is_some_and(|takes| takes.starts_with("a mapping of "))
        })
    }

    fn row(&self, sheet: &Sheet, (key, does): &Key) -> String {
        let path = sheet.path(key);
        let has_section = self.has(&path);
        let name = match has_section {
            true => format!("[`{path}`](#{})", path.replace('.', "")),
            false if self.has_names(sheet) => format!("`{}.NAME.{key}`", sheet.name),
            false => format!("`{path}`"),
        };
        let told = |what: &BTreeMap<String, String>| what.get(*key).cloned();
        let takes = told(&sheet.takes)
            .or_else(|| has_section.then(|| "a mapping".to_owned()))
            .unwrap_or_default();
        let unset = told(&sheet.unset).unwrap_or_default();
        let cells = [name, takes, unset, (*does).to_owned()].map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.join(" | "))
    }
}

impl Sheet {
    fn path(&self, key: &str) -> String {
        match self.name {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
