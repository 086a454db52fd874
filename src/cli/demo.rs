//! `memgate demo`: gateway, simulated edge and simulated LiteLLM in one process, and what to try with them.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tempfile::TempDir;

use super::called::called;
use super::fail;
use crate::clock::SystemClock;
use crate::config::{Config, Env, Sources};
use crate::server::{Bound, Signals};
use crate::sim::cloudflare::CookieGate;
use crate::sim::{DirectHost, Edge, EdgeOptions, LiteLlm, LiteLlmOptions};

/// Models as LiteLLM's file would list them: one behind Supermemory, one that only LiteLLM serves.
const MODELS: &str = r#"model_list:
  - model_name: claude-sonnet-4.5
    litellm_params:
      model: anthropic/claude-sonnet-4-5-20250929
      api_base: https://api.supermemory.ai/v3/https://api.anthropic.com
      api_key: os.environ/DEMO_PROVIDER_KEY
      extra_headers: {x-supermemory-api-key: os.environ/DEMO_SUPERMEMORY_KEY}
  - model_name: gpt-demo
    litellm_params: {model: openai/gpt-demo}
user_id_mappings:
  custom_header: x-memory-user-id
  header_patterns:
    - {header: user-agent, pattern: "^claude-cli", user_id: demo-claude-code}
  default_user_id: demo
"#;

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Where the gateway serves; another port of loopback when this one is taken.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8764")]
    listen: SocketAddr,
    /// Where its admin port is; likewise.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8766")]
    admin: SocketAddr,
}

pub(super) fn demo(args: &DemoArgs) -> ExitCode {
    match start(args) {
        Ok(code) => code,
        Err(error) => fail(format_args!("the demo did not start: {error}")),
    }
}

fn start(args: &DemoArgs) -> io::Result<ExitCode> {
    // From here on it ends in order, and takes its files with it.
    let signals = Signals::all()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let gate = EdgeOptions {
        cookie_gate: Some(CookieGate::default()),
        direct: Some(DirectHost::default()),
        ..EdgeOptions::default()
    };
    let edge = runtime.block_on(Edge::start(gate))?;
    let models = vec!["claude-sonnet-4.5".to_owned(), "gpt-demo".to_owned()];
    let litellm = runtime.block_on(LiteLlm::start(LiteLlmOptions {
        models,
        ..LiteLlmOptions::default()
    }))?;
    let folder = tempfile::Builder::new().prefix("memgate-demo-").tempdir()?;
    let sources = write_files(&folder, &edge, &litellm, args)?;
    let loaded = match Config::load(&sources) {
        Ok(loaded) => loaded,
        Err(faults) => return Ok(fail(faults)),
    };
    let bound = match Bound::new(loaded.config, Arc::new(SystemClock)) {
        Ok(bound) => bound,
        Err(error) => return Ok(fail(error)),
    };
    if let Some(address) = bound.addresses().first() {
        introduce(*address, bound.admin(), &edge, &folder)?;
    }
    Ok(match bound.run(signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    })
}

/// The two files a real set-up has, in a folder that goes with the demo.
fn write_files(
    folder: &TempDir,
    edge: &Edge,
    litellm: &LiteLlm,
    args: &DemoArgs,
) -> io::Result<Sources> {
    edge.write_ca(folder.path().join("edge-ca.pem"))?;
    std::fs::write(folder.path().join("config.yaml"), MODELS)?;
    let own = json!({
        "listen": [free(args.listen)?],
        "admin": free(args.admin)?,
        "litellm": {"config": "config.yaml", "urls": [litellm.url()]},
        "direct": {
            "ca_file": "edge-ca.pem",
            "resolve": {"api.supermemory.ai:443": edge.addr(), "api.anthropic.com:443": edge.addr()},
        },
        "auth": {"litellm": false, "allow_anonymous": true},
    });
    let own = serde_yaml::to_string(&own).map_err(io::Error::other)?;
    let config = folder.path().join("memgate.yaml");
    std::fs::write(&config, own)?;
    let env = Env::from_pairs([
        ("DEMO_PROVIDER_KEY", "sk-ant-demo"),
        ("DEMO_SUPERMEMORY_KEY", "sm-demo"),
    ]);
    Ok(Sources {
        config: Some(config),
        ..Sources::new(env)
    })
}

/// The wanted address, or another port of it when somebody else has that one.
fn free(wanted: SocketAddr) -> io::Result<SocketAddr> {
    match TcpListener::bind(wanted) {
        Ok(_) => Ok(wanted),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind((wanted.ip(), 0))?.local_addr()
        }
        Err(error) => Err(error),
    }
}

fn introduce(
    gateway: SocketAddr,
    admin: Option<SocketAddr>,
    edge: &Edge,
    folder: &TempDir,
) -> io::Result<()> {
    let turn = r#"{"model":"claude-sonnet-4.5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}"#;
    let streamed = turn.replacen("\"max_tokens\"", "\"stream\":true,\"max_tokens\"", 1);
    let other = r#"{"model":"gpt-demo","messages":[{"role":"user","content":"Hello"}]}"#;
    let post = |path: &str, body: &str| {
        format!(
            "curl -sS -i http://{gateway}{path} -H 'content-type: application/json' -d '{body}'"
        )
    };
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "memgate demo: everything below is simulated, on this machine alone. Ctrl-C ends it.\n"
    )?;
    writeln!(out, "  gateway        http://{gateway}")?;
    if let Some(admin) = admin {
        writeln!(out, "  status page    http://{admin}/")?;
    }
    writeln!(
        out,
        "  edge           https://{}   (plays Cloudflare, Supermemory and Anthropic)",
        edge.addr()
    )?;
    writeln!(out, "  configuration  {}\n", folder.path().display())?;
    writeln!(
        out,
        "A model behind Supermemory, called directly. The first call meets Cloudflare's 503/1200, takes the"
    )?;
    writeln!(
        out,
        "cookies that come with it and tries again: x-memgate-attempts says 2, from then on 1.\n"
    )?;
    writeln!(out, "{}\n", post("/v1/messages", turn))?;
    writeln!(out, "The same as a stream:\n")?;
    let messages = post("/v1/messages", &streamed);
    writeln!(out, "{}\n", messages.replacen("curl -sS", "curl -sSN", 1))?;
    writeln!(
        out,
        "The same model in OpenAI's dialect, which is translated:\n"
    )?;
    writeln!(out, "{}\n", post("/v1/chat/completions", turn))?;
    writeln!(out, "A model that LiteLLM serves:\n")?;
    writeln!(out, "{}\n", post("/v1/chat/completions", other))?;
    writeln!(out, "Models, health, whose memory a request means:\n")?;
    writeln!(out, "curl -sS http://{gateway}/v1/models")?;
    writeln!(out, "curl -sS http://{gateway}/health")?;
    writeln!(
        out,
        "curl -sS http://{gateway}/memory-routing/info -H 'x-memory-user-id: alice'\n"
    )?;
    if let Some(admin) = admin {
        introduce_admin(&mut out, gateway, admin)?;
    }
    writeln!(out, "Claude Code, if it is installed:\n")?;
    writeln!(
        out,
        "ANTHROPIC_BASE_URL=http://{gateway} ANTHROPIC_AUTH_TOKEN=demo ANTHROPIC_MODEL=claude-sonnet-4.5 claude -p Hello\n"
    )?;
    out.flush()
}

fn introduce_admin(out: &mut impl Write, gateway: SocketAddr, admin: SocketAddr) -> io::Result<()> {
    writeln!(
        out,
        "What happened so far, how a request would go, and what is wrong, if anything is:\n"
    )?;
    writeln!(out, "curl -sS http://{admin}/metrics")?;
    writeln!(
        out,
        "curl -sS 'http://{admin}/explain?model=claude-sonnet-4.5'"
    )?;
    let memgate = called();
    writeln!(out, "{memgate} why --admin http://{admin}")?;
    writeln!(
        out,
        "{memgate} doctor --url http://{gateway} --model claude-sonnet-4.5\n"
    )
}
