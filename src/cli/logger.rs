//! What is written of what is logged, and how? `RUST_LOG` decides, within what may be written at all.

use std::io::{self, Write};

use env_logger::fmt::Formatter;
use env_logger::{Builder, Env};
use log::{Level, Record};

/// Libraries that quote the wire in their finer lines: keys, cookies, prompts.
const TALKATIVE: [&str; 4] = ["pingora", "h2", "hyper", "rustls"];

/// Our own lines from `info` on and the libraries' warnings, unless `RUST_LOG` says otherwise.
pub(super) fn init() {
    let filter = Env::default().default_filter_or("warn,memgate=info");
    Builder::from_env(filter).format(write).init();
}

/// An access or audit line is JSON and nothing else, so that programs can read it.
fn write(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let (time, level, target) = (out.timestamp(), record.level(), record.target());
    match target {
        "memgate::access" | "memgate::audit" => writeln!(out, "{}", record.args()),
        _ if quotes_the_wire(target, level) => Ok(()),
        _ => writeln!(out, "[{time} {level} {target}] {}", record.args()),
    }
}

fn quotes_the_wire(target: &str, level: Level) -> bool {
    level > Level::Info && TALKATIVE.iter().any(|library| target.starts_with(library))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_quote_the_wire_are_never_written() {
        for target in [
            "pingora_proxy::proxy_h1",
            "pingora_core::protocols",
            "h2::codec",
        ] {
            assert!(quotes_the_wire(target, Level::Debug), "{target}");
            assert!(quotes_the_wire(target, Level::Trace), "{target}");
            assert!(!quotes_the_wire(target, Level::Warn), "{target}");
        }
        assert!(!quotes_the_wire("memgate::proxy", Level::Trace));
    }
}
