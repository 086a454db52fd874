//! A value of LiteLLM's file as LiteLLM resolves it: text, or a variable's text.

use super::{Node, Notes, Secret};
use crate::config::{Env, env};

/// Reads single values and reports what is wrong with them.
pub(in crate::config) struct Values<'a> {
    root: &'a Node,
    env: &'a Env,
    pub notes: &'a mut Notes,
}

impl<'a> Values<'a> {
    pub fn new(root: &'a Node, env: &'a Env, notes: &'a mut Notes) -> Self {
        Self { root, env, notes }
    }

    /// A variable as LiteLLM sees it while it serves: `environment_variables` of the file come first. It
    /// sets those after it has resolved every `os.environ/`, which [`Values::text`] therefore does without.
    pub fn running_var(&self, name: &str) -> Option<String> {
        let set = self
            .root
            .get("environment_variables")
            .and_then(|set| set.get(name));
        let set = set
            .and_then(Node::as_str)
            .and_then(|text| match env::reference(text) {
                Some(other) => self.env.var(&other),
                None => Some(text.to_owned()),
            });
        set.or_else(|| self.env.var(name))
            .filter(|value| !value.trim().is_empty())
    }

    /// A string that is needed: an unset variable is a fault. Empty counts as absent.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let Some(text) = node.as_str() else {
            let advice = if node.entries().is_empty() && node.items().is_empty() {
                "put it in quotes"
            } else {
                "it takes a string"
            };
            self.notes.fault(
                &node.place,
                format!("`{what}` is {}, {advice}", node.kind()),
            );
            return None;
        };
        let Some(name) = env::reference(text) else {
            return Some(text.to_owned()).filter(|text| !text.is_empty());
        };
        if name.starts_with("oidc/") {
            self.notes.fault(
                &node.place,
                format!(
                    "`{what}` is a token that LiteLLM fetches, give memgate a key in a variable"
                ),
            );
            return None;
        }
        let value = self.env.var(&name);
        if value.is_none() {
            self.notes.fault(&node.place, format!("`{what}` needs the variable {name}, which is not set; set it for memgate as for LiteLLM"));
        }
        value.filter(|value| !value.is_empty())
    }

    /// A string that is not needed: what is wrong with it is said elsewhere, if it matters.
    pub fn quietly(&self, node: &Node) -> Option<String> {
        let text = node.as_str()?;
        match env::reference(text) {
            Some(name) => self.env.var(&name),
            None => Some(text.to_owned()),
        }
    }

    /// A key that goes into a header or is compared with one.
    pub fn secret(&mut self, node: &Node, what: &str) -> Option<Secret> {
        let text = self.text(node, what)?;
        if text.bytes().all(|b| b.is_ascii_graphic()) {
            return Some(Secret::new(text));
        }
        self.notes.fault(&node.place, format!("`{what}` holds a blank or a character that no key may hold, check how it was copied"));
        None
    }
}
