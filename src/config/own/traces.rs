//! What does the `traces` section say?

use http::{HeaderName, HeaderValue};

use super::super::finding::Notes;
use super::super::reference::Key;
use super::super::section::Section;
use super::super::settings::BaseUrl;
use super::super::traces::{Otlp, Traces};
use super::super::yaml::{Node, Value};

/// Of a collector's own URL, as OTLP has it.
const PATH: &str = "/v1/traces";

const KEYS: &[Key] = &[
    (
        "otlp",
        "A collector that takes spans by OTLP over HTTP; a URL without a path means `/v1/traces` there.",
    ),
    (
        "headers",
        "For the collector; each value may be `os.environ/NAME`.",
    ),
    (
        "sample",
        "How many of the traces that begin here are recorded; one that comes sampled stays so.",
    ),
];

pub(super) fn read(node: Option<&Node>, notes: &mut Notes) -> Traces {
    let mut section = Section::open("traces", node, KEYS, &[], notes);
    section.takes("otlp", "a URL such as `http://127.0.0.1:4318`");
    section.takes("headers", "a mapping of names to strings");
    section.unset_is("headers", "`{}`");
    let url = collector(&mut section);
    let headers = headers(section.get("headers"), section.notes);
    if url.is_none() && !headers.is_empty() && section.get("otlp").is_none() {
        section.fault(
            "headers",
            "are for nobody, name the collector in `traces.otlp`",
        );
    }
    Traces {
        otlp: url.map(|url| Otlp { url, headers }),
        sample: section.share("sample", 1, 0..=100),
    }
}

fn collector(section: &mut Section) -> Option<BaseUrl> {
    let text = section.text("otlp")?;
    match BaseUrl::parse(text) {
        Ok(mut url) => {
            if url.path.is_empty() {
                PATH.clone_into(&mut url.path);
            }
            Some(url)
        }
        // Not the text: it may hold a password.
        Err(problem) => {
            section.fault("otlp", problem);
            None
        }
    }
}

fn headers(node: Option<&Node>, notes: &mut Notes) -> Vec<(HeaderName, HeaderValue)> {
    let Some(node) = node else { return Vec::new() };
    if !matches!(node.value, Value::Map(_)) {
        let kind = node.kind();
        notes.fault(
            &node.place,
            format!("`traces.headers` is {kind}, it takes a mapping of names to strings"),
        );
    }
    let header = |key: &str, value: &str| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(key.as_bytes()).ok()?, value))
    };
    let mut headers = Vec::new();
    for entry in node.entries() {
        let pair = entry.key.as_str().zip(entry.value.as_str());
        match pair.and_then(|(key, value)| header(key, value)) {
            Some(pair) => headers.push(pair),
            None => notes.fault(
                &entry.value.place,
                "an entry of `traces.headers` is no header, it takes a name and a string, such as `authorization: os.environ/NAME`",
            ),
        }
    }
    headers
}
