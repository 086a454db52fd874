//! `memgate why`: what is wrong, in one paragraph, as the running gateway tells it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::client::{self, Ask};
use super::fail;
use crate::config::Secret;

const PATIENCE: Duration = Duration::from_secs(10);
/// The exit code while somebody is not served.
const FAILING: u8 = 1;

#[derive(Args)]
pub(super) struct WhyArgs {
    /// The admin port.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8766")]
    admin: String,
    /// The admin key, which a port beyond loopback asks for; better say it in MEMGATE_ADMIN_KEY.
    #[arg(
        long,
        value_name = "KEY",
        env = "MEMGATE_ADMIN_KEY",
        hide_env_values = true
    )]
    key: Option<String>,
    /// An authority to trust, for an admin port behind TLS of your own.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Everything that is known of it, as JSON.
    #[arg(long)]
    json: bool,
}

/// 0 while everybody is served, also where that costs something; else 1.
pub(super) fn why(args: WhyArgs) -> ExitCode {
    let ask = Ask {
        base: args.admin,
        key: args.key.map(Secret::new),
        ca_file: args.ca_file,
    };
    let told = client::run(async move {
        let asked = client::Client::new(&ask, PATIENCE)?;
        let answer = asked.get("/status").send().await;
        let answer = answer.map_err(|error| unreachable_at(&ask.base, &error))?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        match body.get("why") {
            Some(why) => Ok(why.clone()),
            None => Err(format!("{} answered {status}{}", ask.base, said(&body))),
        }
    });
    match told {
        Ok(why) => show(&why, args.json),
        Err(fault) => fail(fault),
    }
}

fn show(why: &Value, json: bool) -> ExitCode {
    let paragraph = why["paragraph"].as_str().unwrap_or_default();
    let mut out = io::stdout().lock();
    let written = if json {
        writeln!(out, "{why:#}")
    } else {
        writeln!(out, "{paragraph}")
    };
    match written {
        Err(error) => fail(error),
        Ok(()) if why["level"] == "failing" => ExitCode::from(FAILING),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn unreachable_at(base: &str, error: &reqwest::Error) -> String {
    format!(
        "nobody answers at {base} ({}): is the gateway running, and is this its `admin` address?",
        client::reason(error)
    )
}

/// What an error of ours says.
fn said(body: &Value) -> String {
    let message = body.pointer("/error/message").and_then(Value::as_str);
    message.map_or_else(String::new, |message| format!(": {message}"))
}
