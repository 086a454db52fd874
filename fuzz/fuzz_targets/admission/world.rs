//! A gateway without sockets: a request goes in as bytes, and comes out as what its upstream would get or its client is told.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use memgate::clock::SystemClock;
use memgate::config::{Config, Env, Sources};
use memgate::gateway::{Gateway, Snapshot};
use memgate::proxy::{Proxy, refuse_head};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};

pub const MASTER: &str = "sk-master-7f0c5d1e9a";
/// A key that may not name another memory than its own.
pub const ANNAS: &str = "sk-mg-annas-own-key";
pub const PROVIDER_KEY: &str = "sk-ant-of-the-provider";
pub const ROUTER: &str = "api.supermemory.ai";
pub const PROVIDER: &str = "api.anthropic.com";
pub const MAPPED_USERS: [&str; 2] = ["pycharm", "team"];
const OWN: &str = "
listen: ['127.0.0.1:0']
admin: null
auth: {litellm: false, keys_file: keys.yaml}
litellm: {urls: ['http://127.0.0.1:9']}
limits: {body: 64KiB}
direct: {resolve: {'api.supermemory.ai:443': '127.0.0.1:9', 'api.anthropic.com:443': '127.0.0.1:9'}}
";
const LITELLMS: &str = "
model_list:
  - model_name: sonnet
    litellm_params: &direct
      model: anthropic/claude-sonnet-4-5-20250929
      api_base: https://api.supermemory.ai/v3/https://api.anthropic.com
      api_key: sk-ant-of-the-provider
      extra_headers: {x-supermemory-api-key: sm-of-ours}
  - model_name: claude-*
    litellm_params: {<<: *direct, model: anthropic/claude-*}
  - model_name: gpt
    litellm_params: {model: openai/gpt}
general_settings: {master_key: sk-master-7f0c5d1e9a}
user_id_mappings:
  custom_header: x-memory-user
  header_patterns: [{header: user-agent, pattern: Java, user_id: pycharm}]
  default_user_id: team
";
const KEYS: &str = "
keys:
  - name: anna
    sha256: \"4054b4c97835a527f1df6ad30a1e43b9aeb46c4b5298967c66b0d30ac5eccfd4\"
    user: anna
";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// More than a test ever says.
const ROOM: usize = 1 << 20;

pub struct World {
    runtime: Runtime,
    proxy: Proxy,
}

/// What became of a request.
#[derive(Debug)]
pub enum Fate {
    /// The client left before its end.
    Unread,
    /// The gateway itself answered.
    Answered(Vec<u8>),
    /// It was admitted: what its upstream is sent.
    Admitted(Box<RequestHeader>, Vec<u8>),
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("it can be written");
            Some(path)
        };
        file("keys.yaml", KEYS);
        let sources = Sources {
            config: file("memgate.yaml", OWN),
            litellm_config: file("config.yaml", LITELLMS),
            ..Sources::new(Env::from_pairs([]))
        };
        let config = match Config::load(&sources) {
            Ok(loaded) => loaded.config,
            Err(faults) => panic!("{faults}"),
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let snapshot = Snapshot::build(config, Arc::new(SystemClock)).expect("a gateway");
        runtime.block_on(snapshot.litellm.backends.refresh());
        let proxy = Proxy::new(Arc::new(Gateway::new(snapshot)), None);
        Self { runtime, proxy }
    }

    /// A client that sends these pieces and then nothing more.
    pub fn send<'p>(&self, pieces: impl Iterator<Item = &'p [u8]>) -> Fate {
        let (client, ours) = duplex(ROOM);
        self.runtime.block_on(async {
            let (mut reader, writer) = tokio::io::split(client);
            let speak = async move {
                let mut writer = writer;
                for piece in pieces {
                    if writer.write_all(piece).await.is_err() {
                        // The gateway has heard enough.
                        return;
                    }
                    // It reads this piece before it gets the next.
                    tokio::task::yield_now().await;
                }
                writer.shutdown().await.ok();
            };
            let (fate, ()) = tokio::join!(self.serve(ours), speak);
            let mut told = Vec::new();
            reader.read_to_end(&mut told).await.expect("it was closed");
            if told.starts_with(CONTINUE) {
                told.drain(..CONTINUE.len());
            }
            match fate {
                Ok(Some((head, body))) => {
                    assert!(told.is_empty(), "answered and admitted");
                    Fate::Admitted(head, body)
                }
                _ if told.is_empty() => Fate::Unread,
                _ => Fate::Answered(told),
            }
        })
    }

    /// Pingora's own order of hooks, as far as a request comes before it is written to a server.
    async fn serve(&self, stream: DuplexStream) -> Result<Option<(Box<RequestHeader>, Vec<u8>)>> {
        let mut session = Session::new_h1(Box::new(stream));
        match session.downstream_session.read_request().await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                refuse_head(
                    &mut session.downstream_session,
                    &error,
                    self.proxy.gateway(),
                )
                .await;
                return Ok(None);
            }
        }
        let mut ctx = self.proxy.new_ctx();
        self.proxy
            .early_request_filter(&mut session, &mut ctx)
            .await?;
        let answered = self.proxy.request_filter(&mut session, &mut ctx).await;
        let sent = match answered {
            Ok(false) => Some(self.forward(&mut session, &mut ctx).await?),
            Ok(true) => None,
            Err(error) => return Err(error),
        };
        self.proxy.logging(&mut session, None, &mut ctx).await;
        session.downstream_session.finish_body().await.ok();
        Ok(sent)
    }

    async fn forward(
        &self,
        session: &mut Session,
        ctx: &mut <Proxy as ProxyHttp>::CTX,
    ) -> Result<(Box<RequestHeader>, Vec<u8>)> {
        self.proxy.upstream_peer(session, ctx).await?;
        let mut head = Box::new(session.req_header().clone());
        self.proxy
            .upstream_request_filter(session, &mut head, ctx)
            .await?;
        let mut body = Vec::new();
        while !session.downstream_session.is_body_done() {
            let piece = session.downstream_session.read_body_or_idle(false).await?;
            body.extend_from_slice(&piece.unwrap_or_else(Bytes::new));
        }
        Ok((head, body))
    }
}
