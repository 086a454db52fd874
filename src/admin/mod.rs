//! What do operators see? Health, metrics and status, on a port of their own.

mod entrance;
mod keys;
mod lanes;
mod respond;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response};
use pingora_core::apps::http_app::{HttpServer, ServeHttp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::services::listening::Service;

use crate::auth::Presented;
use crate::gateway::Gateway;

use entrance::Entrance;
use respond::respond;
use view::GatewayView;

/// The admin port's application.
pub struct Admin(GatewayView);

/// The service, to which the caller adds the configured address.
pub fn service(gateway: Arc<Gateway>) -> Service<Entrance> {
    let admin = Admin(GatewayView::new(gateway));
    let entrance = Entrance::new(HttpServer::new_app(admin));
    Service::new("admin".to_owned(), entrance)
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let from = session.client_addr().and_then(SocketAddr::as_inet);
        let presented = Presented::of(&head.headers, None).at(from.map(|from| from.ip()));
        let response = respond(&self.0, &head.method, head.uri.path(), &presented);
        if head.method != Method::GET && head.method != Method::HEAD {
            // Whatever body comes with it is not read.
            session.set_keepalive(None);
        }
        response
    }
}
