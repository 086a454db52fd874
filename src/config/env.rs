//! Where do the variables of `os.environ/NAME` come from? The environment, or what systemd loaded beside it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::source;

/// How LiteLLM marks a value that is taken from the environment; the whole string starts with it.
pub(super) const PREFIX: &str = "os.environ/";
/// Where systemd tells the folder of the credentials that the unit loads.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// What systemd puts before the names of a whole folder's files: `LoadCredential=memgate:FOLDER`.
const FOLDER_PREFIX: &str = "memgate_";

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

    /// A variable; where there is none, systemd's credential of that name, which no child process inherits.
    pub fn var(&self, name: &str) -> Option<String> {
        // An environment cannot hold such names, and asking for them may abort the lookup.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        (self.0)(name).or_else(|| self.credential(name))
    }

    fn credential(&self, name: &str) -> Option<String> {
        // A name and no way out of the folder.
        if name.contains('/') || name.starts_with('.') {
            return None;
        }
        let folder = (self.0)(CREDENTIALS)?;
        let folder = Path::new(&folder);
        source::line(&folder.join(name))
            .or_else(|_none| source::line(&folder.join(format!("{FOLDER_PREFIX}{name}"))))
            .ok()
    }
}

/// The variable a string refers to, as LiteLLM finds it: every occurrence of the mark is removed.
pub(super) fn reference(text: &str) -> Option<String> {
    text.starts_with(PREFIX).then(|| text.replace(PREFIX, ""))
}
