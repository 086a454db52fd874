//! One request as the simulator remembers it.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::sim::head::Version;

/// One request as it arrived, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct SeenRequest {
    pub id: u64,
    /// Which connection of the run, and which stream (HTTP/2) or how many-th request (HTTP/1.1) on it.
    pub connection: u64,
    pub stream: u32,
    pub method: String,
    /// Path and query, raw.
    pub target: String,
    pub version: Version,
    pub authority: String,
    pub headers: Vec<(String, String)>,
    pub cookies: Vec<(String, String)>,
    pub body: SeenBody,
    /// Since the simulator started; compare with its `clock()`.
    pub arrived: Duration,
    pub ended: Option<Duration>,
    pub outcome: Outcome,
    pub status: Option<u16>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct SeenBody {
    pub length: usize,
    /// False when the answer, or the end, came first.
    pub complete: bool,
    /// Of the bytes as received; hexadecimal.
    pub sha256: String,
    /// Of the bytes without their Content-Encoding.
    pub decoded_sha256: String,
    /// The first bytes, decoded, up to `keep_body`.
    #[serde(skip)]
    pub kept: Bytes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    #[default]
    Open,
    Answered,
    /// The client reset the stream or closed the connection first.
    ClientLeft,
    /// The script broke the answer off.
    CutShort,
    /// The connection or the simulator ended under it.
    Dropped,
}

impl SeenRequest {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` when it is none or was not kept whole.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body.kept).unwrap_or_default()
    }
}
