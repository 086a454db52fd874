//! Which servers stand behind the gateway, as our own file names them?

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::super::address::{host_name, split_port};
use super::super::finding::{Notes, Place};
use super::super::reference::Key;
use super::super::section::Section;
use super::super::settings::{BaseUrl, Direct, Expose, LiteLlm, Origin};
use super::super::word::Word;
use super::super::yaml::Node;
use super::{Sources, lanes};

const DEFAULT_DOMAIN: &str = "supermemory.ai";

/// The `litellm` section; its file is read by `litellm`.
pub(in crate::config) struct OwnLiteLlm {
    /// LiteLLM's own file, and where that was said.
    pub config: Option<(Place, PathBuf)>,
    pub settings: LiteLlm,
    pub api_key_place: Option<Place>,
}

const LITELLM: &[Key] = &[
    (
        "config",
        "LiteLLM's own file: models, aliases, `user_id_mappings`, master key. `--litellm-config` wins over it.",
    ),
    (
        "urls",
        "One or more replicas. `--litellm-url` wins over them.",
    ),
    (
        "api_key",
        "Replaces the client's credential towards LiteLLM; without it the client's own passes.",
    ),
    (
        "expose",
        "`inference`: only LiteLLM's inference and discovery paths; `all`: its UI and admin API too.",
    ),
];

pub(super) fn litellm(
    node: Option<&Node>,
    base: &Path,
    sources: &Sources,
    notes: &mut Notes,
) -> OwnLiteLlm {
    let mut section = Section::open("litellm", node, LITELLM, &[], notes);
    let named = section.file("config", base).zip(section.place("config"));
    let flag = |path: &PathBuf| (Place::top(&"--litellm-config".into()), path.clone());
    let config = sources
        .litellm_config
        .as_ref()
        .map(flag)
        .or_else(|| named.map(|(path, place)| (place.clone(), path)));
    let settings = LiteLlm {
        urls: urls(&mut section, sources),
        api_key: section.secret("api_key"),
        expose: section.choice(
            "expose",
            Expose::Inference,
            &[("inference", Expose::Inference), ("all", Expose::All)],
        ),
    };
    OwnLiteLlm {
        config,
        settings,
        api_key_place: section.place("api_key").cloned(),
    }
}

fn urls(section: &mut Section, sources: &Sources) -> Vec<BaseUrl> {
    let usual = BaseUrl {
        origin: Origin {
            tls: false,
            host: "127.0.0.1".to_owned(),
            port: 4000,
        },
        path: String::new(),
    };
    section.takes("urls", "a list of URLs");
    section.defaults_to("urls", format_args!("[\"{usual}\"]"));
    let flag = Place::top(&"--litellm-url".into());
    let from_flags: Vec<Word> = sources
        .litellm_urls
        .iter()
        .map(|url| Word::said(&flag, url))
        .collect();
    let texts = if from_flags.is_empty() {
        section.texts("urls")
    } else {
        Some(from_flags)
    };
    let Some(texts) = texts else {
        return vec![usual];
    };
    if texts.is_empty() {
        section.fault(
            "urls",
            "is an empty list, it takes at least one URL such as `http://127.0.0.1:4000`",
        );
    }
    let mut urls: Vec<BaseUrl> = Vec::new();
    for word in texts {
        match BaseUrl::parse(word.text) {
            Ok(url) if urls.contains(&url) => section
                .notes
                .fault(word.place, format!("{word} is listed twice, keep one")),
            Ok(url) => urls.push(url),
            // Not the text: it may hold a password.
            Err(problem) => section
                .notes
                .fault(word.place, format!("a URL of LiteLLM {problem}")),
        }
    }
    urls
}

const DIRECT: &[Key] = &[
    (
        "domains",
        "A model whose `api_base` is at or below one of these is called by memgate itself.",
    ),
    (
        "resolve",
        "Like curl's `--resolve`: where these hosts are; SNI and Host stay.",
    ),
    (
        "ca_file",
        "Authorities that are trusted beside the platform's own, in PEM.",
    ),
    (
        "bypass",
        "Where a request goes while its lane is paused, down or full. `provider`: to the `api_base` without its `/v3/` prefix, with the model's own key and without memory; `litellm`; `none`: it waits.",
    ),
    (
        "bypass_sticky",
        "So long a session stays on the bypass, for its prompt cache; `0s`: not at all.",
    ),
    (
        "max_concurrency",
        "Safety stop of each lane's limit, which is not felt before the first loss.",
    ),
    ("queue", "The line in front of a lane."),
    ("circuit", "When a lane that keeps failing is down."),
];

pub(super) fn direct(node: Option<&Node>, base: &Path, notes: &mut Notes) -> Direct {
    let mut section = Section::open("direct", node, DIRECT, &[], notes);
    section.takes("resolve", "a mapping of HOST:PORT to ADDRESS:PORT");
    section.unset_is("resolve", "`{}`");
    let ca_file = section.file("ca_file", base);
    if let Some(file) = &ca_file {
        check_ca(&mut section, file);
    }
    let (bypass, bypass_sticky) = lanes::bypass(&mut section);
    let nested = |key: &str| node.and_then(|node| node.present(key));
    Direct {
        domains: domains(&mut section),
        ca_file,
        bypass,
        bypass_sticky,
        max_concurrency: lanes::max_concurrency(&mut section),
        resolve: resolve(nested("resolve"), notes),
        queue: lanes::queue(nested("queue"), notes),
        circuit: lanes::circuit(nested("circuit"), notes),
    }
}

fn domains(section: &mut Section) -> Vec<String> {
    section.takes("domains", "a list of host names");
    section.defaults_to("domains", format_args!("[{DEFAULT_DOMAIN}]"));
    let Some(texts) = section.texts("domains") else {
        return vec![DEFAULT_DOMAIN.to_owned()];
    };
    let mut domains = Vec::new();
    for word in texts {
        match host_name(word.text) {
            Some(domain) => domains.push(domain),
            None => section.notes.fault(
                word.place,
                format!(
                    "`direct.domains` holds {word}, it takes host names such as `supermemory.ai`"
                ),
            ),
        }
    }
    domains
}

fn check_ca(section: &mut Section, file: &Path) {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match chain {
        Ok(chain) if chain.is_empty() => section.fault(
            "ca_file",
            "names a file without a certificate, it takes a PEM file",
        ),
        Ok(_) => {}
        Err(error) => section.fault(
            "ca_file",
            format!("names a file that cannot be used ({error}), it takes a PEM file"),
        ),
    }
}

fn resolve(node: Option<&Node>, notes: &mut Notes) -> BTreeMap<(String, u16), SocketAddr> {
    let mut pins = BTreeMap::new();
    let Some(node) = node else { return pins };
    if node.entries().is_empty() && !matches!(&node.value, super::Value::Map(_)) {
        notes.fault(
            &node.place,
            format!(
                "`direct.resolve` is {}, it takes a mapping of HOST:PORT to ADDRESS:PORT",
                node.kind()
            ),
        );
    }
    for entry in node.entries() {
        let host = entry.key.as_str().and_then(split_port);
        let address = entry.value.as_str().and_then(|text| text.parse().ok());
        match (host, address) {
            (Some((host, Some(port))), Some(address)) => {
                pins.insert((host, port), address);
            }
            (Some((_, Some(_))), None) => notes.fault(
                &entry.value.place,
                "`direct.resolve` needs an IP address and a port here, such as `127.0.0.1:9443`",
            ),
            _ => notes.fault(
                &entry.key.place,
                "`direct.resolve` needs a host and a port here, such as `api.supermemory.ai:443`",
            ),
        }
    }
    pins
}
