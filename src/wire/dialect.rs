//! Which of the two API families a request speaks.

/// The API family of a path, which decides the shape of the errors on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Anthropic Messages: `/v1/messages` and what is below it.
    Anthropic,
    /// OpenAI: chat completions and everything else.
    OpenAi,
}

impl Dialect {
    pub fn of_path(path: &str) -> Self {
        if path == "/v1/messages"
            || path.starts_with("/v1/messages/")
            || path.starts_with("/anthropic/")
        {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }

    /// The status that says: too busy, come back.
    pub fn overloaded(self) -> u16 {
        match self {
            Self::Anthropic => 529,
            Self::OpenAi => 503,
        }
    }

    /// The label in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
        }
    }
}
