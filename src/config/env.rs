//! Where do the variables of `os.environ/NAME` come from?

use std::collections::HashMap;
use std::sync::Arc;

/// How LiteLLM marks a value that is taken from the environment; the whole string starts with it.
pub(super) const PREFIX: &str = "os.environ/";

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A lookup of environment variables, passed in so that no test touches the process's own.
#[derive(Clone)]
pub struct Env(Arc<Lookup>);

impl Env {
    /// The process environment; a value that is not UTF-8 counts as unset.
    pub fn process() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs: HashMap<String, String> = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self::from_lookup(move |name| pairs.get(name).cloned())
    }

    pub fn var(&self, name: &str) -> Option<String> {
        // An environment cannot hold such names, and asking for them may abort the lookup.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        (self.0)(name)
    }
}

/// The variable a string refers to, as LiteLLM finds it: every occurrence of the mark is removed.
pub(super) fn reference(text: &str) -> Option<String> {
    text.starts_with(PREFIX).then(|| text.replace(PREFIX, ""))
}
