//! Which models does a key's list grant?
//!
//! LiteLLM's rules: an empty list, `*` and `all-proxy-models` grant everything; else a name in the list, or
//! a pattern in it that matches the whole name, also with the provider in front. Names of access groups
//! grant nothing here: who belongs to them is LiteLLM's knowledge.

use std::collections::HashSet;

pub(super) struct Allowed {
    everything: bool,
    names: HashSet<String>,
    patterns: Vec<String>,
}

impl Allowed {
    pub fn new(models: &[String]) -> Self {
        let everything = models.is_empty()
            || models.iter().any(|model| {
                matches!(model.as_str(), "*" | "all-proxy-models" | "all-team-models")
            });
        let (patterns, names): (Vec<String>, Vec<String>) = models
            .iter()
            .cloned()
            .partition(|model| model.contains('*'));
        Self {
            everything,
            names: names.into_iter().collect(),
            patterns,
        }
    }

    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// `names`: under any of which the model may have been granted; `qualified`: with its provider in front,
    /// which patterns match too.
    pub fn grants(&self, names: &[&str], qualified: Option<&str>) -> bool {
        self.everything
            || names
                .iter()
                .any(|name| self.names.contains(*name) || self.matches(name))
            || qualified.is_some_and(|name| self.matches(name))
    }

    fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, name))
    }
}

/// Whether the pattern matches the whole name; `*` is any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(start) else {
        return false;
    };
    let Some((middle, end)) = rest.rsplit_once('*') else {
        return name.ends_with(rest);
    };
    // The earliest place for each piece leaves the most room for the next.
    let mut left = name;
    for piece in middle.split('*') {
        let Some(at) = left.find(piece) else {
            return false;
        };
        left = left.get(at + piece.len()..).unwrap_or_default();
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grants(list: &[&str], names: &[&str], qualified: Option<&str>) -> bool {
        let list: Vec<String> = list.iter().map(|model| (*model).to_owned()).collect();
        Allowed::new(&list).grants(names, qualified)
    }

    #[test]
    fn everything_is_granted_by_an_empty_list_a_star_or_litellms_word_for_it() {
        for list in [&[][..], &["*"], &["x", "all-proxy-models"]] {
            assert!(grants(list, &["claude"], None), "{list:?}");
        }
    }

    #[test]
    fn a_name_is_granted_by_itself_by_its_alias_target_or_by_a_pattern() {
        assert!(grants(&["sonnet"], &["sonnet"], None));
        assert!(grants(&["sonnet"], &["best", "sonnet"], None));
        assert!(grants(&["anthropic/*"], &["anthropic/claude"], None));
        assert!(grants(
            &["anthropic/*"],
            &["claude-x"],
            Some("anthropic/claude-x")
        ));
    }

    #[test]
    fn anything_else_is_not() {
        assert!(!grants(&["sonnet"], &["opus"], None));
        assert!(!grants(&["anthropic/*"], &["claude"], None));
        assert!(!grants(&["anthropic/*"], &["x-anthropic/claude"], None));
        assert!(!grants(&["no-default-models"], &["sonnet"], None));
        assert!(
            !grants(
                &["anthropic/claude-x"],
                &["claude-x"],
                Some("anthropic/claude-x")
            ),
            "only patterns look at the provider"
        );
        assert!(!grants(&["gpt.4*"], &["gpt-4o"], None), "a dot is a dot");
    }

    proptest! {
        #[test]
        fn patterns_match_as_the_regex_they_stand_for(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
            let regex = format!("^{}$", pattern.replace('*', ".*"));
            let expected = regex::Regex::new(&regex).unwrap().is_match(&name);
            prop_assert_eq!(matches(&pattern, &name), expected);
        }
    }
}
