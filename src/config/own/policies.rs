//! The sections that set one policy each: cookies, retries, keys, the process.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use super::super::address::host_name;
use super::super::finding::Notes;
use super::super::keys_file::KeysFile;
use super::super::section::{NOT_YET, Section};
use super::super::settings::{Auth, Cookies, Retry, Server};
use super::super::yaml::Node;
use super::Sources;

/// The edge's own cookies. Any other name identifies a person and is never shared.
const SHAREABLE: [&str; 5] = ["cf_clearance", "__cf_bm", "_cfuvid", "__cfruid", "__cflb"];
const SHARED_BY_DEFAULT: usize = 4;
const DAY: Duration = Duration::from_secs(24 * 3600);
const INSTANT: Duration = Duration::from_millis(1);

pub(super) fn cookies(node: Option<&Node>, base: &Path, notes: &mut Notes) -> Cookies {
    let mut section = Section::open(
        "cookies",
        node,
        &["share", "egress", "file"],
        &[("redis", NOT_YET)],
        notes,
    );
    let share = match section.texts("share") {
        None => SHAREABLE
            .iter()
            .take(SHARED_BY_DEFAULT)
            .map(|name| (*name).to_owned())
            .collect(),
        Some(names) => {
            let (fit, unfit): (Vec<_>, Vec<_>) = names
                .into_iter()
                .partition(|name| SHAREABLE.contains(&name.text));
            for name in unfit {
                section.notes.fault(
                    name.place,
                    format!("the cookie {name} may belong to one person and is never shared, use only {}", SHAREABLE.join(", ")),
                );
            }
            fit.into_iter().map(|name| name.text.to_owned()).collect()
        }
    };
    Cookies {
        share,
        egress: section.text("egress").unwrap_or("default").to_owned(),
        file: section.file_to_write("file", base),
    }
}

pub(super) fn retry(node: Option<&Node>, notes: &mut Notes) -> Retry {
    let mut section = Section::open(
        "retry",
        node,
        &["attempts", "initial_delay", "max_delay", "budget"],
        &[],
        notes,
    );
    let retry = Retry {
        attempts: u32::try_from(section.count("attempts", 3, 1..=20)).unwrap_or(1),
        initial_delay: section.duration("initial_delay", Duration::from_secs(1), INSTANT..=DAY),
        max_delay: section.duration("max_delay", Duration::from_secs(60), INSTANT..=DAY),
        budget: section.share("budget", 20, 0..=100),
    };
    if retry.initial_delay > retry.max_delay {
        let key = if section.get("max_delay").is_some() {
            "max_delay"
        } else {
            "initial_delay"
        };
        section.fault(key, "makes the longest delay shorter than the first, raise `max_delay` or lower `initial_delay`");
    }
    retry
}

/// Without the master key, which stands in LiteLLM's file.
pub(super) fn auth(node: Option<&Node>, base: &Path, notes: &mut Notes) -> Auth {
    let known = [
        "keys_file",
        "accept_master_key",
        "litellm",
        "allow_anonymous",
        "hosts",
        "failed_attempts_per_minute",
    ];
    let mut section = Section::open("auth", node, &known, &[], notes);
    let mut hosts = Vec::new();
    for word in section.texts("hosts").unwrap_or_default() {
        match host_name(word.text) {
            Some(host) => hosts.push(host),
            None => section.notes.fault(
                word.place,
                format!("`auth.hosts` holds {word}, it takes host names without a port"),
            ),
        }
    }
    let failures = section.count("failed_attempts_per_minute", 60, 1..=1_000_000);
    let failures = u32::try_from(failures).ok().and_then(NonZeroU32::new);
    Auth {
        master_key: None,
        accept_master_key: section.flag("accept_master_key", true),
        keys_file: keys_file(&mut section, base),
        litellm: section.flag("litellm", true),
        allow_anonymous: section.flag("allow_anonymous", false),
        hosts,
        failed_attempts_per_minute: failures.unwrap_or(NonZeroU32::MIN),
    }
}

fn keys_file(section: &mut Section, base: &Path) -> Option<KeysFile> {
    let path = section.file("keys_file", base)?;
    let said_at = section.place("keys_file")?;
    Some(KeysFile::open(path, said_at, section.notes))
}

pub(super) fn server(
    node: Option<&Node>,
    base: &Path,
    sources: &Sources,
    notes: &mut Notes,
) -> Server {
    const REFUSED: [(&str, &str); 5] = [
        ("upgrade_sock", NOT_YET),
        (
            "daemon",
            "is refused, a service manager keeps the process; remove it",
        ),
        (
            "error_log",
            "is refused, logs go to standard error; remove it",
        ),
        (
            "upstream_debug_ssl_keylog",
            "is refused, it would write all TLS keys to a file; remove it",
        ),
        (
            "max_retries",
            "is refused, `retry.attempts` says how often; remove it",
        ),
    ];
    let known = [
        "threads",
        "work_stealing",
        "pid_file",
        "control_socket",
        "upstream_keepalive_pool_size",
    ];
    let mut section = Section::open("server", node, &known, &REFUSED, notes);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    Server {
        threads: section.count("threads", cpus, 1..=1024),
        work_stealing: section.flag("work_stealing", false),
        pid_file: section.file_to_write("pid_file", base),
        control_socket: sources
            .control_socket
            .clone()
            .or(section.file("control_socket", base)),
        upstream_keepalive_pool_size: section.count(
            "upstream_keepalive_pool_size",
            128,
            1..=1_000_000,
        ),
    }
}
