//! How is LiteLLM asked? One GET with the key in question, at each replica in turn until one answers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, redirect};
use thiserror::Error;

use crate::config::{BaseUrl, Secret};

const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(4);
/// An answer about a key is small; about a team it may list members.
const LARGEST: usize = 4 << 20;

#[async_trait]
pub trait LiteLlmApi: Send + Sync {
    /// `path` with its query; the key is the request's credential.
    async fn get(&self, path: &str, key: &Secret) -> Result<Reply, Unreachable>;
}

pub struct Reply {
    pub status: u16,
    pub body: Bytes,
}

/// No replica answered, or only with failures of its own.
#[derive(Debug)]
pub struct Unreachable;

/// Where a host is, answered from memory.
pub type Addresses = Arc<dyn Fn(&str) -> Vec<SocketAddr> + Send + Sync>;

/// Spares requests the look-up that the client would make for each connection.
struct FromMemory(Addresses);

impl Resolve for FromMemory {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses: Addrs = Box::new((self.0)(name.as_str()).into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// LiteLLM over HTTP.
pub struct LiteLlmClient {
    client: Client,
    bases: Vec<String>,
}

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("CA file {path} cannot be read: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("client for LiteLLM: {0}")]
    Build(#[from] reqwest::Error),
}

impl LiteLlmClient {
    /// `ca_file` holds authorities to trust beside the platform's.
    pub fn new(
        urls: &[BaseUrl],
        ca_file: Option<&Path>,
        addresses: Addresses,
    ) -> Result<Self, ClientError> {
        // The client takes the process's provider; an error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .dns_resolver(Arc::new(FromMemory(addresses)))
            .pool_max_idle_per_host(8);
        if let Some(path) = ca_file {
            let pem = std::fs::read(path).map_err(|source| ClientError::Read {
                path: path.to_owned(),
                source,
            })?;
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
        }
        Ok(Self {
            client: builder.build()?,
            bases: urls.iter().map(base).collect(),
        })
    }

    async fn ask(&self, url: String, credential: HeaderValue) -> reqwest::Result<Option<Reply>> {
        let request = self.client.get(url).header(AUTHORIZATION, credential);
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        if status >= 500 {
            return Ok(None);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LARGEST {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(Reply {
            status,
            body: body.into(),
        }))
    }
}

#[async_trait]
impl LiteLlmApi for LiteLlmClient {
    async fn get(&self, path: &str, key: &Secret) -> Result<Reply, Unreachable> {
        let bearer = format!("Bearer {}", key.reveal());
        let Ok(mut credential) = HeaderValue::try_from(bearer) else {
            return Err(Unreachable);
        };
        credential.set_sensitive(true);
        for base in &self.bases {
            match self.ask(format!("{base}{path}"), credential.clone()).await {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {
                    log::warn!(target: "memgate::litellm", "LiteLLM at {base} failed to answer about a key")
                }
                Err(error) => {
                    let error = error.without_url();
                    log::warn!(target: "memgate::litellm", "LiteLLM at {base} cannot be asked about a key: {error}");
                }
            }
        }
        Err(Unreachable)
    }
}

fn base(url: &BaseUrl) -> String {
    let scheme = if url.origin.tls { "https" } else { "http" };
    format!("{scheme}://{}{}", url.origin.authority(), url.path)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Origin;

    fn at(port: u16) -> BaseUrl {
        BaseUrl {
            origin: Origin {
                tls: false,
                host: "127.0.0.1".into(),
                port,
            },
            path: "/base".into(),
        }
    }

    /// Answers one request with `answer` and gives back what it was asked.
    async fn replica(answer: &'static str) -> (BaseUrl, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = at(listener.local_addr().unwrap().port());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap()
        });
        (url, asked)
    }

    fn no_names() -> Addresses {
        Arc::new(|_: &str| Vec::new())
    }

    #[tokio::test]
    async fn a_dead_and_a_failing_replica_are_passed_over() {
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead_url = at(dead.local_addr().unwrap().port());
        drop(dead);
        let (failing_url, failing) =
            replica("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
        let (sound_url, sound) = replica("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        let client =
            LiteLlmClient::new(&[dead_url, failing_url, sound_url], None, no_names()).unwrap();

        let reply = client
            .get("/key/info", &Secret::new("sk-me"))
            .await
            .unwrap();

        assert_eq!((reply.status, &*reply.body), (200, &b"{}"[..]));
        failing.await.unwrap();
        let asked = sound.await.unwrap();
        assert!(asked.starts_with("GET /base/key/info HTTP/1.1\r\n"));
        assert!(asked.contains("authorization: Bearer sk-me\r\n"));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed_with_the_key() {
        let (url, _) = replica(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        let client = LiteLlmClient::new(&[url], None, no_names()).unwrap();

        let reply = client
            .get("/key/info", &Secret::new("sk-me"))
            .await
            .unwrap();

        assert_eq!(reply.status, 302);
    }

    #[tokio::test]
    async fn without_any_answer_litellm_is_unreachable() {
        let client = LiteLlmClient::new(&[], None, no_names()).unwrap();

        assert!(
            client
                .get("/key/info", &Secret::new("sk-me"))
                .await
                .is_err()
        );
    }
}
