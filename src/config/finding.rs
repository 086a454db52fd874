//! What is wrong, in which file and where, and what would be right?

use std::fmt::{self, Write};
use std::sync::Arc;

use super::reference::Reference;

/// A character of a file, counted from one. A flag or a variable is a "file" of its own name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl Place {
    pub(super) fn top(file: &Arc<str>) -> Self {
        Self::at(file, 1, 1)
    }

    pub(super) fn at(file: &Arc<str>, line: u32, column: u32) -> Self {
        Self {
            file: Arc::clone(file),
            line,
            column,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One line of `memgate check`: `FILE:LINE:COLUMN: what is wrong, what would be right`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub place: Place,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is quoted of a file may hold anything; the line stays one.
        for c in format!("{}: {}", self.place, self.message).chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Everything that keeps a configuration from being used, at least one finding, and the warnings beside.
#[derive(Debug, PartialEq, Eq)]
pub struct Faults {
    faults: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Faults {
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.faults.iter()
    }

    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Collects findings while the files are read, so that all are told at once.
#[derive(Default)]
pub(super) struct Notes {
    faults: Vec<Finding>,
    warnings: Vec<Finding>,
    pub reference: Option<Reference>,
}

impl Notes {
    /// What is read is not to be used: the reference of all keys is to be written.
    pub fn for_the_reference() -> Self {
        Self {
            reference: Some(Reference::default()),
            ..Self::default()
        }
    }

    pub fn fault(&mut self, place: &Place, message: impl Into<String>) {
        self.faults.push(Finding {
            place: place.clone(),
            message: message.into(),
        });
    }

    pub fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.warnings.push(Finding {
            place: place.clone(),
            message: message.into(),
        });
    }

    pub fn extend_faults(&mut self, faults: Vec<Finding>) {
        self.faults.extend(faults);
    }

    pub fn extend_warnings(&mut self, warnings: Vec<Finding>) {
        self.warnings.extend(warnings);
    }

    /// Whether a fault already speaks of this place.
    pub fn is_faulty(&self, place: &Place) -> bool {
        self.faults.iter().any(|fault| fault.place == *place)
    }

    /// The warnings, if there is nothing worse.
    pub fn into_warnings(mut self) -> Result<Vec<Finding>, Faults> {
        self.faults.sort();
        self.faults.dedup();
        self.warnings.sort();
        self.warnings.dedup();
        if self.faults.is_empty() {
            Ok(self.warnings)
        } else {
            Err(Faults {
                faults: self.faults,
                warnings: self.warnings,
            })
        }
    }
}
