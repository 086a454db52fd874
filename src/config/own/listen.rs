//! Where does the gateway listen?

use std::net::SocketAddr;
use std::path::Path;

use super::super::address::collide;
use super::super::finding::{Notes, Place};
use super::super::reference::Key;
use super::super::section::{NONE, NOT_YET, REQUIRED, Section};
use super::super::settings::{Egress, Listener, TlsFiles};
use super::super::tls::{self, TlsFault};
use super::super::word::Word;
use super::super::yaml::{Node, Value};
use super::{Sources, egress};

const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8764);
const DEFAULT_ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 8766);

const LISTENER: &[Key] = &[
    (
        "address",
        "An address and a port; `0.0.0.0` is all of IPv4, `[::]` all of both.",
    ),
    (
        "tls",
        "TLS 1.2 and 1.3 on this port, with HTTP/2 where the client offers it.",
    ),
    (
        "h2c",
        "HTTP/2 without TLS, by prior knowledge; not beside `tls`.",
    ),
    (
        "proxy_protocol",
        "For later versions; `true` is refused in this one.",
    ),
];
const TLS: &[Key] = &[
    (
        "cert",
        "The certificate and those that lead to its authority, in PEM; taken up again when it changes.",
    ),
    (
        "key",
        "The private key of the first certificate in `cert`, in PEM.",
    ),
];

/// Every address the gateway listens on.
pub(in crate::config) struct Ports {
    pub listen: Vec<Listener>,
    pub admin: Option<SocketAddr>,
    pub egress: Option<Egress>,
}

/// Flags win over the file.
pub(super) fn read(top: &mut Section, base: &Path, sources: &Sources) -> Ports {
    top.takes(
        "listen",
        "a list of addresses such as `127.0.0.1:8764`, or of mappings ([`listen`](#listen))",
    );
    top.defaults_to(
        "listen",
        format_args!("[\"{}\"]", SocketAddr::from(DEFAULT_LISTEN)),
    );
    top.takes("admin", "an address such as `127.0.0.1:8766`, or `off`");
    top.defaults_to("admin", SocketAddr::from(DEFAULT_ADMIN));
    let listeners = if sources.listen.is_empty() {
        from_file(top, base)
    } else {
        let place = Place::top(&"--listen".into());
        let plain = |text: &String| {
            let address = socket("listen", Word::said(&place, text), top.notes)?;
            Some((place.clone(), listener(address)))
        };
        sources.listen.iter().filter_map(plain).collect()
    };
    let admin = admin(top, sources);
    let egress = top
        .get("egress")
        .and_then(|node| egress::read(node, top.notes));
    let data = listeners
        .iter()
        .map(|(place, listener)| (place, listener.address));
    let admin_port = admin.iter().map(|(place, address)| (place, *address));
    let egress_port = egress.iter().map(|(place, egress)| (place, egress.listen));
    report_collisions(data.chain(admin_port).chain(egress_port), top.notes);
    Ports {
        listen: listeners
            .into_iter()
            .map(|(_, listener)| listener)
            .collect(),
        admin: admin.map(|(_, address)| address),
        egress: egress.map(|(_, egress)| egress),
    }
}

fn from_file(top: &mut Section, base: &Path) -> Vec<(Place, Listener)> {
    let Some(node) = top.get("listen") else {
        let place = Place::top(&"the default listen address".into());
        return vec![(place, listener(DEFAULT_LISTEN.into()))];
    };
    let nodes = match &node.value {
        Value::Seq(items) if items.is_empty() => {
            top.fault("listen", "is an empty list, it takes at least one address");
            return Vec::new();
        }
        Value::Seq(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    nodes
        .iter()
        .filter_map(|node| {
            let listener = match (&node.value, Word::of(node)) {
                (_, Some(word)) => socket("listen", word, top.notes).map(listener),
                (Value::Map(_), _) => mapped_listener(node, base, top.notes),
                _ => {
                    top.notes.fault(
                        &node.place,
                        format!(
                            "`listen` holds {}, it takes addresses such as `127.0.0.1:8764`",
                            node.kind()
                        ),
                    );
                    None
                }
            };
            listener.map(|listener| (node.place.clone(), listener))
        })
        .collect()
}

fn listener(address: SocketAddr) -> Listener {
    Listener {
        address,
        tls: None,
        h2c: false,
    }
}

fn mapped_listener(node: &Node, base: &Path, notes: &mut Notes) -> Option<Listener> {
    let mut section = Section::open("listen", Some(node), LISTENER, &[], notes);
    if section.flag("proxy_protocol", false) {
        section.fault("proxy_protocol", NOT_YET);
    }
    let h2c = section.flag("h2c", false);
    section.takes("address", "an address such as `127.0.0.1:8764`");
    section.unset_is("address", REQUIRED);
    let address = section.word("address");
    section.unset_is("tls", NONE);
    let (tls_node, address_node) = (section.get("tls"), section.get("address"));
    let tls = tls_node.and_then(|tls| tls_files(tls, base, notes));
    if h2c && tls_node.is_some() {
        notes.fault(
            &node.place,
            "`listen.h2c` is HTTP/2 without TLS, remove it where `tls` is set",
        );
    }
    match (address, address_node) {
        (Some(word), _) => {
            let address = socket("listen.address", word, notes)?;
            Some(Listener { address, tls, h2c })
        }
        (None, None) => {
            notes.fault(
                &node.place,
                "a listener without `address`, add one such as `127.0.0.1:8764`",
            );
            None
        }
        _ => None,
    }
}

fn tls_files(node: &Node, base: &Path, notes: &mut Notes) -> Option<TlsFiles> {
    let mut section = Section::open("listen.tls", Some(node), TLS, &[], notes);
    for needed in ["cert", "key"] {
        section.unset_is(needed, REQUIRED);
        if section.get(needed).is_none() {
            section.notes.fault(
                &node.place,
                format!("`listen.tls` without `{needed}`, name a PEM file"),
            );
        }
    }
    let (cert, key) = (section.file("cert", base), section.file("key", base));
    let files = TlsFiles {
        cert: cert?,
        key: key?,
    };
    let faults = match (files.chain(), files.private_key()) {
        (Ok(chain), Ok(key)) => tls::joined(chain, &key).err().into_iter().collect(),
        (chain, key) => chain.err().into_iter().chain(key.err()).collect::<Vec<_>>(),
    };
    for fault in faults {
        match fault {
            TlsFault::Cert(why) => section.fault(
                "cert",
                format!("names a file that cannot be used ({why}), it takes a PEM chain"),
            ),
            TlsFault::Key(why) => section.fault(
                "key",
                format!("names a file that cannot be used ({why}), it takes a PEM private key"),
            ),
            TlsFault::Strangers | TlsFault::Untimely => section.fault(
                "key",
                "is not the key of the first certificate in `cert`, name a pair",
            ),
        }
    }
    Some(files)
}

pub(super) fn socket(what: &str, word: Word<'_>, notes: &mut Notes) -> Option<SocketAddr> {
    let address = word.text.parse().ok();
    if address.is_none() {
        notes.fault(
            word.place,
            format!(
                "`{what}` is {word}, it takes an IP address and a port such as `127.0.0.1:8764`"
            ),
        );
    }
    address
}

fn admin(top: &mut Section, sources: &Sources) -> Option<(Place, SocketAddr)> {
    let flag = Place::top(&"--admin".into());
    let word = match (&sources.admin, top.get("admin")) {
        (Some(text), _) => Word::said(&flag, text),
        (None, None) => {
            let place = Place::top(&"the default admin address".into());
            return Some((place, DEFAULT_ADMIN.into()));
        }
        (None, Some(node)) => match (&node.value, Word::of(node)) {
            (Value::Bool(false), _) => return None,
            (_, Some(word)) => word,
            _ => {
                top.fault(
                    "admin",
                    format!(
                        "is {}, it takes an address such as `127.0.0.1:8766` or `off`",
                        node.kind()
                    ),
                );
                return None;
            }
        },
    };
    socket("admin", word, top.notes).map(|address| (word.place.clone(), address))
}

fn report_collisions<'a>(ports: impl Iterator<Item = (&'a Place, SocketAddr)>, notes: &mut Notes) {
    let mut taken: Vec<SocketAddr> = Vec::new();
    for (place, address) in ports {
        if let Some(other) = taken.iter().find(|other| collide(**other, address)) {
            notes.fault(
                place,
                format!(
                    "{address} is taken by {other} of the same configuration, use another port"
                ),
            );
        }
        taken.push(address);
    }
}
