//! `user_id_mappings`: whose memory does a request mean?

use http::HeaderName;
use regex::Regex;

use super::values::Values;
use super::{Identity, Node};
use crate::config::models::HeaderPattern;
use crate::config::unknown::report_unknown;
use crate::config::yaml::Value;

pub(super) fn read(node: Option<&Node>, values: &mut Values) -> Identity {
    let Some(node) = node.filter(|node| !node.is_null()) else {
        return Identity::default();
    };
    if !matches!(node.value, Value::Map(_)) {
        values.notes.fault(
            &node.place,
            format!("`user_id_mappings` is {}, it takes a mapping", node.kind()),
        );
        return Identity::default();
    }
    report_unknown(
        "user_id_mappings",
        node,
        &["custom_header", "header_patterns", "default_user_id"],
        &[],
        values.notes,
    );
    let custom_header = node
        .present("custom_header")
        .and_then(|node| header(node, "custom_header", values));
    let patterns = node.present("header_patterns");
    if let Some(node) = patterns.filter(|node| !matches!(node.value, Value::Seq(_))) {
        values.notes.fault(
            &node.place,
            format!(
                "`header_patterns` is {}, it takes a list of {{header, pattern, user_id}}",
                node.kind()
            ),
        );
    }
    let patterns = patterns.map(Node::items).unwrap_or_default();
    let header_patterns: Vec<HeaderPattern> = patterns
        .iter()
        .filter_map(|node| pattern(node, values))
        .collect();
    report_unreachable(patterns, values);
    let default_user_id = node
        .present("default_user_id")
        .and_then(|node| user(node, "default_user_id", values));
    Identity {
        custom_header,
        header_patterns,
        default_user_id,
    }
}

fn pattern(node: &Node, values: &mut Values) -> Option<HeaderPattern> {
    let known = ["header", "pattern", "user_id"];
    report_unknown("header_patterns", node, &known, &[], values.notes);
    for key in known {
        if node.present(key).is_none() {
            values.notes.fault(
                &node.place,
                format!("a header pattern without `{key}`, add it"),
            );
        }
    }
    let name = node
        .present("header")
        .and_then(|node| header(node, "header", values));
    let user_id = node
        .present("user_id")
        .and_then(|node| user(node, "user_id", values));
    let regex_node = node.present("pattern")?;
    let regex = values.text(regex_node, "pattern")?;
    let pattern = Regex::new(&regex).map_err(|error| {
        values.notes.fault(
            &regex_node.place,
            format!(
                "`pattern` is no regular expression ({}), correct it",
                short(&error)
            ),
        );
    });
    Some(HeaderPattern {
        header: name?,
        pattern: pattern.ok()?,
        user_id: user_id?,
    })
}

/// The last line of the error, which says what is wrong; those before it draw a picture.
fn short(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

fn header(node: &Node, what: &str, values: &mut Values) -> Option<HeaderName> {
    let text = values.text(node, what)?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        values.notes.fault(
            &node.place,
            format!("`{what}` is no header name, it takes one such as `x-app-user`"),
        );
    }
    name
}

/// A user id goes into a header.
fn user(node: &Node, what: &str, values: &mut Values) -> Option<String> {
    let text = values.text(node, what)?;
    if text.trim() == text && text.chars().all(|c| !c.is_control() && c.is_ascii()) {
        return Some(text);
    }
    values.notes.fault(
        &node.place,
        format!(
            "`{what}` goes into a header, it takes ASCII characters without blanks around them"
        ),
    );
    None
}

/// A pattern is never reached behind an equal one, or behind one that matches everything, on its header.
fn report_unreachable(patterns: &[Node], values: &mut Values) {
    let texts = |node: &Node| {
        let header = node.get("header")?.as_str()?.to_ascii_lowercase();
        Some((header, node.get("pattern")?.as_str()?.to_owned()))
    };
    let mut before: Vec<(String, String)> = Vec::new();
    for node in patterns {
        let Some((header, pattern)) = texts(node) else {
            continue;
        };
        let matches_all =
            |pattern: &str| matches!(pattern, ".*" | "^.*" | "^.*$" | ".*$" | "^" | "$" | "(.*)");
        if before
            .iter()
            .any(|(h, p)| *h == header && (*p == pattern || matches_all(p)))
        {
            values.notes.warn(&node.place, "this pattern is never reached, one before it matches the same; move it up or remove it");
        }
        before.push((header, pattern));
    }
}
