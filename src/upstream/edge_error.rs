//! Is this answer an error that Cloudflare's edge made, and what does it say?
//!
//! One error has five dresses: JSON (RFC 9457), Markdown, HTML, plain text, or none but its status. `server: cloudflare`
//! and `cf-ray` are on every answer that comes through the edge and prove nothing.
//! Sources: Cloudflare's "Error responses", "Cloudflare 1xxx errors" and "Cloudflare 5xx errors" pages.

use std::fmt::Write;
use std::io::Read;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::Value;

use super::edge_class::EdgeClass;
use super::{html, retry_after};

/// As much of an answer as is looked at, packed and unpacked.
pub const MAX_READ: usize = 64 * 1024;

/// What an edge error says. Every text in it is checked to be short and harmless to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeError {
    /// The answer's.
    pub status: u16,
    /// Cloudflare's own number (1200), or the status for errors that are numbered by it (522).
    pub code: Option<u16>,
    /// `error_name`: `cache_connection_limit`.
    pub name: Option<String>,
    /// The host or domain it is about, which need not be the one that was called.
    pub zone: Option<String>,
    pub ray_id: Option<String>,
    /// It wants a browser (`cf-mitigated: challenge`).
    pub challenge: bool,
    pub retry_after: Option<Duration>,
}

/// Whose edge made the error, by the zone it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The host called: nobody behind it saw the request.
    Host,
    /// Someone behind the host called, which let the request through.
    Behind,
    /// It names nothing, and there is someone behind.
    Unsaid,
}

/// The edge error that an answer is, if it is one. `body` may be a prefix, and packed.
pub fn read(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<EdgeError> {
    read_text(status, headers, &readable(headers, body), now)
}

/// What the error means, in one sentence for people.
pub fn explain(error: &EdgeError) -> String {
    let mut text = String::from("Cloudflare answered instead of the API");
    let _ = match (error.code, &error.name) {
        (Some(code), _) => write!(text, " with error {code}"),
        (None, Some(name)) => write!(text, " with {name}"),
        (None, None) => Ok(()),
    };
    if let Some(zone) = &error.zone {
        let _ = write!(text, " for {zone}");
    }
    if let Some(ray_id) = &error.ray_id {
        let _ = write!(text, " (ray id {ray_id})");
    }
    let _ = write!(text, ": {}", error.class().meaning());
    text
}

impl EdgeError {
    pub fn class(&self) -> EdgeClass {
        if self.challenge {
            return EdgeClass::Challenge;
        }
        self.code.map_or(EdgeClass::Other, EdgeClass::of_code)
    }

    /// How long to stay away.
    pub fn pause(&self) -> Duration {
        self.retry_after
            .unwrap_or_else(|| self.class().usual_pause())
    }

    /// `provider` is the host behind `host`, or the same.
    pub fn whose(&self, host: &str, provider: &str) -> Whose {
        match self.is_about(host) {
            Some(true) => Whose::Host,
            Some(false) => Whose::Behind,
            None if host == provider => Whose::Host,
            None => Whose::Unsaid,
        }
    }

    /// Whether it is about `host`: names it, or a domain it belongs to. `None`: it names nothing.
    pub fn is_about(&self, host: &str) -> Option<bool> {
        let zone = self.zone.as_deref()?;
        let rest = host.strip_suffix(zone);
        Some(rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    }
}

/// The beginning of a body as text, unpacked where it is packed and as far as it can be.
pub(super) fn readable(headers: &HeaderMap, body: &[u8]) -> String {
    let packed = body.get(..MAX_READ).unwrap_or(body);
    let encoding = headers.get(header::CONTENT_ENCODING);
    let encoding = encoding
        .and_then(|value| value.to_str().ok())
        .map(str::trim);
    let bytes = match encoding.map(str::to_ascii_lowercase).as_deref() {
        Some("gzip" | "x-gzip") => unpacked(flate2::read::MultiGzDecoder::new(packed)),
        Some("br") => unpacked(brotli::Decompressor::new(packed, 4096)),
        Some("zstd") => zstd::stream::read::Decoder::with_buffer(packed)
            .map(unpacked)
            .unwrap_or_default(),
        _ => packed.to_vec(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What came before a fault is kept: the body may be a prefix, which ends in one.
fn unpacked(reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = reader.take(MAX_READ as u64).read_to_end(&mut bytes);
    bytes
}

pub(super) fn read_text(
    status: u16,
    headers: &HeaderMap,
    text: &str,
    now: SystemTime,
) -> Option<EdgeError> {
    if status < 400 {
        return None;
    }
    let has = |name, wanted| headers.get(name).is_some_and(|value| value == wanted);
    let challenge = has("cf-mitigated", "challenge");
    let proved = challenge || headers.contains_key("cf-error-type");
    let numbered_by_status = matches!(status, 520..=526 | 530);

    let mut error = match text.trim_start().as_bytes().first() {
        // Other JSON is somebody's answer, whatever its status.
        Some(b'{' | b'[') => from_json(text)?,
        _ => from_plain_text(text)
            .or_else(|| from_markdown(text))
            .or_else(|| from_html(headers, text))
            .or_else(|| (proved || numbered_by_status).then(EdgeError::default))?,
    };
    if numbered_by_status {
        error.code = error.code.or(Some(status));
    }
    error.status = status;
    error.challenge = challenge;
    error.retry_after = retry_after::parse(headers, now).or(error.retry_after);
    let header_ray = headers.get("cf-ray").and_then(|ray| ray.to_str().ok());
    error.ray_id = error.ray_id.or_else(|| header_ray.and_then(ray));
    Some(error)
}

#[derive(Deserialize)]
struct Problem {
    cloudflare_error: bool,
    error_code: Option<Value>,
    error_name: Option<Value>,
    zone: Option<Value>,
    ray_id: Option<Value>,
    retry_after: Option<Value>,
}

fn from_json(text: &str) -> Option<EdgeError> {
    let problem: Problem = serde_json::from_str(text).ok()?;
    let field = |value: Option<Value>| match value? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let Problem {
        error_code,
        error_name,
        zone,
        ray_id,
        retry_after,
        cloudflare_error: true,
    } = problem
    else {
        return None;
    };
    let fields = [error_code, error_name, zone, ray_id, retry_after].map(field);
    Some(of_fields(fields.each_ref().map(Option::as_deref)))
}

/// `error code: 1015`, nothing else.
fn from_plain_text(text: &str) -> Option<EdgeError> {
    let text = text.trim().to_ascii_lowercase();
    let code = text.strip_prefix("error code:")?.trim();
    Some(EdgeError {
        code: Some(code.parse().ok()?),
        ..EdgeError::default()
    })
}

/// Markdown begins with the same fields as the JSON, between two lines of dashes.
fn from_markdown(text: &str) -> Option<EdgeError> {
    let (front, _) = text.trim_start().strip_prefix("---")?.split_once("\n---")?;
    let field = |name: &str| {
        let mut lines = front.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
        Some(value.trim().trim_matches(['"', '\'']))
    };
    let code = field("error_code")?;
    let [name, zone, ray_id, wait] = ["error_name", "zone", "ray_id", "retry_after"].map(field);
    Some(of_fields([Some(code), name, zone, ray_id, wait]))
}

/// An API has no pages: one that comes in its place is the edge's, or the owner's own made for it.
fn from_html(headers: &HeaderMap, text: &str) -> Option<EdgeError> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let says_html = kind.to_ascii_lowercase().starts_with("text/html");
    let page = html::Page::read(text);
    if !says_html && page.is_none() {
        return None;
    }
    let page = page.unwrap_or_default();
    Some(EdgeError {
        code: page.error_code(),
        zone: page.zone().and_then(zone),
        ray_id: page.ray_id().and_then(ray),
        ..EdgeError::default()
    })
}

fn of_fields([code, name, zone_field, ray_id, wait]: [Option<&str>; 5]) -> EdgeError {
    let wait = wait.and_then(|wait| wait.parse().ok());
    EdgeError {
        code: code.and_then(|code| code.parse().ok()),
        name: name.and_then(|name| short(name, 64, |c| c.is_ascii_alphanumeric() || c == '_')),
        zone: zone_field.and_then(zone),
        ray_id: ray_id.and_then(ray),
        retry_after: wait.map(retry_after::seconds),
        ..EdgeError::default()
    }
}

fn zone(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    short(&text, 253, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
    })
}

fn ray(text: &str) -> Option<String> {
    short(text, 64, |c| c.is_ascii_alphanumeric() || c == '-')
}

fn short(text: &str, longest: usize, allowed: impl Fn(char) -> bool) -> Option<String> {
    let fits = (1..=longest).contains(&text.len()) && text.chars().all(allowed);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
#[path = "edge_error_tests.rs"]
mod tests;
