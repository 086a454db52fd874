//! `memgate ctl`: lays a hand on a running gateway, by its control socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{BAD_CONFIG, fail};
use crate::config::duration;
use crate::server::{Order, Said, What};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(super) struct CtlArgs {
    /// The socket that `server.control_socket` names.
    #[arg(long, value_name = "FILE", default_value = "/run/memgate/control.sock")]
    socket: PathBuf,
    /// Takes itself back after this time, such as `30m`.
    #[arg(long = "for", value_name = "TIME", value_parser = time, global = true)]
    time: Option<Duration>,
    #[command(subcommand)]
    order: OrderCommand,
}

#[derive(Subcommand)]
enum OrderCommand {
    /// Requests of models behind the memory router go past it: always, never, or as configured.
    Bypass { set: Set },
    /// The memory router's memory: `off` sends all requests past it, without memory.
    Memory { set: Switch },
    /// Let nothing more go by a lane; named whole, or by a part that no other has.
    Pause { lane: String },
    /// End a lane's pause.
    Resume { lane: String },
    /// Let no more than so many go by a lane at a time; `auto`: as configured.
    Limit {
        lane: String,
        #[arg(value_parser = most)]
        most: Most,
    },
    /// Refuse a key by its name, or take it again.
    Key { set: Ability, name: String },
    /// What is set by hand, and how each lane stands.
    Show,
    /// Stop as SIGTERM does.
    Drain,
    /// Read the configuration again as SIGHUP does, and tell what is wrong with it.
    Reload,
}

#[derive(Clone, Copy, ValueEnum)]
enum Set {
    On,
    Off,
    Auto,
}

#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
enum Ability {
    Disable,
    Enable,
}

#[derive(Clone, Copy)]
struct Most(Option<usize>);

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "it takes a time such as `30m`".to_owned())
}

fn most(text: &str) -> Result<Most, String> {
    if text == "auto" {
        return Ok(Most(None));
    }
    let number = text.parse().map(|number| Most(Some(number)));
    number.map_err(|_none| "it takes a number, or `auto`".to_owned())
}

pub(super) fn ctl(args: CtlArgs) -> ExitCode {
    let millis = args.time.map(|time| time.as_millis());
    let order = Order {
        what: what(args.order),
        for_millis: millis.map(|millis| u64::try_from(millis).unwrap_or(u64::MAX)),
    };
    let passes = matches!(
        order.what,
        What::Show | What::Drain | What::Reload | What::Resume(_)
    );
    if passes && order.for_millis.is_some() {
        return fail("--for is for what can be taken back");
    }
    let said = ask(&args.socket, &order).and_then(|said| {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", said.text)?;
        Ok(said.done)
    });
    match said {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BAD_CONFIG),
        Err(error) => fail(format_args!("{}: {error}", args.socket.display())),
    }
}

fn what(order: OrderCommand) -> What {
    match order {
        OrderCommand::Bypass { set } => What::Bypass(match set {
            Set::On => Some(true),
            Set::Off => Some(false),
            Set::Auto => None,
        }),
        OrderCommand::Memory { set } => What::Memory(matches!(set, Switch::On)),
        OrderCommand::Pause { lane } => What::Pause(lane),
        OrderCommand::Resume { lane } => What::Resume(lane),
        OrderCommand::Limit { lane, most } => What::Limit { lane, most: most.0 },
        OrderCommand::Key { set, name } => What::Key {
            name,
            enabled: matches!(set, Ability::Enable),
        },
        OrderCommand::Show => What::Show,
        OrderCommand::Drain => What::Drain,
        OrderCommand::Reload => What::Reload,
    }
}

fn ask(socket: &PathBuf, order: &Order) -> io::Result<Said> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}
