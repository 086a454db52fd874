//! What are a tool and a call named upstream, where their own names do not fit Anthropic's patterns?

use std::collections::{BTreeMap, BTreeSet};

use super::openai::Text;

/// Bytes a tool's name may have there: `^[a-zA-Z0-9_-]{1,128}$`.
const LONGEST_TOOL_NAME: usize = 128;

/// The names that were rewritten for one request, so that the answer can have the client's again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolNames {
    /// By the name that was sent.
    originals: BTreeMap<Box<str>, Box<str>>,
}

impl ToolNames {
    /// The client's name of the tool that was sent as `sent`.
    pub fn original<'a>(&'a self, sent: &'a str) -> &'a str {
        self.originals.get(sent).map_or(sent, |name| name)
    }
}

/// Names that do not fit, each with the one that is sent for it; empty in nearly every request.
#[derive(Debug, Default)]
pub(super) struct Renamed(BTreeMap<Box<str>, Box<str>>);

impl Renamed {
    pub fn tools<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Self {
        Self::among(names, LONGEST_TOOL_NAME)
    }

    pub fn calls<'n>(ids: impl Iterator<Item = &'n str> + Clone) -> Self {
        Self::among(ids, usize::MAX)
    }

    /// Names of one request: what fits keeps its name, and nobody else gets it.
    fn among<'n>(names: impl Iterator<Item = &'n str> + Clone, longest: usize) -> Self {
        let unfit = |name: &&str| !fits(name, longest);
        if !names.clone().any(|name| unfit(&name)) {
            return Self::default();
        }
        let mut taken: BTreeSet<Box<str>> = names
            .clone()
            .filter(|name| !unfit(name))
            .map(Box::from)
            .collect();
        let mut renamed = BTreeMap::new();
        for name in names.filter(unfit) {
            if !renamed.contains_key(name) {
                let free = free_name(name, longest, &taken);
                taken.insert(free.clone());
                renamed.insert(Box::from(name), free);
            }
        }
        Self(renamed)
    }

    pub fn renames(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn sent<'a>(&self, name: Text<'a>) -> Text<'a> {
        match self.0.get(&*name) {
            Some(sent) => Text::from(sent.to_string()),
            None => name,
        }
    }

    pub fn back(self) -> ToolNames {
        let turned = self.0.into_iter().map(|(original, sent)| (sent, original));
        ToolNames {
            originals: turned.collect(),
        }
    }
}

fn fits(name: &str, longest: usize) -> bool {
    name.len() <= longest && name.bytes().all(allowed)
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The name with `_` for what is not allowed, and with a hash of itself where that is taken. It depends on
/// the name alone otherwise, so that a cached prompt stays one.
fn free_name(name: &str, longest: usize, taken: &BTreeSet<Box<str>>) -> Box<str> {
    let plain: String = name
        .chars()
        .map(|c| match u8::try_from(c) {
            Ok(byte) if allowed(byte) => c,
            _ => '_',
        })
        .take(longest)
        .collect();
    if !taken.contains(plain.as_str()) {
        return plain.into();
    }
    let mut hash = fnv(name);
    loop {
        let suffix = format!("_{hash:08x}");
        let kept = plain.chars().take(longest - suffix.len());
        let hashed: String = kept.chain(suffix.chars()).collect();
        if !taken.contains(hashed.as_str()) {
            return hashed.into();
        }
        hash = hash.wrapping_add(1);
    }
}

/// FNV-1a: the same on every machine and in every version.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(names: &[&str]) -> (Vec<String>, ToolNames) {
        let renamed = Renamed::tools(names.iter().copied());
        let sent = names
            .iter()
            .map(|name| renamed.sent(Text::from(*name)).to_string())
            .collect();
        (sent, renamed.back())
    }

    #[test]
    fn a_name_that_fits_is_left_alone() {
        let (sent, names) = tools(&["get_weather", "read-file"]);

        assert_eq!(sent, ["get_weather", "read-file"]);
        assert_eq!(names, ToolNames::default());
    }

    #[test]
    fn what_the_pattern_forbids_becomes_an_underscore_and_finds_back() {
        let (sent, names) = tools(&["mcp.files/read", "größe"]);

        assert_eq!(sent, ["mcp_files_read", "gr__e"]);
        assert_eq!(names.original("mcp_files_read"), "mcp.files/read");
        assert_eq!(names.original("gr__e"), "größe");
        assert_eq!(names.original("unknown"), "unknown");
    }

    #[test]
    fn two_names_that_become_one_are_told_apart() {
        let (sent, names) = tools(&["a.b", "a/b", "a_b"]);

        let distinct: BTreeSet<&String> = sent.iter().collect();
        assert_eq!(distinct.len(), 3, "{sent:?}");
        assert_eq!(
            sent.last().unwrap(),
            "a_b",
            "the one that fits keeps its name"
        );
        for (sent, name) in sent.iter().zip(["a.b", "a/b", "a_b"]) {
            assert_eq!(names.original(sent), name);
        }
    }

    #[test]
    fn a_long_name_is_cut_and_its_twin_too() {
        let long = "x".repeat(200);
        let twin = format!("{long}y");

        let (sent, names) = tools(&[&long, &twin]);

        assert!(sent.iter().all(|name| name.len() == 128), "{sent:?}");
        assert_eq!(names.original(&sent[0]), long);
        assert_eq!(names.original(&sent[1]), twin);
    }

    #[test]
    fn a_name_is_sent_alike_whatever_else_is_offered() {
        let (alone, _) = tools(&["a.b"]);
        let (among, _) = tools(&["c", "d.e", "a.b"]);

        assert_eq!(alone.last(), among.last());
    }

    #[test]
    fn call_ids_are_told_apart_and_may_be_long() {
        let long = "c".repeat(300);
        let ids = ["call.1", "call:1", &long];

        let renamed = Renamed::calls(ids.into_iter());

        assert_eq!(&*renamed.sent(Text::from("call.1")), "call_1");
        assert_ne!(&*renamed.sent(Text::from("call:1")), "call_1");
        assert_eq!(&*renamed.sent(Text::from(long.as_str())), long);
    }
}
