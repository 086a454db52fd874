//! stub
use pingora_core::services::listening::Service;
use std::sync::Arc;
pub struct Admin;
#[async_trait::async_trait]
impl pingora_core::apps::http_app::ServeHttp for Admin {
    async fn response(
        &self,
        _s: &mut pingora_core::protocols::http::ServerSession,
    ) -> http::Response<Vec<u8>> {
        http::Response::new(vec![])
    }
}
pub fn service(
    _g: Arc<crate::gateway::Gateway>,
) -> Service<pingora_core::apps::http_app::HttpServer<Admin>> {
    Service::new(
        "admin".into(),
        pingora_core::apps::http_app::HttpServer::new_app(Admin),
    )
}
