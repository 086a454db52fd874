//! What does routing need of a request body, and how is a model renamed without touching another byte?

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::json::{Fault, MAX_DEPTH, Reader};

/// Bytes a model name may have; LiteLLM's own names stay far below.
pub const MAX_MODEL: usize = 512;

/// The few values of a JSON request that routing needs, found by one scan that builds no tree.
///
/// Of a repeated `stream` or `user` the last one counts, as in the parsers behind us. A repeated
/// `model` is refused instead: who may call what hangs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The model's name, escapes undone.
    pub model: String,
    /// Where its token stands in the body, quotes included.
    pub model_at: Range<usize>,
    /// Top-level `stream` is `true`.
    pub stream: bool,
    /// Top-level `user`, when it is a string.
    pub user: Option<String>,
    /// A field stands there by which LiteLLM may ask another model than `model`.
    pub other_models: bool,
}

/// Fields that hold further models, or choose one, for LiteLLM.
const OTHER_MODELS: [&str; 8] = [
    "fallbacks",
    "context_window_fallbacks",
    "context_window_fallback_dict",
    "content_policy_fallbacks",
    "model_list",
    "user_config",
    "extra_body",
    "prompt_id",
];

/// Why a body cannot be routed; each is the client's to mend (400).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScanError {
    #[error("the body begins with a byte order mark; JSON has none")]
    ByteOrderMark,
    #[error("the body is not UTF-8 (byte {at})")]
    NotUtf8 { at: usize },
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body is not valid JSON: expected {expected} at byte {at}")]
    Syntax { at: usize, expected: &'static str },
    #[error("the body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("the body names `model` twice; parsers differ on which one counts")]
    DuplicateModel,
    #[error("a top-level key holds half of a surrogate pair")]
    BrokenKey,
    #[error("the body has no `model`")]
    NoModel,
    #[error("`model` must be a string")]
    ModelNotString,
    #[error("`model` is empty")]
    EmptyModel,
    #[error("`model` is longer than {MAX_MODEL} bytes")]
    ModelTooLong,
}

impl ScanError {
    /// The parameter at fault, where it is one.
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::DuplicateModel
            | Self::NoModel
            | Self::ModelNotString
            | Self::EmptyModel
            | Self::ModelTooLong => Some("model"),
            _ => None,
        }
    }
}

impl From<Fault> for ScanError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax { at, expected } => Self::Syntax { at, expected },
            Fault::TooDeep => Self::TooDeep,
        }
    }
}

impl Envelope {
    /// Reads a whole body. What is wrong anywhere in it is an error here, not a surprise upstream.
    pub fn scan(body: &[u8]) -> Result<Self, ScanError> {
        if body.starts_with(b"\xEF\xBB\xBF") {
            return Err(ScanError::ByteOrderMark);
        }
        let text = std::str::from_utf8(body).map_err(|error| ScanError::NotUtf8 {
            at: error.valid_up_to(),
        })?;
        let mut reader = Reader::new(text);
        if reader.peek() != Some(b'{') {
            return Err(ScanError::NotAnObject);
        }

        let mut found = Found::default();
        reader.take(b'{', "`{`")?;
        if reader.peek() != Some(b'}') {
            loop {
                found.member(&mut reader)?;
                if reader.peek() != Some(b',') {
                    break;
                }
                reader.take(b',', "`,`")?;
            }
        }
        reader.take(b'}', "`,` or `}`")?;
        if reader.peek().is_some() {
            reader.fault("nothing after the object")?;
        }
        found.envelope()
    }

    /// The body with another model name in it, every other byte as it was; the very same `Bytes`
    /// when the name is the same. `body` is the one that was scanned.
    pub fn splice(&self, body: &Bytes, model: &str) -> Bytes {
        let head = body.get(..self.model_at.start);
        let tail = body.get(self.model_at.end..);
        let (Some(head), Some(tail), false) = (head, tail, model == self.model) else {
            return body.clone();
        };
        let token = serde_json::Value::from(model).to_string();
        let mut spliced = BytesMut::with_capacity(head.len() + token.len() + tail.len());
        spliced.extend_from_slice(head);
        spliced.extend_from_slice(token.as_bytes());
        spliced.extend_from_slice(tail);
        spliced.freeze()
    }
}

/// What the beginning of a body says, for whoever does not hold the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// `None`: no model stands there, as far as it can be read.
    pub model: Option<String>,
    pub stream: bool,
}

impl Glance {
    /// Reads as far as the beginning is JSON; what comes then is somebody else's to judge.
    pub fn at(beginning: &[u8]) -> Self {
        let text = beginning.utf8_chunks().next();
        let mut reader = Reader::new(text.map_or("", |chunk| chunk.valid()));
        let mut found = Found::default();
        let mut member = reader.take(b'{', "`{`");
        while member.is_ok() {
            match found.member(&mut reader) {
                Ok(()) => member = reader.take(b',', "`,`"),
                Err(error) => {
                    // Whoever comes after us may take the other one.
                    found.model = found.model.filter(|_| error != ScanError::DuplicateModel);
                    break;
                }
            }
        }
        Self {
            model: found.model.map(|(model, _)| model),
            stream: found.stream,
        }
    }
}

#[derive(Default)]
struct Found {
    model: Option<(String, Range<usize>)>,
    stream: bool,
    user: Option<String>,
    other_models: bool,
}

impl Found {
    fn member(&mut self, reader: &mut Reader<'_>) -> Result<(), ScanError> {
        let key = reader.key()?;
        // Elsewhere a broken pair is the provider's business; in a name that decides, it is refused.
        let key = reader.decode(&key).ok_or(ScanError::BrokenKey)?;
        let next = reader.peek();
        match key.as_ref() {
            "model" => self.model(reader)?,
            "stream" => {
                self.stream = next == Some(b't');
                reader.skip_value(1)?;
            }
            "user" if next == Some(b'"') => {
                let user = reader.string()?;
                self.user = reader.decode(&user).map(Into::into);
            }
            "user" => {
                self.user = None;
                reader.skip_value(1)?;
            }
            other => {
                self.other_models |= OTHER_MODELS.contains(&other);
                reader.skip_value(1)?;
            }
        }
        Ok(())
    }

    fn model(&mut self, reader: &mut Reader<'_>) -> Result<(), ScanError> {
        if self.model.is_some() {
            return Err(ScanError::DuplicateModel);
        }
        if reader.peek() != Some(b'"') {
            return Err(ScanError::ModelNotString);
        }
        let token = reader.string()?;
        let model = reader.decode(&token).ok_or(ScanError::ModelNotString)?;
        if model.is_empty() {
            return Err(ScanError::EmptyModel);
        }
        if model.len() > MAX_MODEL {
            return Err(ScanError::ModelTooLong);
        }
        self.model = Some((model.into_owned(), token.range));
        Ok(())
    }

    fn envelope(self) -> Result<Envelope, ScanError> {
        let (model, model_at) = self.model.ok_or(ScanError::NoModel)?;
        Ok(Envelope {
            model,
            model_at,
            stream: self.stream,
            user: self.user,
            other_models: self.other_models,
        })
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
