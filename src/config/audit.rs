//! What is allowed but unwise: keys in plain text, weak keys, files that all can read, unset variables, names nobody
//! can reach.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::env::{self, Env};
use super::finding::{Notes, Place};
use super::keys_file::KeysFile;
use super::models::{DirectTarget, ModelGroup};
use super::secret::Secret;
use super::settings::{Bypass, Config};
use super::source::{self, FILE_PREFIX};
use super::yaml::{Node, Value};

/// Warns of secrets written into the files and of variables that are not set. The files that hold a secret.
pub(super) fn secrets(
    own: Option<(&Node, &Path)>,
    litellm: Option<&Node>,
    env: &Env,
    notes: &mut Notes,
) -> BTreeSet<PathBuf> {
    let mut holders = BTreeSet::new();
    if let Some((root, base)) = own {
        walk(
            root,
            "",
            &mut |key, node, text| match text.strip_prefix(FILE_PREFIX) {
                Some(name) if is_secret_name(key) => {
                    let path = base.join(name);
                    report_weak(key, node, source::line(&path).ok().as_deref(), notes);
                    holders.insert(path);
                }
                Some(_) => {}
                // The name of a listener's file.
                None if key == "key" => {}
                None => holders.extend(report_secret(key, node, text, env, notes)),
            },
        );
    }
    if let Some(root) = litellm {
        walk(root, "", &mut |key, node, text| {
            holders.extend(report_secret(key, node, text, env, notes));
        });
    }
    holders
}

/// The file in which a secret stands.
fn report_secret(
    key: &str,
    node: &Node,
    text: &str,
    env: &Env,
    notes: &mut Notes,
) -> Option<PathBuf> {
    if let Some(name) = env::reference(text) {
        let value = env.var(&name);
        if value.is_none() && !notes.is_faulty(&node.place) {
            notes.warn(
                &node.place,
                format!("the variable {name} is not set, LiteLLM takes that for an empty value"),
            );
        }
        report_weak(key, node, value.as_deref(), notes);
        return None;
    }
    if !is_secret_name(key) || text.is_empty() {
        return None;
    }
    let message = if is_weak(text) {
        weak_key(key)
    } else {
        format!("`{key}` stands here in plain text, use `os.environ/NAME`")
    };
    notes.warn(&node.place, message);
    Some(PathBuf::from(&*node.place.file))
}

/// Of keys that open doors of ours; how good others' keys are, others decide.
fn report_weak(key: &str, node: &Node, value: Option<&str>, notes: &mut Notes) {
    if matches!(key, "master_key" | "admin_key") && value.is_some_and(is_weak) {
        notes.warn(&node.place, weak_key(key));
    }
}

/// Warns of files with a secret that everybody can read: those that were named, and those that are ours.
pub(super) fn open_files(named: BTreeSet<PathBuf>, config: &Config, notes: &mut Notes) {
    let tls = config.listen.iter().filter_map(|one| one.tls.as_ref());
    let keys = tls.map(|files| files.key.clone());
    // Digests of keys that can be guessed are as good as the keys.
    let listed = config.auth.keys_file.iter().map(|file| file.path.clone());
    let ours = keys.chain(listed).chain(config.cookies.file.clone());
    for path in ours.chain(named).filter(|path| readable_by_all(path)) {
        notes.warn(
            &Place::top(&source::label(&path)),
            "every user of this machine can read this file and the credentials in it, `chmod 600` it",
        );
    }
}

/// Warns of a weak master key that no file names: it stands in the environment alone.
pub(super) fn master_key(key: Option<&Secret>, litellm: Option<&Node>, notes: &mut Notes) {
    let settings = litellm.and_then(|root| root.get("general_settings"));
    let in_file = settings.is_some_and(|settings| settings.get("master_key").is_some());
    if !in_file && key.is_some_and(|key| is_weak(key.reveal())) {
        notes.warn(
            &Place::top(&"LITELLM_MASTER_KEY".into()),
            weak_key("master_key"),
        );
    }
}

/// Warns of keys in the keys file that cannot do what they are said to do, and refuses the master key among them.
pub(super) fn keys(config: &Config, notes: &mut Notes) {
    let Some(file) = &config.auth.keys_file else {
        return;
    };
    let place = Place::top(&source::label(&file.path));
    if config.litellm.api_key.is_none() {
        notes.warn(&place, "LiteLLM does not know these keys, so they are good for direct models only; `litellm.api_key` would stand in for them");
    }
    if let Some(clash) = KeysFile::clash(&file.keys, config.auth.master_key.as_ref()) {
        notes.fault(&place, clash);
    }
    let impersonates = file.keys.iter().find(|key| key.impersonate);
    if let (Some(key), None) = (impersonates, &config.identity.custom_header) {
        notes.warn(&place, format!("`{}` may name another user and has no header to do it in, set `user_id_mappings.custom_header`", key.name));
    }
}

fn weak_key(key: &str) -> String {
    format!("`{key}` is easy to guess, make one with `openssl rand -hex 24`")
}

fn walk(node: &Node, key: &str, visit: &mut impl FnMut(&str, &Node, &str)) {
    match &node.value {
        Value::Str(text) => visit(key, node, text),
        Value::Seq(items) => items.iter().for_each(|item| walk(item, key, visit)),
        Value::Map(entries) => entries
            .iter()
            .for_each(|entry| walk(&entry.value, entry.key.as_str().unwrap_or_default(), visit)),
        _ => {}
    }
}

/// Names under which keys and passwords stand: `api_key`, `x-supermemory-api-key`, `redis_password`, …
pub(super) fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let ends = ["api_key", "apikey", "_key", "password", "secret", "_token"];
    matches!(
        key.as_str(),
        "authorization" | "database_url" | "key" | "token"
    ) || ends.iter().any(|end| key.ends_with(end)) && key != "user_api_key"
}

/// Short, or the one of the documentation's examples.
fn is_weak(key: &str) -> bool {
    const MIN_LENGTH: usize = 16;
    let distinct = key.chars().collect::<std::collections::HashSet<_>>().len();
    key.len() < MIN_LENGTH || distinct < MIN_LENGTH / 2
}

#[cfg(unix)]
fn readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|data| data.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn readable_by_all(_path: &Path) -> bool {
    false
}

/// Warns of a port for other machines that has no TLS of its own and knows of no balancer before it.
pub(super) fn balancers(config: &Config, place: &Place, notes: &mut Notes) {
    let open = config
        .listen
        .iter()
        .find(|listener| listener.tls.is_none() && !listener.address.ip().is_loopback());
    if let (Some(listener), true) = (open, config.trusted_proxies.is_empty()) {
        let address = listener.address;
        notes.warn(place, format!("{address} is open to other machines without TLS: name the balancer in front of it in `trusted_proxies`, or all of its clients count as one address; or set `tls`"));
    }
}

/// Warns of what contradicts itself without being wrong.
pub(super) fn consistency(config: &Config, root: &Node, notes: &mut Notes) {
    let direct: Vec<&ModelGroup> = config
        .models
        .groups
        .iter()
        .filter(|group| is_direct(group, false))
        .collect();
    let auth = &config.auth;
    if !direct.is_empty() && !auth.knows_keys() && !auth.allow_anonymous {
        notes.warn(&root.place, "nobody can prove who they are, so the direct models are off; set a master key, `auth.keys_file` or `auth.litellm: true`");
    }
    let identity = &config.identity;
    let nobody = identity.custom_header.is_none()
        && identity.header_patterns.is_empty()
        && identity.default_user_id.is_none();
    if let (true, Some(group)) = (nobody, direct.iter().find(|group| is_direct(group, true))) {
        let place = place_of(root, &group.name).unwrap_or(&root.place);
        notes.warn(place, format!("`{}` needs a memory user and none can be found, set `user_id_mappings.default_user_id`", group.name));
    }
    report_unpriced(config, root, notes);
    report_bypass(config, root, notes);
    report_shadowed(config, root, notes);
}

/// Warns of models without a price where a key's dollars are counted.
fn report_unpriced(config: &Config, root: &Node, notes: &mut Notes) {
    let mut keys = config.auth.keys_file.iter().flat_map(|file| &file.keys);
    let Some(key) = keys.find(|key| key.limits.usd_per_day.is_some()) else {
        return;
    };
    for group in &config.models.groups {
        let direct = group.deployments.iter().filter(|one| one.direct.is_some());
        let names = std::iter::once(&group.name).chain(direct.map(|one| &one.model));
        if config.prices.of(names.map(String::as_str)).is_none() {
            let place = place_of(root, &group.name).unwrap_or(&root.place);
            notes.warn(place, format!("`{}` has no price, so it counts as the dearest of the table, and no less than $15 and $75 for a million tokens of input and output, towards `usd_per_day` of the key `{}`; name it in `prices.models`", group.name, key.name));
        }
    }
}

/// Warns of models for which the bypass that is set leads nowhere, or back to the same host.
fn report_bypass(config: &Config, root: &Node, notes: &mut Notes) {
    for group in &config.models.groups {
        let targets = || {
            group
                .deployments
                .iter()
                .filter_map(|one| one.direct.as_ref())
        };
        let message = match config.direct.bypass {
            Bypass::Provider if targets().any(|target| target.bypass.is_none()) => {
                "is not behind `/v3/`, so there is no router to go past and its requests wait; `direct.bypass: litellm` would give them another way"
            }
            Bypass::LiteLlm if targets().next().is_some() => {
                "is called by LiteLLM at the same `api_base`, beside this gateway's limit; `direct.bypass: provider` goes past that host, or lead LiteLLM through `egress`"
            }
            _ => continue,
        };
        let place = place_of(root, &group.name).unwrap_or(&root.place);
        notes.warn(place, format!("`{}` {message}", group.name));
    }
}

fn is_direct(group: &ModelGroup, router: bool) -> bool {
    let fits = |target: &DirectTarget| !router || target.router;
    group
        .deployments
        .iter()
        .any(|deployment| deployment.direct.as_ref().is_some_and(fits))
}

fn place_of<'a>(root: &'a Node, model: &str) -> Option<&'a Place> {
    let named = |entry: &&Node| entry.get("model_name").and_then(Node::as_str) == Some(model);
    root.get("model_list")?
        .items()
        .iter()
        .find(named)?
        .get("model_name")
        .map(|node| &node.place)
}

/// LiteLLM tries wildcards from the longest to the shortest, so a short one can only be reached by what no
/// longer one takes.
fn report_shadowed(config: &Config, root: &Node, notes: &mut Notes) {
    let groups = &config.models.groups;
    let wildcards: Vec<&str> = groups
        .iter()
        .map(|group| group.name.as_str())
        .filter(|name| name.contains('*'))
        .collect();
    for name in &wildcards {
        let rival = wildcards
            .iter()
            .find(|rival| rival.len() > name.len() && takes_all(rival, name));
        if let (Some(rival), Some(place)) = (rival, place_of(root, name)) {
            notes.warn(place, format!("`{name}` is never reached, the longer `{rival}` takes all of its names; remove one of them"));
        }
    }
}

/// Whether a wildcard matches whatever another one does. Wildcards are anchored at their start only.
fn takes_all(wide: &str, narrow: &str) -> bool {
    // A character that no name holds stands for whatever the narrow one's `*` may be.
    let example = narrow.replace('*', "\u{f8ff}");
    let mut rest = example.as_str();
    for (index, part) in wide.split('*').enumerate() {
        match (index, rest.find(part)) {
            (0, Some(0)) => rest = rest.get(part.len()..).unwrap_or_default(),
            (0, _) | (_, None) => return false,
            (_, Some(at)) => rest = rest.get(at + part.len()..).unwrap_or_default(),
        }
    }
    true
}
