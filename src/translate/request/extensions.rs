//! Which of Anthropic's own parameters does a client of this dialect send along?

use serde_json::value::RawValue;

use super::super::Unsupported;
use super::super::openai::{Members, StringOr, Text};

/// The names in `anthropic_beta`, each fit for a header.
pub(super) fn betas(said: Option<StringOr<'_, Vec<Text<'_>>>>) -> Result<Vec<String>, Unsupported> {
    let list = match said {
        None => return Ok(Vec::new()),
        Some(StringOr::Text(one)) => vec![one],
        Some(StringOr::Other(many)) => many,
    };
    let names = list.iter().flat_map(|text| text.split(',')).map(str::trim);
    let names: Vec<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.iter().all(|name| is_token(name)) {
        return Ok(names);
    }
    Err(Unsupported::new(
        "anthropic_beta",
        "the name of a beta holds letters, digits, `-`, `_` and `.` alone",
    ))
}

pub(super) fn is_token(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The members of an object to which we may add our own.
pub(super) fn members<'a>(
    given: Option<&'a RawValue>,
    param: &str,
) -> Result<Members<'a>, Unsupported> {
    let Some(given) = given else {
        return Ok(Members::default());
    };
    serde_json::from_str(given.get())
        .map_err(|_e| Unsupported::new(param, format!("`{param}` must be an object")))
}
