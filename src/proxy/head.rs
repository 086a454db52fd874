//! How is a head changed at little cost? Pingora keeps the spelling of every field's name in a second map,
//! which makes each change several times dearer; plain parts have none.

use std::mem::replace;

use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

/// Changes a request's head. Names are written in lower case afterwards (RFC 9110 5.1: case says nothing).
pub(super) fn edit_request(
    head: &mut RequestHeader,
    change: impl FnOnce(&mut http::request::Parts) -> Result<()>,
) -> Result<()> {
    // A target that its URI cannot say stands beside it, and would be lost. What names a host is for us alone.
    let written = head.uri.path_and_query().map(|path| path.as_str());
    let beside = written.map(str::as_bytes) != Some(head.raw_path());
    let target = (beside && head.raw_path().starts_with(b"/"))
        .then(|| (head.raw_path().to_vec(), head.uri.clone()));
    let (blank, ()) = http::Request::new(()).into_parts();
    let mut parts = http::request::Parts::from(replace(head, blank.into()));
    let changed = change(&mut parts);
    *head = parts.into();
    match target {
        Some((target, uri)) if head.uri == uri => head.set_raw_path(&target)?,
        _ => {}
    }
    changed
}

/// Changes a response's head, as [`edit_request`] does a request's.
pub(super) fn edit_response(
    head: &mut ResponseHeader,
    change: impl FnOnce(&mut http::response::Parts),
) {
    let (blank, ()) = http::Response::new(()).into_parts();
    let mut parts = http::response::Parts::from(replace(head, blank.into()));
    change(&mut parts);
    *head = parts.into();
}
