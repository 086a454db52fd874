//! A string of a configuration, and how a message shows it.

use std::fmt;

use super::finding::Place;
use super::yaml::Node;

/// A string and where it stands. What a variable or another file said may be a secret and is not shown.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub place: &'a Place,
    pub text: &'a str,
    from_env: bool,
}

impl<'a> Word<'a> {
    /// Of a flag.
    pub fn said(place: &'a Place, text: &'a str) -> Self {
        Self {
            place,
            text,
            from_env: false,
        }
    }

    pub fn of(node: &'a Node) -> Option<Self> {
        Some(Self {
            place: &node.place,
            text: node.as_str()?,
            from_env: node.from_env,
        })
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from_env {
            true => f.write_str("(from a variable or file)"),
            false => write!(f, "`{}`", self.text),
        }
    }
}
