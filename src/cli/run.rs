//! `memgate run`: serves until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{SourceArgs, check, fail};
use crate::clock::SystemClock;
use crate::config::Loaded;
use crate::server::{Bound, Signals};

#[derive(Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    sources: SourceArgs,
}

pub(super) fn run(args: RunArgs) -> ExitCode {
    let signals = match Signals::harmless() {
        Ok(signals) => signals,
        Err(error) => return fail(format_args!("no signal handlers: {error}")),
    };
    forbid_core_dumps();
    let sources = args.sources.sources();
    let Loaded {
        config,
        warnings,
        files,
        ..
    } = match check::usable(&sources) {
        Ok(loaded) => loaded,
        Err(faults) => return fail(format_args!("not started:\n{faults}")),
    };
    for warning in &warnings {
        log::warn!(target: "memgate::config", "{warning}");
    }
    let bound = match Bound::new(config, Arc::new(SystemClock)) {
        Ok(bound) => bound.reading_again(files, Arc::new(move || check::usable(&sources))),
        Err(error) => return fail(format_args!("not started: {error}")),
    };
    for address in bound.addresses() {
        log::info!(target: "memgate::server", "serving on {address}");
    }
    if let Some(admin) = bound.admin() {
        log::info!(target: "memgate::server", "admin port on {admin}");
    }
    if let Some(egress) = bound.egress() {
        log::info!(target: "memgate::server", "egress port on {egress}");
    }
    match bound.run(signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// A dump of the memory would hold every key. At 1 the kernel writes no file, as that is less than a page, and hands no
/// dump to a program that takes them either, which it does at every other limit, 0 included. The process stays
/// readable: otherwise its owner could not measure it.
fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(1),
        maximum: Some(1),
    };
    // A service manager that has seen to it may forbid the call.
    if getrlimit(Resource::Core) != none
        && let Err(error) = setrlimit(Resource::Core, none)
    {
        log::warn!(target: "memgate::server", "a crash may dump the memory: {error}");
    }
}
