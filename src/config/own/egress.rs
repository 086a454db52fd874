//! Which port does LiteLLM itself go out by, and to which hosts?

use std::net::SocketAddr;

use super::super::address::host_name;
use super::super::finding::{Notes, Place};
use super::super::reference::Key;
use super::super::section::Section;
use super::super::settings::Egress;
use super::super::yaml::Node;
use super::listen::socket;

const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8767);
const DEFAULT_ALLOWED: &str = "api.supermemory.ai";

const KEYS: &[Key] = &[
    (
        "listen",
        "Where LiteLLM finds it: `api_base: http://127.0.0.1:8767/v3/api.anthropic.com`.",
    ),
    (
        "allow",
        "The hosts that are reached through it. The first one is meant where a path names none; over the bypass also the providers that the model list names.",
    ),
];

/// The port with the place where it is said. A section that is there opens it.
pub(super) fn read(node: &Node, notes: &mut Notes) -> Option<(Place, Egress)> {
    let mut section = Section::open("egress", Some(node), KEYS, &[], notes);
    section.takes("listen", "an address such as `127.0.0.1:8767`");
    section.defaults_to("listen", SocketAddr::from(DEFAULT_LISTEN));
    section.takes("allow", "a list of host names");
    section.defaults_to("allow", format_args!("[{DEFAULT_ALLOWED}]"));
    let allow = allowed(&mut section);
    let (place, listen) = match section.word("listen") {
        Some(word) => (word.place, socket("egress.listen", word, section.notes)?),
        None => (&node.place, SocketAddr::from(DEFAULT_LISTEN)),
    };
    if !listen.ip().is_loopback() {
        section.notes.warn(
            place,
            "whoever reaches the egress port calls the allowed hosts with this gateway's cookies, and no key is asked for; keep it on 127.0.0.1 or let a firewall admit LiteLLM alone",
        );
    }
    let egress = Egress {
        listen,
        allow,
        // LiteLLM's file names them.
        providers: Vec::new(),
    };
    Some((place.clone(), egress))
}

fn allowed(section: &mut Section) -> Vec<String> {
    let Some(texts) = section.texts("allow") else {
        return vec![DEFAULT_ALLOWED.to_owned()];
    };
    if texts.is_empty() {
        section.fault(
            "allow",
            "is an empty list, it takes at least one host such as `api.supermemory.ai`",
        );
    }
    let mut hosts: Vec<String> = Vec::new();
    for word in texts {
        match host_name(word.text).filter(|host| host.contains('.')) {
            Some(host) if hosts.contains(&host) => section
                .notes
                .fault(word.place, format!("{word} is listed twice, keep one")),
            Some(host) => hosts.push(host),
            None => section.notes.fault(
                word.place,
                format!("`egress.allow` holds {word}, it takes host names without a port, such as `api.supermemory.ai`"),
            ),
        }
    }
    hosts
}
