//! What does our own file, `memgate.yaml`, say? Every key of the contract is read here.

mod egress;
mod lanes;
mod life;
mod limits;
mod listen;
mod logs;
mod policies;
mod prices;
mod traces;
mod translation;
mod upstreams;
mod usage_log;

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::env::{self, Env};
use super::finding::Notes;
use super::logs::Log;
use super::prices::Prices;
use super::reference::Key;
use super::section::{NONE, NOT_YET, Section};
use super::settings::{Auth, Cookies, Direct, Drain, Limits, Reload, Retry, Server};
use super::source::{self, FILE_PREFIX};
use super::traces::Traces;
use super::translation::Translation;
use super::yaml::{Node, Value};
use super::{Secret, Sources, UsageLog};

use listen::Ports;
pub(super) use upstreams::OwnLiteLlm;

const SECTIONS: &[Key] = &[
    ("listen", "Where clients connect."),
    (
        "admin",
        "Health, metrics and the status page. Beyond loopback all but `/healthz`, `/readyz` and `/metrics` needs `admin_key`.",
    ),
    (
        "admin_key",
        "Opens the admin port, as a bearer token or as the password that a browser asks for.",
    ),
    ("litellm", "LiteLLM behind the gateway."),
    (
        "direct",
        "Models that the gateway calls itself, and how it treats the edge in front of them.",
    ),
    (
        "cookies",
        "The edge's own cookies, which all requests share.",
    ),
    (
        "retry",
        "What is sent again: only what certainly was not processed.",
    ),
    ("auth", "Whose keys open the gateway."),
    (
        "limits",
        "How much a client may send, how slowly, and over how many connections.",
    ),
    (
        "prices",
        "What tokens cost. `usd_per_day` of a key goes by it, and `usd` in the usage log.",
    ),
    (
        "usage_log",
        "What each finished request took, a line of JSON each.",
    ),
    (
        "trusted_proxies",
        "Balancers: their `X-Forwarded-For` and `X-Forwarded-Proto` are believed, and all of their clients do not count as one address.",
    ),
    ("server", "The process itself."),
    (
        "drain",
        "Stopping, by SIGTERM or `memgate ctl drain`: `/readyz` is 503 at once.",
    ),
    (
        "reload",
        "When the files are read again: on SIGHUP, or also when one of them changes. Everything is taken up at once, or nothing where anything is wrong.",
    ),
    (
        "translation",
        "Chat completions for Anthropic's models: how they become Messages, and back.",
    ),
    (
        "egress",
        "LiteLLM's own way out, with the cookies, limit, pause and bypass of the lanes. It asks for no key, so keep it on loopback. `{}` opens it as it is by default.",
    ),
    (
        "log",
        "What is written of finished requests: a line of JSON each, without keys, cookies' values or content.",
    ),
    (
        "traces",
        "Where spans go. Every request goes up in its W3C trace, with or without them.",
    ),
    ("memory", "For later versions; empty in this one."),
];

/// Our own half of a [`super::Config`].
pub(super) struct Own {
    pub ports: Ports,
    pub admin_key: Option<Secret>,
    pub litellm: OwnLiteLlm,
    pub direct: Direct,
    pub cookies: Cookies,
    pub retry: Retry,
    pub auth: Auth,
    pub limits: Limits,
    pub prices: Prices,
    pub trusted_proxies: Vec<IpNet>,
    pub server: Server,
    pub drain: Drain,
    pub reload: Reload,
    pub translation: Translation,
    pub usage_log: UsageLog,
    pub log: Log,
    pub traces: Traces,
}

/// Reads the file's tree, over which the flags of the command line win.
pub(super) fn read(root: Option<&Node>, base: &Path, sources: &Sources, notes: &mut Notes) -> Own {
    let mut top = Section::open("", root, SECTIONS, &[], notes);
    top.takes("memory", "an empty mapping");
    top.unset_is("memory", "`{}`");
    top.unset_is("egress", NONE);
    let is_empty = |node: &Node| matches!(&node.value, Value::Map(entries) if entries.is_empty());
    if top.get("memory").is_some_and(|node| !is_empty(node)) {
        top.fault("memory", NOT_YET);
    }
    let admin_key = top.secret("admin_key");
    let trusted_proxies = trusted_proxies(&mut top);
    let reload = life::reload(&mut top);
    let ports = listen::read(&mut top, base, sources);
    let section = |name: &str| root.and_then(|root| root.get(name));
    Own {
        ports,
        admin_key,
        litellm: upstreams::litellm(section("litellm"), base, sources, notes),
        direct: upstreams::direct(section("direct"), base, notes),
        cookies: policies::cookies(section("cookies"), base, notes),
        retry: policies::retry(section("retry"), notes),
        auth: policies::auth(section("auth"), base, notes),
        limits: limits::read(section("limits"), notes),
        prices: prices::read(section("prices"), notes),
        trusted_proxies,
        server: policies::server(section("server"), base, sources, notes),
        drain: life::drain(section("drain"), notes),
        reload,
        translation: translation::read(section("translation"), notes),
        usage_log: usage_log::read(section("usage_log"), base, notes),
        log: logs::read(section("log"), base, notes),
        traces: traces::read(section("traces"), notes),
    }
}

/// Puts what stands elsewhere in the place of every `os.environ/NAME` and `file:PATH`.
pub(super) fn substitute(node: &mut Node, base: &Path, env: &Env, notes: &mut Notes) {
    match &mut node.value {
        Value::Seq(items) => items
            .iter_mut()
            .for_each(|item| substitute(item, base, env, notes)),
        Value::Map(entries) => entries
            .iter_mut()
            .for_each(|entry| substitute(&mut entry.value, base, env, notes)),
        Value::Str(text) => {
            let Some(found) = elsewhere(text, base, env) else {
                return;
            };
            node.from_env = true;
            match found {
                Ok(value) => *text = value,
                Err(why) => {
                    notes.fault(&node.place, why);
                    node.value = Value::Null;
                }
            }
        }
        _ => {}
    }
}

fn elsewhere(text: &str, base: &Path, env: &Env) -> Option<Result<String, String>> {
    if let Some(name) = env::reference(text) {
        let unset = || format!("the variable {name} is not set, set it or write the value here");
        return Some(env.var(&name).ok_or_else(unset));
    }
    let name = text.strip_prefix(FILE_PREFIX)?;
    let found = source::line(&base.join(name));
    Some(found.map_err(|why| format!("cannot read {name}: {why}")))
}

fn trusted_proxies(top: &mut Section) -> Vec<IpNet> {
    top.takes("trusted_proxies", "addresses or CIDRs such as `10.0.0.0/8`");
    let texts = top.texts("trusted_proxies").unwrap_or_default();
    let mut nets = Vec::new();
    for word in texts {
        let address = || word.text.parse::<IpAddr>().map(IpNet::from).ok();
        match word.text.parse::<IpNet>().ok().or_else(address) {
            Some(net) => nets.push(net.trunc()),
            None => top.notes.fault(
                word.place,
                format!("`trusted_proxies` holds {word}, it takes addresses or CIDRs such as `10.0.0.0/8`"),
            ),
        }
    }
    nets
}
