//! The sections that set one policy each: cookies, retries, keys, the process.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use super::super::address::host_name;
use super::super::finding::Notes;
use super::super::keys_file::KeysFile;
use super::super::reference::{Key, Refused};
use super::super::section::{NOT_YET, Section};
use super::super::settings::{Auth, Cookies, Retry, Server};
use super::super::yaml::Node;
use super::Sources;

/// The edge's own cookies. Any other name identifies a person and is never shared.
const SHAREABLE: [&str; 5] = ["cf_clearance", "__cf_bm", "_cfuvid", "__cfruid", "__cflb"];
const SHARED_BY_DEFAULT: usize = 4;
const DEFAULT_EGRESS: &str = "default";
const DAY: Duration = Duration::from_secs(24 * 3600);
const INSTANT: Duration = Duration::from_millis(1);

const COOKIES: &[Key] = &[
    (
        "share",
        "The names that are captured and sent back; no other ever is.",
    ),
    ("egress", "Names the way out that the cookies belong to."),
    (
        "file",
        "Where they are kept over restarts. Its folder has to be there.",
    ),
];

const RETRY: &[Key] = &[
    ("attempts", "On each way, the first one included."),
    (
        "initial_delay",
        "The most that the second attempt waits, by chance; twice that the third. What the edge asks for comes before.",
    ),
    (
        "max_delay",
        "The longest wait before an attempt; where the edge asks for more, there is none.",
    ),
    (
        "budget",
        "Repeats, as a share of a lane's requests; three at a time are always free.",
    ),
];

const AUTH: &[Key] = &[
    (
        "keys_file",
        "memgate's own keys, by their digests alone ([below](#the-keys-file)); read again when the file changes.",
    ),
    (
        "accept_master_key",
        "`false`: the master key opens what is for operators, and no model.",
    ),
    (
        "litellm",
        "Ask LiteLLM's `/key/info` about keys that are neither; its limits and budgets hold for them.",
    ),
    (
        "allow_anonymous",
        "Serve direct models to callers without a key, if Host is a loopback name or one of `hosts`.",
    ),
    (
        "hosts",
        "Further names for `allow_anonymous`, without a port.",
    ),
    (
        "failed_attempts_per_minute",
        "Keys that are none, by address; beyond that it is a 429, and LiteLLM is asked about four at a time. Good keys always pass.",
    ),
];
const SERVER: &[Key] = &[
    ("threads", "Threads that serve clients."),
    (
        "work_stealing",
        "`true`: an idle thread takes over what waits for a busy one, at about a quarter more CPU per request.",
    ),
    (
        "pid_file",
        "The process id is written there, and removed at the end.",
    ),
    (
        "control_socket",
        "Where `memgate ctl` speaks to it, mode 0660: whoever may write there may pause lanes, disable keys and stop the gateway.",
    ),
    (
        "upstream_keepalive_pool_size",
        "Idle connections upstream that are kept for the next request.",
    ),
];
const REFUSED: &[Refused] = &[
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

pub(super) fn cookies(node: Option<&Node>, base: &Path, notes: &mut Notes) -> Cookies {
    let mut section = Section::open("cookies", node, COOKIES, &[("redis", NOT_YET)], notes);
    section.takes("share", &format!("a list of {}", SHAREABLE.join(", ")));
    let by_default = SHAREABLE.get(..SHARED_BY_DEFAULT).unwrap_or_default();
    section.defaults_to("share", format_args!("[{}]", by_default.join(", ")));
    let share = match section.texts("share") {
        None => by_default.iter().map(|name| (*name).to_owned()).collect(),
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
    section.defaults_to("egress", DEFAULT_EGRESS);
    Cookies {
        share,
        egress: section.text("egress").unwrap_or(DEFAULT_EGRESS).to_owned(),
        file: section.file_to_write("file", base),
    }
}

pub(super) fn retry(node: Option<&Node>, notes: &mut Notes) -> Retry {
    let mut section = Section::open("retry", node, RETRY, &[], notes);
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
    let mut section = Section::open("auth", node, AUTH, &[], notes);
    let mut hosts = Vec::new();
    section.takes("hosts", "a list of host names");
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
    let mut section = Section::open("server", node, SERVER, REFUSED, notes);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    section.unset_is("threads", "the CPUs that are available");
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
