//! From the files, flags and variables to one checked configuration, or to all that is wrong with them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::finding::{Faults, Finding, Notes, Place};
use super::litellm::{self, LiteLlmFile, Skipped};
use super::models::Models;
use super::own::{self, Own};
use super::settings::{Auth, BaseUrl, Config, Egress, Origin};
use super::yaml::Node;
use super::{Env, audit, source};

/// Where a configuration comes from. Flags win over the file.
#[derive(Clone)]
pub struct Sources {
    pub config: Option<PathBuf>,
    pub litellm_config: Option<PathBuf>,
    pub litellm_urls: Vec<String>,
    pub listen: Vec<String>,
    pub admin: Option<String>,
    pub control_socket: Option<PathBuf>,
    pub env: Env,
}

impl Sources {
    pub fn new(env: Env) -> Self {
        Self {
            config: None,
            litellm_config: None,
            litellm_urls: Vec::new(),
            listen: Vec::new(),
            admin: None,
            control_socket: None,
            env,
        }
    }
}

/// A usable configuration and what the operator should know about it.
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Finding>,
    /// Every file that was read: ours, LiteLLM's and what that includes.
    pub files: Vec<PathBuf>,
    /// Per direct model, LiteLLM's features that its requests do without.
    pub skipped: Vec<Skipped>,
}

impl Loaded {
    /// Nothing usable is left where somebody who knows more than the files do found a fault.
    pub fn without_faults(self, faults: Vec<Finding>) -> Result<Self, Faults> {
        let mut notes = Notes::default();
        notes.extend_faults(faults);
        notes.extend_warnings(self.warnings);
        let warnings = notes.into_warnings()?;
        Ok(Self { warnings, ..self })
    }
}

impl Config {
    /// Reads everything; there is no configuration where anything is wrong.
    pub fn load(sources: &Sources) -> Result<Loaded, Faults> {
        let mut notes = Notes::default();
        let as_written = sources
            .config
            .as_deref()
            .and_then(|path| own_tree(path, &mut notes));
        let base = sources
            .config
            .as_deref()
            .map_or(Path::new(""), source::directory);
        let mut resolved = as_written.clone();
        if let Some(root) = &mut resolved {
            own::substitute(root, base, &sources.env, &mut notes);
        }
        let own = own::read(resolved.as_ref(), base, sources, &mut notes);
        let file = match &own.litellm.config {
            Some(named) => litellm::read(named, &own.direct.domains, &sources.env, &mut notes),
            None => LiteLlmFile::without(&sources.env),
        };
        let holders = audit::secrets(
            as_written.as_ref().map(|root| (root, base)),
            file.root.as_ref(),
            &sources.env,
            &mut notes,
        );
        audit::master_key(file.master_key.as_ref(), file.root.as_ref(), &mut notes);
        let skipped = file.skipped.clone();
        let keys = own.auth.keys_file.as_ref().map(|file| &file.path);
        let files = sources.config.iter().chain(keys).chain(&file.files);
        let files = files.cloned().collect();
        let config = assemble(own, file, &mut notes);
        let listen = as_written.as_ref().and_then(|root| root.get("listen"));
        let flags = Place::top(&"--listen".into());
        let place = listen
            .filter(|_| sources.listen.is_empty())
            .map_or(&flags, |node| &node.place);
        audit::balancers(&config, place, &mut notes);
        audit::open_files(holders, &config, &mut notes);
        let warnings = notes.into_warnings()?;
        Ok(Loaded {
            config,
            warnings,
            files,
            skipped,
        })
    }
}

fn own_tree(path: &Path, notes: &mut Notes) -> Option<Node> {
    let said_at = Place::top(&source::label(path));
    let document = source::read(path, &said_at, notes)?;
    notes.extend_faults(document.duplicates);
    Some(document.root)
}

fn assemble(own: Own, file: LiteLlmFile, notes: &mut Notes) -> Config {
    let auth = Auth {
        master_key: file.master_key,
        ..own.auth
    };
    if let (Some(place), false) = (&own.litellm.api_key_place, auth.knows_keys()) {
        notes.fault(
            place,
            "`litellm.api_key` replaces the client's key, so memgate must verify that first: set a master key, `auth.keys_file` or `auth.litellm: true`",
        );
    }
    if let (Some(place), true) = (&own.litellm.api_key_place, auth.allow_anonymous) {
        notes.fault(
            place,
            "`litellm.api_key` would serve callers without a key: remove it, or `auth.allow_anonymous`",
        );
    }
    let mut egress = own.ports.egress;
    if let Some(egress) = &mut egress {
        egress.providers = providers(egress, &file.models, &file.called);
    }
    let config = Config {
        listen: own.ports.listen,
        admin: own.ports.admin,
        egress,
        admin_key: own.admin_key,
        litellm: own.litellm.settings,
        direct: own.direct,
        cookies: own.cookies,
        retry: own.retry,
        auth,
        limits: own.limits,
        prices: own.prices,
        trusted_proxies: own.trusted_proxies,
        server: own.server,
        drain: own.drain,
        reload: own.reload,
        translation: own.translation,
        usage_log: own.usage_log,
        log: own.log,
        traces: own.traces,
        models: file.models,
        identity: file.identity,
    };
    audit::keys(&config, notes);
    if let Some(root) = &file.root {
        audit::consistency(&config, root, notes);
    }
    config
}

/// The providers that the egress port may be led to by the model list.
fn providers(egress: &Egress, models: &Models, called: &[BaseUrl]) -> Vec<Origin> {
    let deployments = models.groups.iter().flat_map(|group| &group.deployments);
    let direct = deployments.filter_map(|one| one.direct.as_ref()?.bypass.as_ref());
    let here = direct.map(|bypass| bypass.base.origin.clone());
    let by_litellm = called.iter().filter_map(|base| egress.provider_of(base));
    let all: BTreeSet<Origin> = here.chain(by_litellm).collect();
    all.into_iter().collect()
}

impl LiteLlmFile {
    /// No file: LiteLLM judges every model, and its master key may stand in the environment.
    fn without(env: &Env) -> Self {
        let key = env
            .var("LITELLM_MASTER_KEY")
            .filter(|key| !key.trim().is_empty());
        Self {
            master_key: key.map(super::Secret::new),
            models: Models::default(),
            ..Self::default()
        }
    }
}
