//! One mapping of our own file: takes known keys out as typed values, reports everything else.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::finding::{Notes, Place};
use super::reference::{Key, Refused};
use super::secret::Secret;
use super::unknown::report_unknown;
use super::word::Word;
use super::yaml::{Node, Plain, Value, resolve};
use super::{source, units};

/// Why a key of later versions is refused.
pub(super) const NOT_YET: &str = "is not supported in this version, remove it";

/// How the reference calls the default of a key that has none.
pub(super) const NONE: &str = "none";
/// And of one that must be set.
pub(super) const REQUIRED: &str = "it is needed";

/// A section and what it is called (`limits`, or nothing for the whole file).
pub(super) struct Section<'a, 'n> {
    name: &'static str,
    node: Option<&'a Node>,
    pub notes: &'n mut Notes,
}

impl<'a, 'n> Section<'a, 'n> {
    /// Reports every key that is not known; an absent or empty section has its defaults. A key that is
    /// refused, with its reason, is a fault unless it is `null`.
    pub fn open(
        name: &'static str,
        node: Option<&'a Node>,
        known: &'static [Key],
        refused: &'static [Refused],
        notes: &'n mut Notes,
    ) -> Self {
        if let Some(reference) = &mut notes.reference {
            reference.open(name, known, refused);
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let node = node.filter(|node| !node.is_null());
        if let Some(node) = node {
            if !matches!(node.value, Value::Map(_)) {
                let whole = if name.is_empty() {
                    "the file".to_owned()
                } else {
                    format!("`{name}`")
                };
                let known = words.join(", ");
                notes.fault(
                    &node.place,
                    format!("{whole} is {}, it takes a mapping of {known}", node.kind()),
                );
            }
            report_unknown(name, node, &words, refused, notes);
        }
        let mut section = Self { name, node, notes };
        for (key, reason) in refused {
            section.fault(key, reason);
        }
        section
    }

    /// A key's value; `null` means its default, as if the key were not there.
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.and_then(|node| node.present(key))
    }

    pub fn place(&self, key: &str) -> Option<&'a Place> {
        self.get(key).map(|node| &node.place)
    }

    pub fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    pub fn fault(&mut self, key: &str, what: impl AsRef<str>) {
        if let Some(place) = self.place(key) {
            let path = self.path_of(key);
            self.notes
                .fault(place, format!("`{path}` {}", what.as_ref()));
        }
    }

    /// For the reference, as is what follows: of a key counts what is told first.
    pub fn takes(&mut self, key: &str, what: &str) {
        if let Some(reference) = &mut self.notes.reference {
            reference.takes(self.name, key, what);
        }
    }

    /// The value that it has where it is not set.
    pub fn defaults_to(&mut self, key: &str, value: impl fmt::Display) {
        self.unset_is(key, &format!("`{value}`"));
    }

    /// The same in words.
    pub fn unset_is(&mut self, key: &str, words: &str) {
        if let Some(reference) = &mut self.notes.reference {
            reference.unset_is(self.name, key, words);
        }
    }

    fn wrong_kind(&mut self, key: &str, expected: &str) {
        if let Some(node) = self.get(key) {
            self.fault(key, format!("is {}, it takes {expected}", shown(node)));
        }
    }

    /// A value by `read`, or its default with a fault that says what is expected.
    fn typed<T>(
        &mut self,
        key: &str,
        expected: &str,
        default: T,
        read: impl Fn(&Node) -> Option<T>,
    ) -> T {
        self.takes(key, expected);
        let Some(node) = self.get(key) else {
            return default;
        };
        read(node).unwrap_or_else(|| {
            self.wrong_kind(key, expected);
            default
        })
    }

    pub fn text(&mut self, key: &str) -> Option<&'a str> {
        self.word(key).map(|word| word.text)
    }

    /// A string with its place.
    pub fn word(&mut self, key: &str) -> Option<Word<'a>> {
        self.takes(key, "a string");
        self.unset_is(key, NONE);
        let node = self.get(key)?;
        let word = Word::of(node).filter(|word| !word.text.is_empty());
        if word.is_none() {
            // Only the kind: this may be a key that lost its quotes.
            let kind = if node.as_str().is_some() {
                "empty"
            } else {
                node.kind()
            };
            self.fault(key, format!("is {kind}, it takes a string"));
        }
        word
    }

    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        self.defaults_to(key, default);
        self.typed(key, "`true` or `false`", default, |node| {
            match literal(node)? {
                Value::Bool(flag) => Some(flag),
                _ => None,
            }
        })
    }

    pub fn count(&mut self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        self.defaults_to(key, default);
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.typed(key, &expected, default, |node| match literal(node)? {
            Value::Int(n) => usize::try_from(n).ok().filter(|n| range.contains(n)),
            _ => None,
        })
    }

    pub fn duration(
        &mut self,
        key: &str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        self.defaults_to(key, units::show_duration(default));
        let expected = format!(
            "a time from {} to {}, such as `{}`",
            units::show_duration(*range.start()),
            units::show_duration(*range.end()),
            units::show_duration(default)
        );
        self.typed(key, &expected, default, |node| {
            units::duration(node.as_str()?).filter(|time| range.contains(time))
        })
    }

    pub fn size(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> usize {
        self.defaults_to(key, units::show_size(default));
        let expected = format!(
            "a size from {} to {}, such as `{}`",
            units::show_size(*range.start()),
            units::show_size(*range.end()),
            units::show_size(default)
        );
        let bytes = self.typed(key, &expected, default, |node| {
            units::size(node.as_str()?).filter(|size| range.contains(size))
        });
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// A price or a budget.
    pub fn dollars(&mut self, key: &str, default: f64) -> f64 {
        self.defaults_to(key, default);
        self.typed(key, "dollars, 0 or more", default, |node| {
            let dollars = match literal(node)? {
                Value::Int(n) => n.to_string().parse().ok()?,
                Value::Float(n) => n,
                _ => return None,
            };
            (dollars.is_finite() && dollars >= 0.0).then_some(dollars)
        })
    }

    /// A share of the whole, written in percent.
    pub fn share(&mut self, key: &str, default: u8, range: RangeInclusive<u8>) -> f64 {
        self.defaults_to(key, format_args!("{default}%"));
        let expected = format!(
            "a share from {}% to {}%, such as `{default}%`",
            range.start(),
            range.end()
        );
        let percent = self.typed(key, &expected, default, |node| {
            units::percent(node.as_str()?).filter(|share| range.contains(share))
        });
        f64::from(percent) / 100.0
    }

    /// A file name, taken from the directory of the file that names it.
    pub fn file(&mut self, key: &str, base: &Path) -> Option<PathBuf> {
        self.takes(key, "the name of a file");
        self.text(key).map(|name| base.join(name))
    }

    /// The name of a file that the gateway will write; its folder has to be there already.
    pub fn file_to_write(&mut self, key: &str, base: &Path) -> Option<PathBuf> {
        let path = self.file(key, base)?;
        if let Err(error) = source::writable(&path) {
            self.fault(key, format!("names a file that cannot be written ({}), its folder must be there and be writable", error.kind()));
        }
        Some(path)
    }

    pub fn secret(&mut self, key: &str) -> Option<Secret> {
        self.takes(key, "a secret, better `os.environ/NAME` or `file:PATH`");
        let text = self.text(key)?;
        if text.bytes().all(|b| b.is_ascii_graphic()) {
            Some(Secret::new(text))
        } else {
            self.fault(
                key,
                "holds a blank or a character that no key may hold, check how it was copied",
            );
            None
        }
    }

    /// The strings of a list; a single string is a list of one.
    pub fn texts(&mut self, key: &str) -> Option<Vec<Word<'a>>> {
        self.takes(key, "a list of strings");
        self.defaults_to(key, "[]");
        let node = self.get(key)?;
        let nodes = match &node.value {
            Value::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut texts = Vec::new();
        for item in nodes {
            match Word::of(item) {
                Some(word) => texts.push(word),
                None => {
                    let path = self.path_of(key);
                    self.notes.fault(
                        &item.place,
                        format!("`{path}` holds {}, it takes a list of strings", shown(item)),
                    );
                }
            }
        }
        Some(texts)
    }

    /// One of a few words.
    pub fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        for (word, _) in choices.iter().filter(|(_, value)| *value == default) {
            self.defaults_to(key, word);
        }
        self.typed(
            key,
            &format!("one of {}", words.join(", ")),
            default,
            |node| {
                let text = node.as_str()?;
                choices
                    .iter()
                    .find(|(word, _)| *word == text)
                    .map(|(_, value)| *value)
            },
        )
    }
}

/// The value itself, or what the text of a variable would be as a plain scalar.
pub(super) fn literal(node: &Node) -> Option<Value> {
    match node.as_str() {
        Some(text) if node.from_env => match resolve(text) {
            Plain::Value(value) => Some(value),
            _ => None,
        },
        _ => Some(node.value.clone()),
    }
}

/// A value in a message; what stands elsewhere may be a secret and is not shown.
fn shown(node: &Node) -> String {
    match &node.value {
        _ if node.from_env => "taken from a variable or file whose value does not fit".to_owned(),
        Value::Str(text) if text.len() <= 40 => format!("`{text}`"),
        Value::Int(n) => format!("`{n}`"),
        Value::Float(n) => format!("`{n}`"),
        Value::Bool(flag) => format!("`{flag}`"),
        _ => node.kind().to_owned(),
    }
}
