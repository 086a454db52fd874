//! What does the keys file say? Who has a key, told by its digest, and what may each do?

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use regex::Regex;
use sha2::{Digest, Sha256};

use super::finding::{Faults, Notes, Place};
use super::reference::Key;
use super::secret::Secret;
use super::section::{REQUIRED, Section};
use super::yaml::{Document, Node, Plain, Value, parse, resolve};
use super::{KeyLimits, source};

const FILE: &[Key] = &[("keys", "Each key by its digest, with what it may.")];
const KEYS: &[Key] = &[
    ("name", "In logs and metrics; no two keys have the same."),
    (
        "sha256",
        "Of the key as it is sent; `memgate key hash` prints it.",
    ),
    ("user", "Whose memory it uses."),
    ("models", "The models it may use, by name and pattern."),
    ("limits", "What it may spend."),
    (
        "expires",
        "It is refused from then on; a day is its first moment, by UTC.",
    ),
    ("disabled", "It is refused."),
    (
        "impersonate",
        "Its clients may name a user in `user_id_mappings.custom_header`.",
    ),
    (
        "shared",
        "Many use it: the `header_patterns` of `user_id_mappings` choose the user. Not beside `user`.",
    ),
];
/// Names that other callers have.
const TAKEN: [&str; 2] = ["master", "anonymous"];
const LONGEST_NAME: usize = 64;
const LONGEST_USER: usize = 256;

/// `auth.keys_file` and what stands in it.
#[derive(Clone)]
pub struct KeysFile {
    pub path: PathBuf,
    pub keys: Vec<ListedKey>,
    /// As it stood there, to tell a change by.
    pub text: Vec<u8>,
}

/// A key that is known by its digest alone.
#[derive(Clone)]
pub struct ListedKey {
    pub name: Arc<str>,
    /// Of the key as it is sent.
    pub sha256: [u8; 32],
    /// The memory user it belongs to.
    pub user: Option<String>,
    /// Names and patterns; none: every model.
    pub models: Vec<String>,
    pub limits: KeyLimits,
    /// RFC 3339.
    pub expires: Option<String>,
    pub disabled: bool,
    /// Its clients may name another memory user.
    pub impersonate: bool,
    /// Many use it: the header patterns of `user_id_mappings` choose the user.
    pub shared: bool,
}

impl KeysFile {
    /// The file of the configuration; `said_at` is where that names it.
    pub(super) fn open(path: PathBuf, said_at: &Place, notes: &mut Notes) -> Self {
        let text = source::text(&path, said_at, notes);
        let keys = text
            .as_ref()
            .and_then(|text| parsed(text, &source::label(&path), notes));
        Self {
            path,
            keys: keys.unwrap_or_default(),
            text: text.unwrap_or_default(),
        }
    }

    /// What it holds now, no more of it than is ever read.
    pub fn read(path: &Path) -> io::Result<Vec<u8>> {
        source::bytes(path)
    }

    /// The keys in a file's text; where anything is wrong there are none.
    pub fn parse(text: &[u8], file: &str) -> Result<Vec<ListedKey>, Faults> {
        let mut notes = Notes::default();
        let keys = parsed(text, &file.into(), &mut notes).unwrap_or_default();
        notes.into_warnings().map(|_warnings| keys)
    }

    /// What is wrong where the master key is among these keys.
    pub fn clash(keys: &[ListedKey], master: Option<&Secret>) -> Option<String> {
        let digest: [u8; 32] = Sha256::digest(master?.reveal()).into();
        let same = keys.iter().find(|key| key.sha256 == digest)?;
        let name = &same.name;
        Some(format!(
            "`{name}` is the master key, which no entry bounds, give it a key of its own"
        ))
    }
}

fn parsed(text: &[u8], file: &Arc<str>, notes: &mut Notes) -> Option<Vec<ListedKey>> {
    let document = parse(text, file).map_err(|faults| notes.extend_faults(faults));
    Some(keys(document.ok()?, notes))
}

pub(super) fn keys(document: Document, notes: &mut Notes) -> Vec<ListedKey> {
    notes.extend_faults(document.duplicates);
    let root = &document.root;
    // A file that is empty for a moment must not lock everybody out.
    let Some(list) = root.get("keys") else {
        notes.fault(
            &root.place,
            "a keys file has a list called `keys`, write `keys: []` for none",
        );
        return Vec::new();
    };
    let mut section = Section::open("", Some(root), FILE, &[], notes);
    section.takes("keys", "a list of keys, each with what follows");
    section.unset_is("keys", REQUIRED);
    if !matches!(list.value, Value::Seq(_)) {
        let kind = list.kind();
        notes.fault(
            &list.place,
            format!("`keys` is {kind}, it takes a list of keys"),
        );
    }
    let mut seen = Seen::default();
    let items = list.items().iter();
    items
        .filter_map(|node| {
            let key = key(node, notes)?;
            seen.note(&key, node, notes);
            Some(key)
        })
        .collect()
}

/// What two keys must not have in common.
#[derive(Default)]
struct Seen {
    names: HashMap<Arc<str>, Place>,
    digests: HashMap<[u8; 32], Arc<str>>,
}

impl Seen {
    fn note(&mut self, key: &ListedKey, node: &Node, notes: &mut Notes) {
        let place = |key: &str| node.get(key).map_or(&node.place, |node| &node.place);
        let at = place("name").clone();
        if let Some(first) = self.names.insert(Arc::clone(&key.name), at) {
            notes.fault(
                place("name"),
                format!(
                    "the name `{}` is taken in line {}, give this key another",
                    key.name, first.line
                ),
            );
        }
        let first = self.digests.insert(key.sha256, Arc::clone(&key.name));
        if let Some(first) = first {
            notes.fault(
                place("sha256"),
                format!("this is the key of `{first}`, each needs one of its own"),
            );
        }
    }
}

/// `None` where it has no name or digest, which is a fault.
fn key(node: &Node, notes: &mut Notes) -> Option<ListedKey> {
    let limits = KeyLimits::read(node.present("limits"), notes);
    let mut section = Section::open("key", Some(node), KEYS, &[], notes);
    for needed in ["name", "sha256"] {
        if matches!(node.value, Value::Map(_)) && section.get(needed).is_none() {
            section
                .notes
                .fault(&node.place, format!("a key without `{needed}`, add it"));
        }
    }
    told(&mut section);
    let (name, sha256) = (name(&mut section), sha256(&mut section));
    let user = section.text("user");
    let fits = |user: &str| user.len() <= LONGEST_USER && is_line(user);
    if user.is_some_and(|user| !fits(user)) {
        section.fault(
            "user",
            "goes into a header, it takes ASCII characters without blanks around them",
        );
    }
    let shared = section.flag("shared", false);
    if shared && user.is_some() {
        section.fault(
            "shared",
            "leaves the user to its clients' headers, remove it or `user`",
        );
    }
    let key = ListedKey {
        user: user.map(str::to_owned),
        models: models(&mut section),
        limits,
        expires: expires(&mut section),
        disabled: section.flag("disabled", false),
        impersonate: section.flag("impersonate", false),
        shared,
        name: name?.into(),
        sha256: sha256?,
    };
    Some(key)
}

/// What the reference says of those that have a form, or a default, of their own.
fn told(section: &mut Section) {
    let day = "a day or a moment, such as `2027-01-31` or `2027-01-31T18:00:00Z`";
    let name = "up to 64 of the characters A-Z a-z 0-9 . _ @ + -";
    for (key, takes, unset) in [
        ("name", name, REQUIRED),
        ("sha256", "64 hexadecimal digits, in quotes", REQUIRED),
        ("user", "a string", "`user_id_mappings.default_user_id`"),
        ("models", "a list of names and patterns", "every model"),
        ("expires", day, "never"),
    ] {
        section.takes(key, takes);
        section.unset_is(key, unset);
    }
}

fn name<'a>(section: &mut Section<'a, '_>) -> Option<&'a str> {
    let name = section.text("name")?;
    let sound = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    if name.len() > LONGEST_NAME || !name.chars().all(sound) {
        section.fault(
            "name",
            format!("takes up to {LONGEST_NAME} of the characters A-Z a-z 0-9 . _ @ + -"),
        );
        return None;
    }
    if name.starts_with("sk-") {
        section.fault(
            "name",
            "looks like a key, it takes a name for logs and metrics",
        );
        return None;
    }
    if TAKEN.contains(&name) {
        section.fault(
            "name",
            format!("is `{name}`, as others are called, choose another"),
        );
        return None;
    }
    Some(name)
}

/// What stands there is not repeated: it may be the key itself.
fn sha256(section: &mut Section) -> Option<[u8; 32]> {
    let node = section.get("sha256")?;
    let digest = node.as_str().and_then(digest);
    if digest.is_none() {
        section.fault(
            "sha256",
            "takes the 64 hexadecimal digits that `memgate key hash` prints, in quotes",
        );
    }
    digest
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

fn is_line(text: &str) -> bool {
    text.trim() == text && text.chars().all(|c| c.is_ascii() && !c.is_control())
}

fn models(section: &mut Section) -> Vec<String> {
    let Some(models) = section.texts("models") else {
        return Vec::new();
    };
    if models.is_empty() {
        section.fault(
            "models",
            "is an empty list, leave it out to allow every model",
        );
    }
    let texts = models.into_iter().map(|model| model.text.to_owned());
    texts.collect()
}

/// A date is its first moment, by UTC.
fn expires(section: &mut Section) -> Option<String> {
    static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let time = r"[Tt ]\d\d:\d\d:\d\d(\.\d+)?(Z|z|[+-]\d\d:\d\d)?";
        Regex::new(&format!(r"^\d{{4}}-\d\d-\d\d({time})?$")).ok()
    });
    let node = section.get("expires")?;
    let text = match &node.value {
        Value::Timestamp(text) => text.as_str(),
        Value::Str(text) if matches!(resolve(text), Plain::Value(Value::Timestamp(_))) => text,
        _ => "",
    };
    if !FORM.as_ref().is_some_and(|form| form.is_match(text)) {
        section.fault(
            "expires",
            "takes a day or a moment, such as `2027-01-31` or `2027-01-31T18:00:00Z`",
        );
        return None;
    }
    let is_day = text.len() == "2027-01-31".len();
    Some(if is_day {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    })
}
