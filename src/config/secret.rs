//! A value that must never be seen: how does the gateway hold keys?

/// A credential from a file or the environment. It has no `Debug`, no `Display` and no `Serialize`,
/// so it cannot slip into a log line, an error or a page; [`Secret::reveal`] is the one way out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself: for a request header, a comparison or a digest, never for text a person reads.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}
