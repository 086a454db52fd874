//! Which wildcard entry takes a name that no entry spells out, and what did its `*` capture?
//!
//! LiteLLM's rules: a pattern is anchored at its start only, `*` captures greedily, and patterns are tried
//! longest first, measured in their regex form as LiteLLM's Python writes it.

use std::cmp::Reverse;
use std::sync::Arc;

use regex::{Captures, Regex};

use super::table::Group;

/// The wildcard entries in the order they are tried.
#[derive(Default)]
pub(super) struct Wildcards(Vec<Wildcard>);

struct Wildcard {
    regex: Regex,
    group: Arc<Group>,
}

/// A wildcard entry that matched, and the text it captured.
pub(super) struct Match<'t> {
    pub group: &'t Arc<Group>,
    captured: Vec<String>,
    input: String,
}

impl Wildcards {
    pub fn new(groups: &[Arc<Group>]) -> Self {
        let mut patterns: Vec<&Arc<Group>> = groups
            .iter()
            .filter(|group| group.name.contains('*'))
            .collect();
        patterns.sort_by_key(|group| Reverse(specificity(&group.name)));
        Self(
            patterns
                .into_iter()
                .filter_map(|group| {
                    Some(Wildcard {
                        regex: Regex::new(&format!("^{}", pattern(&group.name))).ok()?,
                        group: Arc::clone(group),
                    })
                })
                .collect(),
        )
    }

    /// Matches the name, then the name behind the provider that its family tells (`claude-…` is also
    /// `anthropic/claude-…`).
    pub fn find(&self, name: &str) -> Option<Match<'_>> {
        self.first(name).or_else(|| self.first(&qualified(name)?))
    }

    fn first(&self, name: &str) -> Option<Match<'_>> {
        self.0.iter().find_map(|wildcard| {
            let captures = wildcard.regex.captures(name)?;
            Some(Match {
                group: &wildcard.group,
                captured: captured(&captures),
                input: name.to_owned(),
            })
        })
    }
}

impl Match<'_> {
    /// The deployment's model name with its `*` filled in; the client's own name when the entry captured
    /// more than the deployment has room for.
    pub fn fill(&self, model: &str) -> String {
        let room = model.matches('*').count();
        if room == 0 {
            return model.to_owned();
        }
        if self.captured.len() > room {
            return without_provider(&self.input).to_owned();
        }
        self.captured
            .iter()
            .fold(model.to_owned(), |model, text| model.replacen('*', text, 1))
    }
}

fn without_provider(name: &str) -> &str {
    name.strip_prefix("anthropic/")
        .or_else(|| name.strip_prefix("openai/"))
        .unwrap_or(name)
}

fn captured(captures: &Captures<'_>) -> Vec<String> {
    captures
        .iter()
        .skip(1)
        .map(|group| group.map_or_else(String::new, |text| text.as_str().to_owned()))
        .collect()
}

fn pattern(name: &str) -> String {
    let literals: Vec<String> = name.split('*').map(regex::escape).collect();
    literals.join("(.*)")
}

/// Length, then number of regex characters, of the pattern as Python's `re.escape` would write it.
fn specificity(name: &str) -> (usize, usize) {
    name.chars().fold((0, 0), |(length, complexity), char| {
        let (more_length, more_complexity) = match char {
            '*' => (4, 3), // `(.*)`
            '(' | ')' | '?' | '+' | '|' | '^' | '$' | '\\' => (2, 2),
            '[' | ']' | '{' | '}' | '-' | '.' | '&' | '~' | '#' => (2, 1),
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' => (2, 1),
            _ => (1, 0),
        };
        (length + more_length, complexity + more_complexity)
    })
}

/// The name with its provider in front (`claude-…` is also `anthropic/claude-…`), as wildcards and the
/// model lists of keys may mean it.
///
/// LiteLLM looks the provider up in its price list; here the families the direct route can serve are told
/// by their names, which also covers models younger than that list.
pub fn qualified(name: &str) -> Option<String> {
    const OPENAI: [&str; 5] = ["gpt-", "chatgpt-", "o1", "o3", "o4"];
    if name.contains('/') {
        None
    } else if name.starts_with("claude-") {
        Some(format!("anthropic/{name}"))
    } else if OPENAI.iter().any(|family| name.starts_with(family)) {
        Some(format!("openai/{name}"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wildcards(names: &[&str]) -> Wildcards {
        let groups: Vec<Arc<Group>> = names
            .iter()
            .map(|name| Arc::new(Group::named(name)))
            .collect();
        Wildcards::new(&groups)
    }

    /// The cases and answers of LiteLLM 1.109.1's `PatternMatchRouter`.
    #[test]
    fn patterns_match_and_fill_as_litellm_does() {
        let cases = [
            ("llmengine/*", "llmengine/foo", "openai/*", "openai/foo"),
            (
                "llmengine/fo::*::static::*",
                "llmengine/fo::bar::static::baz",
                "fo::*::static::*",
                "fo::bar::static::baz",
            ),
            (
                "*meta.llama3*",
                "hello-world-meta.llama3-70b",
                "meta.llama3*",
                "hello-world-meta.llama3-70b",
            ),
            ("a/*", "a/b*c", "*-*", "b*c-*"),
            ("a/*/*", "a/x/y/z", "*+*", "x/y+z"),
            ("a/*", "a/x", "fixed", "fixed"),
            ("mini-*-end", "mini-x-end-more", "*", "x"),
        ];
        for (pattern, asked, model, sent) in cases {
            let wildcards = wildcards(&[pattern]);
            let matched = wildcards.find(asked).unwrap();
            assert_eq!(matched.fill(model), sent, "{pattern} asked for {asked}");
        }
    }

    #[test]
    fn a_pattern_must_match_from_the_start_and_takes_its_punctuation_literally() {
        let wildcards = wildcards(&["openai/gpt.4*"]);

        assert!(wildcards.find("x/openai/gpt.4o").is_none());
        assert!(wildcards.find("openai/gpt-4o").is_none());
        assert!(wildcards.find("openai/gpt.4o").is_some());
    }

    #[test]
    fn the_longest_escaped_pattern_is_tried_first() {
        // Seven characters each, but escaping makes the second one longer.
        let wildcards = wildcards(&["*", "abcdef*", "a-b-ef*", "abc*"]);
        let order: Vec<&str> = wildcards.0.iter().map(|w| &*w.group.name).collect();

        assert_eq!(order, ["a-b-ef*", "abcdef*", "abc*", "*"]);
    }

    #[test]
    fn equally_long_patterns_keep_the_order_of_the_file() {
        let wildcards = wildcards(&["ab*", "*ba"]);
        let order: Vec<&str> = wildcards.0.iter().map(|w| &*w.group.name).collect();

        assert_eq!(order, ["ab*", "*ba"]);
    }

    #[test]
    fn a_bare_name_is_also_tried_behind_its_provider() {
        let wildcards = wildcards(&["anthropic/*"]);

        assert_eq!(
            wildcards.find("claude-opus-5").unwrap().fill("*"),
            "claude-opus-5"
        );
        assert!(wildcards.find("gpt-4o").is_none());
    }
}
