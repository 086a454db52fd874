//! stub
use http::HeaderMap;
pub struct EdgeError {
    pub code: Option<u16>,
    pub zone: Option<String>,
    pub retry_after: Option<std::time::Duration>,
}
pub fn read(_s: u16, _h: &HeaderMap, b: &[u8]) -> Option<EdgeError> {
    String::from_utf8_lossy(b)
        .contains("1200")
        .then(|| EdgeError {
            code: Some(1200),
            zone: None,
            retry_after: None,
        })
}
pub fn explain(_: &EdgeError) -> String {
    "cloudflare error 1200".into()
}
