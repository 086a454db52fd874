//! `memgate key`: makes a key and its entry for the keys file, or tells the digest of one that there is.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::num::{NonZeroU32, NonZeroU64};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::fail;
use crate::auth::Fingerprint;
use crate::config::KeysFile;

const PREFIX: &str = "sk-mg-";
/// Longer than any header that carries it could be.
const LONGEST: u64 = 8 * 1024;
/// Below this a key can be guessed.
const SHORTEST: usize = 24;

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key: prints it, this once, and the entry for the file that `auth.keys_file` names.
    New(NewArgs),
    /// Read a key from standard input and print its digest for `sha256`.
    Hash,
}

#[derive(Args)]
pub(super) struct NewArgs {
    /// What the key is called in logs and metrics.
    name: String,
    /// The memory user it belongs to.
    #[arg(long)]
    user: Option<String>,
    /// A model it may use, such as `claude-*`; may be repeated. Default: every model.
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    models: Vec<String>,
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<NonZeroU32>,
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<NonZeroU64>,
    #[arg(long, value_name = "N")]
    concurrent_requests: Option<NonZeroU32>,
    #[arg(long, value_name = "DOLLARS")]
    usd_per_day: Option<f64>,
    /// From this day or moment on it is refused, such as 2027-01-31.
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Its clients may name another memory user.
    #[arg(long)]
    impersonate: bool,
    /// Many use it: header patterns choose the memory user.
    #[arg(long, conflicts_with = "user")]
    shared: bool,
}

pub(super) fn key(command: &KeyCommand) -> ExitCode {
    let said = match command {
        KeyCommand::New(args) => new(args),
        KeyCommand::Hash => hash(),
    };
    let written = said.and_then(|text| {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// The key alone on the first line, then the entry, read back before it is shown.
fn new(args: &NewArgs) -> io::Result<String> {
    let key = fresh()?;
    let entry = entry(args, &Fingerprint::of(&key));
    if let Err(faults) = KeysFile::parse(format!("keys:\n{entry}").as_bytes(), "key") {
        let told: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
        return Err(io::Error::other(told.join("; ")));
    }
    let mut help = io::stderr().lock();
    writeln!(
        help,
        "The key, which is shown this once and kept nowhere, and its entry in the list `keys`:"
    )?;
    Ok(format!("{key}\n\n{entry}"))
}

/// 256 bits of the system's randomness.
fn fresh() -> io::Result<String> {
    let mut random = [0; 32];
    let provider = rustls::crypto::ring::default_provider();
    provider
        .secure_random
        .fill(&mut random)
        .map_err(|_none| io::Error::other("the system has no randomness to give"))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

fn entry(args: &NewArgs, print: &Fingerprint) -> String {
    fn limit(name: &str, limit: Option<impl Display>) -> Option<String> {
        Some(format!("{name}: {}", limit?))
    }
    let limits = [
        limit("requests_per_minute", args.requests_per_minute),
        limit("tokens_per_minute", args.tokens_per_minute),
        limit("concurrent_requests", args.concurrent_requests),
        limit("usd_per_day", args.usd_per_day),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let limits = (!limits.is_empty()).then(|| format!("{{{}}}", limits.join(", ")));
    let models = (!args.models.is_empty()).then(|| json!(args.models).to_string());
    // What JSON puts in quotes, YAML reads as the same text.
    let text = |text: &String| Value::from(text.as_str()).to_string();
    let flag = |set: bool| set.then(|| "true".to_owned());
    let fields = [
        ("sha256", Some(format!("\"{print}\""))),
        ("user", args.user.as_ref().map(text)),
        ("models", models),
        ("limits", limits),
        ("expires", args.expires.as_ref().map(text)),
        ("impersonate", flag(args.impersonate)),
        ("shared", flag(args.shared)),
    ];
    let mut entry = format!("  - name: {}\n", text(&args.name));
    for (name, value) in fields {
        if let Some(value) = value {
            entry.push_str(&format!("    {name}: {value}\n"));
        }
    }
    entry
}

fn hash() -> io::Result<String> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        writeln!(io::stderr().lock(), "Type or paste the key, then Enter:")?;
    }
    let mut line = String::new();
    io::BufRead::read_line(&mut io::Read::take(stdin, LONGEST), &mut line)?;
    let key = line.trim_end_matches(['\r', '\n']);
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "standard input holds no key: one line without blanks";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    if key.len() < SHORTEST {
        writeln!(
            io::stderr().lock(),
            "memgate: such a short key can be guessed, better make one with `memgate key new`"
        )?;
    }
    Ok(format!("{}\n", Fingerprint::of(key)))
}
