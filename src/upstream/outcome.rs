//! stub
use http::HeaderMap;
pub enum Phase {
    Connect,
    Unprocessed,
    Written,
}
#[derive(Debug, Clone)]
pub struct Outcome(pub &'static str, pub bool);
impl Outcome {
    pub fn of_transport(p: Phase) -> Self {
        match p {
            Phase::Written => Self("broke", false),
            _ => Self("unsent", true),
        }
    }
    pub fn of_answer(status: u16, _: &HeaderMap, body: &[u8]) -> Self {
        let s = String::from_utf8_lossy(body);
        Self("err", status == 503 && s.contains("1200") || status == 529)
    }
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}
