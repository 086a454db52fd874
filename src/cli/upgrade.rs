//! `memgate upgrade`: starts the other one of two instances, and stops the first when that one serves. Both take their
//! connections from one socket unit, so that nobody is refused meanwhile.

use std::io;
use std::process::{Command, ExitCode};

use clap::Args;

use super::fail;

const INSTANCES: [&str; 2] = ["a", "b"];

#[derive(Args)]
pub(super) struct UpgradeArgs {
    /// The template unit: of its instances `a` and `b` one serves.
    #[arg(long, value_name = "NAME", default_value = "memgate")]
    unit: String,
    /// Units of the user's own service manager.
    #[arg(long)]
    user: bool,
}

pub(super) fn upgrade(args: &UpgradeArgs) -> ExitCode {
    match args.change_over() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

impl UpgradeArgs {
    /// The old one goes on serving unless the new one says that it is ready, for which the start waits.
    fn change_over(&self) -> io::Result<()> {
        let (old, new) = self.roles()?;
        eprintln!("memgate: starting {new}");
        if !self.systemctl(&["start", &new])? {
            // Or it would be started again and again.
            self.systemctl(&["stop", &new])?;
            return Err(match old {
                Some(old) => io::Error::other(format!(
                    "{new} did not become ready, {old} goes on serving; `journalctl -u {new}` says why"
                )),
                None => io::Error::other(format!(
                    "{new} did not become ready; `journalctl -u {new}` says why"
                )),
            });
        }
        let Some(old) = old else {
            return Ok(());
        };
        eprintln!("memgate: {new} serves; {old} ends what it has in flight");
        if self.systemctl(&["stop", &old])? {
            return Ok(());
        }
        Err(io::Error::other(format!("{old} did not stop as it should")))
    }

    /// Who serves, if anybody does, and who shall.
    fn roles(&self) -> io::Result<(Option<String>, String)> {
        let [a, b] = INSTANCES.map(|instance| format!("{}@{instance}.service", self.unit));
        let active = |unit: &str| self.systemctl(&["--quiet", "is-active", unit]);
        Ok(match (active(&a)?, active(&b)?) {
            (false, false) => (None, a),
            (true, false) => (Some(a), b),
            (false, true) => (Some(b), a),
            (true, true) => {
                let both = format!("{a} and {b} both run: stop one of them first");
                return Err(io::Error::other(both));
            }
        })
    }

    /// Whether it was done.
    fn systemctl(&self, order: &[&str]) -> io::Result<bool> {
        let mut command = Command::new("systemctl");
        if self.user {
            command.arg("--user");
        }
        let status = command.args(order).status();
        let status = status.map_err(|error| io::Error::other(format!("systemctl: {error}")))?;
        Ok(status.success())
    }
}
