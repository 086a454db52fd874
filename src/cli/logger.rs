//! What is written of what is logged, and how? `RUST_LOG` decides, within what may be written at all.

use std::io::{self, Write};

use env_logger::fmt::Formatter;
use env_logger::{Builder, Env};
use log::{Level, Record};

/// Libraries that read the wire, and quote it where it is wrong: keys, cookies, prompts.
const QUOTING: [&str; 9] = [
    "h2",
    "httparse",
    "hyper",
    "pingora_core::apps",
    "pingora_core::protocols",
    "pingora_http",
    "pingora_proxy",
    "rustls",
    "tungstenite",
];

/// Our own lines from `info` on and the libraries' warnings, unless `RUST_LOG` says otherwise.
pub(super) fn init() {
    let filter = Env::default().default_filter_or("warn,memgate=info");
    Builder::from_env(filter).format(write).init();
}

/// An access or audit line is JSON and nothing else, so that programs can read it.
fn write(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let (time, level, target) = (out.timestamp(), record.level(), record.target());
    if matches!(target, "memgate::access" | "memgate::audit") {
        return writeln!(out, "{}", record.args());
    }
    match allowance(target, level) {
        Allowance::Whole => writeln!(out, "[{time} {level} {target}] {}", record.args()),
        Allowance::Place => {
            let line = record.line().unwrap_or_default();
            writeln!(
                out,
                "[{time} {level} {target}] (line {line}; the text may quote a request and is left out)"
            )
        }
        Allowance::Nothing => Ok(()),
    }
}

/// How much of a line may be written.
#[derive(Debug, PartialEq, Eq)]
enum Allowance {
    Whole,
    /// Who says it and where, and not what.
    Place,
    Nothing,
}

/// Ours know what they say. The libraries' finer lines tell all that they see.
fn allowance(target: &str, level: Level) -> Allowance {
    let is_of = |library: &str| {
        let rest = target.strip_prefix(library);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if is_of("memgate") {
        Allowance::Whole
    } else if level > Level::Info {
        Allowance::Nothing
    } else if QUOTING.into_iter().any(is_of) {
        Allowance::Place
    } else {
        Allowance::Whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_quote_the_wire_is_never_written() {
        for target in [
            "pingora_proxy::proxy_h1",
            "h2::codec",
            "newcomer",
            "memgates",
        ] {
            for level in [Level::Debug, Level::Trace] {
                assert_eq!(allowance(target, level), Allowance::Nothing, "{target}");
            }
        }
        for target in [
            "pingora_proxy",
            "rustls::msgs::handshake",
            "pingora_core::protocols::http",
        ] {
            for level in [Level::Error, Level::Warn, Level::Info] {
                assert_eq!(allowance(target, level), Allowance::Place, "{target}");
            }
        }
        for target in [
            "pingora_core::services::listening",
            "h2o",
            "hickory_resolver",
        ] {
            assert_eq!(allowance(target, Level::Warn), Allowance::Whole, "{target}");
        }
        for target in ["memgate", "memgate::proxy"] {
            assert_eq!(
                allowance(target, Level::Trace),
                Allowance::Whole,
                "{target}"
            );
        }
    }
}
