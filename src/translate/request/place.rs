//! Where in the messages is the fault?

use std::fmt;

use super::super::Unsupported;

/// A message, or one part of it; said as a parameter's path.
#[derive(Clone, Copy)]
pub(super) struct Place {
    message: usize,
    part: Option<usize>,
}

impl Place {
    pub fn message(message: usize) -> Self {
        Self {
            message,
            part: None,
        }
    }

    pub fn part(self, part: usize) -> Self {
        Self {
            part: Some(part),
            ..self
        }
    }

    pub fn fault(self, message: impl Into<String>) -> Unsupported {
        Unsupported::new(self.to_string(), message)
    }

    pub fn field(self, field: &str, message: impl Into<String>) -> Unsupported {
        Unsupported::new(format!("{self}.{field}"), message)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "messages[{}]", self.message)?;
        match self.part {
            Some(part) => write!(f, ".content[{part}]"),
            None => Ok(()),
        }
    }
}
