//! `memgate doctor`: does what real clients send work through a running gateway, and what is to be pasted into each?

mod paste;
mod probes;
mod turns;

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::client::{self, Ask, Client};
use super::fail;
use crate::config::Secret;

/// A long answer may think for a while before its first word.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than any header that carries it could be.
const LONGEST_KEY: u64 = 8 * 1024;
const SICK: u8 = 1;

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// The gateway, as its clients reach it.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8764")]
    url: String,
    /// A client's key, or `-` to read it from standard input; better than here, where everybody on the machine can
    /// see it, say it in MEMGATE_KEY.
    #[arg(long, value_name = "KEY", env = "MEMGATE_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The model to ask; default: the first of the gateway's list that is Claude.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// An authority to trust, for a gateway with a certificate of your own.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// What a probe found.
pub(super) enum Found {
    Good(String),
    /// It came through, and somebody behind the gateway says no.
    Odd(String),
    Bad(String),
}

/// Whom the probes ask, and for which model.
pub(super) struct Patient {
    pub client: Client,
    pub model: String,
}

/// A probe's line in the table.
struct Line {
    name: &'static str,
    found: Found,
    took: Duration,
}

pub(super) fn doctor(args: DoctorArgs) -> ExitCode {
    let key = match key(args.key) {
        Ok(key) => key,
        Err(error) => return fail(error),
    };
    let ask = Ask {
        base: args.url.trim_end_matches('/').to_owned(),
        key,
        ca_file: args.ca_file,
    };
    match client::run(examine(ask, args.model)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(SICK),
        Err(fault) => fail(fault),
    }
}

fn key(given: Option<String>) -> io::Result<Option<Secret>> {
    if given.as_deref() != Some("-") {
        return Ok(given.map(Secret::new));
    }
    let mut key = String::new();
    io::stdin().take(LONGEST_KEY).read_to_string(&mut key)?;
    Ok(Some(Secret::new(key.trim())).filter(|_| !key.trim().is_empty()))
}

/// Makes every probe, one after the other, and shows each as it ends. Is everything well?
async fn examine(ask: Ask, model: Option<String>) -> Result<bool, String> {
    let client = Client::new(&ask, PATIENCE)?;
    let list = probes::models(&client).await;
    let names = list.as_ref().map_or(&[][..], |names| names);
    let (guessed, named) = (probes::choose(names), model.is_some());
    let patient = Patient {
        model: model.or(guessed).unwrap_or_default(),
        client,
    };
    let mut out = io::stdout().lock();
    let colored = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut lines = Vec::new();
    let probes = probes::ALL.iter().chain(turns::ALL);
    for (name, probe) in probes {
        let began = Instant::now();
        let found = if patient.model.is_empty() && !probes::needs_no_model(name) {
            Found::Bad("the list of models is empty: say one with --model".to_owned())
        } else {
            probe(&patient).await
        };
        let line = Line {
            name,
            found,
            took: began.elapsed(),
        };
        writeln!(out, "{}", line.text(colored)).map_err(|error| error.to_string())?;
        lines.push(line);
    }
    let bad = lines
        .iter()
        .filter(|line| matches!(line.found, Found::Bad(_)));
    let bad = bad.count();
    let model = (named || !patient.model.is_empty()).then_some(&*patient.model);
    let written = conclude(&mut out, lines.len(), bad).and_then(|()| {
        let key = ask.key.is_some();
        out.write_all(paste::lines(&ask.base, model, names, key).as_bytes())
    });
    written.map_err(|error| error.to_string())?;
    Ok(bad == 0)
}

fn conclude(out: &mut impl Write, all: usize, bad: usize) -> io::Result<()> {
    match bad {
        0 => writeln!(out, "\nAll {all} probes came through."),
        bad => writeln!(
            out,
            "\n{bad} of {all} probes failed. `memgate why` may know the reason; the gateway's log has each request."
        ),
    }
}

impl Line {
    fn text(&self, colored: bool) -> String {
        let (sign, color, said) = match &self.found {
            Found::Good(said) => ("✔", 32, said),
            Found::Odd(said) => ("!", 33, said),
            Found::Bad(said) => ("✘", 31, said),
        };
        let sign = if colored {
            format!("\x1b[{color}m{sign}\x1b[0m")
        } else {
            sign.to_owned()
        };
        let took = self.took.as_millis();
        format!("{sign} {:<34} {took:>6} ms  {said}", self.name)
    }
}
