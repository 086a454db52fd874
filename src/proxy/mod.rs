//! One request's life: each of Pingora's hooks hands over to the phase that it belongs to.

mod admission;
mod allowance;
mod bad_head;
mod bill;
mod body;
mod client;
mod context;
mod detour;
mod direct;
mod egress;
mod errand;
mod failure;
mod forward;
mod forwarded;
mod head;
mod head_check;
mod judge;
mod local;
mod metering;
mod parcel;
mod passage;
mod record;
mod relay;
mod reply;
mod response;
mod retelling;
mod stream;
mod target;
mod translation;
mod untouched;
mod upstream_head;

use std::any::Any;
use std::net::SocketAddr;
use std::os::unix::io::RawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{BError, Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

pub use bad_head::refuse as refuse_head;
pub use context::RequestCtx;
pub(crate) use relay::{Custody, carry};

use crate::gateway::Gateway;

/// Marks a client's connection that has served a request before.
pub(crate) struct KeptAlive;

/// The gateway as Pingora sees it.
pub struct Proxy {
    gateway: Arc<Gateway>,
    /// The address of LiteLLM's own way out.
    egress: Option<SocketAddr>,
}

/// Which port a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Data,
    Egress,
}

impl Proxy {
    pub fn new(gateway: Arc<Gateway>, egress: Option<SocketAddr>) -> Self {
        Self { gateway, egress }
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    pub fn egress(&self) -> Option<SocketAddr> {
        self.egress
    }

    /// No other listener has the egress port's address: the configuration says so.
    fn door(&self, session: &Session) -> Door {
        let (Some(egress), Some(PeerAddr::Inet(called))) = (self.egress, session.server_addr())
        else {
            return Door::Data;
        };
        let same_host = egress.ip().is_unspecified() || egress.ip() == called.ip();
        if egress.port() == called.port() && same_host {
            Door::Egress
        } else {
            Door::Data
        }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    /// Boxed: Pingora moves it from future to future.
    type CTX = Box<RequestCtx>;

    fn new_ctx(&self) -> Self::CTX {
        Box::new(RequestCtx::new(&self.gateway))
    }

    /// None: answers are not compressed here.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<()> {
        admission::greet(session, ctx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        admission::admit(session, ctx, self.door(session)).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
    ) -> Result<Box<HttpPeer>> {
        forward::next_attempt(session, ctx).await
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Self::CTX,
        error: BError,
    ) -> BError {
        failure::not_connected(ctx, peer, error)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: RawFd,
        digest: Option<&Digest>,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        forward::connected(ctx, reused, digest);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        upstream_head::write(session, head, ctx)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        forward::pass_body(body, end, ctx)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        response::arrived(session, head, ctx)
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        response::deliver(head, ctx);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        response::pass_body(body, end, ctx);
        Ok(None)
    }

    /// What it returns takes the trailers' place.
    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        _trailers: &mut HeaderMap,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Bytes>> {
        Ok(response::end_stream(ctx))
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: BError,
        ctx: &mut Self::CTX,
        reused: bool,
    ) -> BError {
        failure::broke(session, ctx, error, reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Self::CTX,
    ) -> FailToProxy {
        failure::answer(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Self::CTX) {
        record::finish(session, error, ctx);
    }

    fn persist_connection_context(
        &self,
        _session: &Session,
        _ctx: &Self::CTX,
    ) -> Option<Box<dyn Any + Send + Sync>> {
        Some(Box::new(KeptAlive))
    }

    /// One access line per request says it all; Pingora's own lines hold addresses.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Self::CTX, error: &Error) -> bool {
        log::debug!(target: "memgate::proxy", "{}", failure::name(error));
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Self::CTX,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}
