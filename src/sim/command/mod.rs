//! `memgate sim`: the simulators as a program, for load tests and for clients that are not Rust.

mod gates;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use self::gates::GateArgs;
use super::anthropic::Provider;
use super::edge::{Edge, EdgeOptions};
use super::h2::H2Limits;
use super::litellm::{LiteLlm, LiteLlmOptions};
use super::record::Retention;
use super::supermemory::Memory;
use super::tls::Alpn;
use super::turn::Shape;

/// Serve the edge simulator: Cloudflare, Supermemory and Anthropic over TLS on loopback.
#[derive(Clone, Debug, clap::Args)]
pub struct SimArgs {
    /// Where the TLS edge listens
    #[arg(long, default_value = "127.0.0.1:9443")]
    pub listen: SocketAddr,
    /// Where to write the certificate of the CA that signed the edge's
    #[arg(long, value_name = "FILE")]
    pub ca_out: Option<PathBuf>,
    /// A name in the edge's certificate (repeatable; replaces the usual ones)
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// Protocols offered by ALPN
    #[arg(long, value_enum, default_value = "both")]
    pub alpn: Alpn,
    #[command(flatten)]
    pub gates: GateArgs,
    /// What to answer first: JSON as POST /__script takes it
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// A model the provider knows (repeatable; default: every claude…)
    #[arg(long = "model", value_name = "NAME")]
    pub models: Vec<String>,
    /// A key the provider takes (repeatable; default: any)
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// Text deltas in every stream
    #[arg(long, value_name = "N")]
    pub deltas: Option<usize>,
    /// Pause between the events of a stream
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub event_delay: u64,
    /// Wait before what the model says
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub first_byte: u64,
    /// Spread the events of a stream over this time, from its head to its end
    #[arg(long, value_name = "MILLISECONDS")]
    pub stream_ms: Option<u64>,
    /// Streams at once that a connection allows
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub h2_streams: u32,
    /// Send a graceful GOAWAY after so many streams of a connection
    #[arg(long, value_name = "N")]
    pub goaway_after: Option<u32>,
    /// Refuse what Anthropic refuses, also where there is an answer: unknown fields, calls without results, …
    #[arg(long)]
    pub strict: bool,
    /// Fail open: what x-supermemory-error says on every answer
    #[arg(long, value_name = "TEXT")]
    pub memory_error: Option<String>,
    /// Say x-supermemory-context-modified: false on every answer
    #[arg(long)]
    pub memory_unchanged: bool,
    /// Also serve LiteLLM's stand-in here, over plain HTTP
    #[arg(long, value_name = "ADDR")]
    pub litellm: Option<SocketAddr>,
    /// A model LiteLLM's stand-in lists (repeatable)
    #[arg(long = "litellm-model", value_name = "NAME")]
    pub litellm_models: Vec<String>,
    /// Its master key; without one it takes any key
    #[arg(long, value_name = "KEY")]
    pub litellm_master_key: Option<String>,
    /// A plain-HTTP port for /__stats, /__timeline, /__script, /__gates and their like
    #[arg(long, value_name = "ADDR")]
    pub control: Option<SocketAddr>,
    /// Requests remembered for /__stats
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub remember: usize,
    /// Neither digest nor keep bodies: for load tests
    #[arg(long)]
    pub no_digests: bool,
    /// Count bodies that are processed twice all the same
    #[arg(long)]
    pub duplicates: bool,
}

/// How long a request of LiteLLM's stand-in may take that is under way when the process is told to end.
const LEAVING: Duration = Duration::from_secs(30);

/// Serves until the process is interrupted or told to end.
pub async fn run(args: SimArgs) -> io::Result<()> {
    let edge = Edge::start(args.edge()).await?;
    if let Some(path) = &args.ca_out {
        edge.write_ca(path)?;
    }
    if let Some(path) = &args.script {
        edge.script_json(&std::fs::read(path)?)?;
    }
    let litellm = match args.litellm() {
        Some(options) => Some(LiteLlm::start(options).await?),
        None => None,
    };
    announce(&args, &edge, litellm.as_ref())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {
            if let Some(litellm) = &litellm {
                litellm.leave(LEAVING).await;
            }
        }
    }
    Ok(())
}

fn announce(args: &SimArgs, edge: &Edge, litellm: Option<&LiteLlm>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "edge     https://{}", edge.addr())?;
    if let Some(path) = &args.ca_out {
        writeln!(out, "ca       {}", path.display())?;
    }
    if let Some(addr) = edge.control_addr() {
        writeln!(out, "control  http://{addr}/__stats")?;
    }
    if let Some(litellm) = litellm {
        writeln!(out, "litellm  {}", litellm.url())?;
    }
    out.flush()
}

impl SimArgs {
    fn edge(&self) -> EdgeOptions {
        let usual = EdgeOptions::default();
        EdgeOptions {
            listen: self.listen,
            control: self.control,
            names: if self.names.is_empty() {
                usual.names.clone()
            } else {
                self.names.clone()
            },
            alpn: self.alpn,
            h2: H2Limits {
                concurrent_streams: self.h2_streams,
                goaway_after: self.goaway_after,
                ..H2Limits::default()
            },
            cookie_gate: self.gates.cookies(),
            rate: self.gates.rate(),
            capacity: self.gates.capacity(),
            provider: Provider {
                keys: self.keys.clone(),
                models: self.models.clone(),
                shape: self.shape(),
                tokens: self.gates.tokens(),
                strict: self.strict,
            },
            memory: Memory {
                error: self.memory_error.clone(),
                unchanged: self.memory_unchanged,
            },
            event_delay: Duration::from_millis(self.event_delay),
            first_byte: Duration::from_millis(self.first_byte),
            stream_time: self.stream_ms.map(Duration::from_millis),
            retention: self.retention(),
            direct: self.gates.direct(),
            ca: None,
        }
    }

    fn litellm(&self) -> Option<LiteLlmOptions> {
        let usual = LiteLlmOptions::default();
        let models = if self.litellm_models.is_empty() {
            usual.models.clone()
        } else {
            self.litellm_models.clone()
        };
        Some(LiteLlmOptions {
            listen: self.litellm?,
            models,
            master_key: self.litellm_master_key.clone(),
            shape: self.shape(),
            event_delay: Duration::from_millis(self.event_delay),
            retention: self.retention(),
            ..usual
        })
    }

    fn shape(&self) -> Shape {
        Shape {
            deltas: self.deltas,
        }
    }

    fn retention(&self) -> Retention {
        let usual = Retention::default();
        Retention {
            requests: self.remember,
            body: if self.no_digests { 0 } else { usual.body },
            digests: !self.no_digests,
            duplicates: self.duplicates || !self.no_digests,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        sim: SimArgs,
    }

    fn edge(options: &str) -> Result<EdgeOptions, clap::Error> {
        let words = std::iter::once("sim").chain(options.split_whitespace());
        Program::try_parse_from(words).map(|program| program.sim.edge())
    }

    #[test]
    fn the_gates_that_were_asked_for_are_set_up() {
        let storm = "--direct --capacity 50@0,12@20 --direct-capacity 9 --retry-after 2 \
                     --refusal-form markdown --refusal-encoding br --refusal-zone z --rate 5 \
                     --cookie-gate --cookie-lifetime 3 --cookie-promise 60 --tokens 2/8 \
                     --overloaded --first-byte 20 --stream-ms 1000 --no-digests --duplicates";

        let edge = edge(storm).unwrap();

        let capacity = edge.capacity.unwrap().capacity;
        assert_eq!(capacity.at(Duration::from_secs(20)), Some(12));
        let direct = edge.direct.unwrap().gates;
        let capacity = direct.capacity.unwrap().capacity;
        assert_eq!(capacity.at(Duration::ZERO), Some(9));
        let cookies = direct.cookies.unwrap();
        assert_eq!(cookies.lifetime, Duration::from_secs(3));
        assert_eq!(cookies.promised, Some(Duration::from_secs(60)));
        assert_eq!(edge.rate.unwrap().requests, 5);
        assert_eq!(edge.stream_time, Some(Duration::from_secs(1)));
        assert!(edge.retention.duplicates && !edge.retention.digests);
    }

    #[test]
    fn an_edge_without_options_lets_everybody_pass() {
        let edge = edge("").unwrap();

        assert!(edge.cookie_gate.is_none() && edge.rate.is_none() && edge.direct.is_none());
        let capacity = edge.capacity.unwrap().capacity;
        assert_eq!(capacity.at(Duration::from_secs(3600)), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for options in [
            "--capacity many",
            "--direct-capacity 5",
            "--tokens 0",
            "--refusal-form verse",
        ] {
            assert!(edge(options).is_err(), "{options}");
        }
    }
}
