//! For whom is it, and how urgent?

use super::super::Unsupported;
use super::super::anthropic::Metadata;
use super::super::openai::Text;

/// Anthropic's limit.
const LONGEST: usize = 256;

/// `safety_identifier` came after `user` to take its place.
pub(super) fn metadata<'a>(
    safety_identifier: Option<Text<'a>>,
    user: Option<Text<'a>>,
) -> Option<Metadata<'a>> {
    let user_id = safety_identifier.or(user)?;
    let fit = !user_id.is_blank() && user_id.len() <= LONGEST && !is_personal(&user_id);
    fit.then_some(Metadata { user_id })
}

/// An e-mail address or a phone number, which Anthropic forbids there.
fn is_personal(id: &str) -> bool {
    let mail = id
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    let digits = id.bytes().filter(u8::is_ascii_digit).count();
    let phone = digits >= 7
        && id
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-() ./".contains(&byte));
    mail || phone
}

pub(super) fn service_tier(asked: Option<&str>) -> Result<Option<&'static str>, Unsupported> {
    match asked {
        None | Some("flex") => Ok(None),
        Some("auto" | "priority") => Ok(Some("auto")),
        Some("default" | "standard_only") => Ok(Some("standard_only")),
        Some(_) => Err(Unsupported::new(
            "service_tier",
            "`service_tier` must be auto, default, flex or priority",
        )),
    }
}
