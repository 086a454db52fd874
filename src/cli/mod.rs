//! The command line: `run`, `check`, `ctl`, `key`, `upgrade`, `why`, `doctor`, `demo`, `sim`, `completions`, `man`.

mod called;
pub mod check;
mod client;
mod ctl;
mod demo;
mod doctor;
mod key;
mod logger;
mod manual;
mod resolve;
mod run;
mod upgrade;
mod why;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{self, Env, Sources};
use crate::sim;
use crate::telemetry::tell_panics;

const BAD_CONFIG: u8 = 1;

/// Edge gateway in front of Supermemory's memory router and LiteLLM.
#[derive(Parser)]
#[command(name = "memgate", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve in the foreground.
    Run(run::RunArgs),
    /// Validate the configuration: exit 0, or 1 with a line per fault.
    Check(CheckArgs),
    /// Lay a hand on a running gateway: bypass, memory, lanes, keys, drain.
    Ctl(ctl::CtlArgs),
    /// Make a key for the keys file, or tell the digest of one.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// What is wrong with the running gateway, since when, for whom, and what to do: one paragraph.
    Why(why::WhyArgs),
    /// Send what real clients send through a running gateway; tells what to paste into each.
    Doctor(doctor::DoctorArgs),
    /// Let another instance take the running one's place, with systemd: nobody is refused.
    Upgrade(upgrade::UpgradeArgs),
    /// Gateway, simulated edge and simulated LiteLLM in one process: no key, no network.
    Demo(demo::DemoArgs),
    /// The edge simulator alone, for tests and load tests.
    Sim(Box<sim::SimArgs>),
    /// Print what a shell needs to complete memgate's commands and options.
    Completions { shell: Shell },
    /// Print the manual page; `memgate man | man -l -` shows it.
    Man,
}

/// Where the configuration comes from; flags override the file.
#[derive(Args, Default)]
struct SourceArgs {
    /// memgate's own file; every setting in it has a default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// LiteLLM's config.yaml, in place of `litellm.config`.
    #[arg(long, value_name = "FILE")]
    litellm_config: Option<PathBuf>,
    /// A LiteLLM replica, in place of `litellm.urls`; may be repeated.
    #[arg(long, value_name = "URL")]
    litellm_url: Vec<String>,
    /// An address to serve on, in place of `listen`; may be repeated.
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// The admin port's address, in place of `admin`.
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Where `memgate ctl` speaks to it, in place of `server.control_socket`.
    #[arg(long, value_name = "FILE")]
    control_socket: Option<PathBuf>,
}

impl SourceArgs {
    fn sources(self) -> Sources {
        Sources {
            config: self.config,
            litellm_config: self.litellm_config,
            litellm_urls: self.litellm_url,
            listen: self.listen,
            admin: self.admin,
            control_socket: self.control_socket,
            env: Env::process(),
        }
    }
}

/// Runs the command line; the exit code is 0, 1 (bad configuration or failed check) or 2 (usage).
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logger::init();
    tell_panics();
    match cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check(args),
        Command::Ctl(args) => ctl::ctl(args),
        Command::Key(command) => key::key(&command),
        Command::Why(args) => why::why(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Upgrade(args) => upgrade::upgrade(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Sim(args) => simulate(*args),
        Command::Completions { shell } => print(&manual::completions(shell, &mut Cli::command())),
        Command::Man => match manual::page(Cli::command()) {
            Ok(page) => print(&page),
            Err(error) => fail(error),
        },
    }
}

#[derive(Args)]
struct CheckArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Show how this model name resolves and where it would go.
    #[arg(long, value_name = "MODEL")]
    resolve: Option<String>,
    /// Print what each key of the configuration takes, is by default and does, in Markdown.
    #[arg(long, exclusive = true)]
    reference: bool,
}

fn check(args: CheckArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    if args.reference {
        return match out.write_all(config::reference().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error),
        };
    }
    let checked = check::report(&args.sources.sources(), &mut out).and_then(|loaded| {
        if let (Some(loaded), Some(model)) = (&loaded, &args.resolve) {
            resolve::describe(&loaded.config, model, &mut out)?;
        }
        Ok(loaded.is_some())
    });
    match checked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BAD_CONFIG),
        Err(error) => fail(error),
    }
}

fn simulate(args: sim::SimArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    match runtime.block_on(sim::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("the simulator stopped: {error}")),
    }
}

fn print(text: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// Says why nothing came of it, whatever `RUST_LOG` leaves of the log.
fn fail(message: impl std::fmt::Display) -> ExitCode {
    eprintln!("memgate: {message}");
    ExitCode::from(BAD_CONFIG)
}
