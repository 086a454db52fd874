//! A finished answer before it meets the wire: status, header fields, body.

use std::io::Write;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Whole(Bytes),
    /// Sent piece by piece, of a length nobody knows beforehand.
    Events(Vec<Bytes>),
    /// Not HTTP at all.
    Raw(Bytes),
    /// After a 101: frames come back as they went in.
    WebSocketEcho,
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Events(Vec<String>),
        }
        Ok(match Written::deserialize(from)? {
            Written::Text(text) => Self::Whole(text.into()),
            Written::Events(events) => Self::Events(events.into_iter().map(Bytes::from).collect()),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    Gzip,
    Br,
    Zstd,
}

impl Encoding {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "br" => Some(Self::Br),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }

    fn compress(self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                out.write_all(plain)?;
                out.finish()
            }
            Self::Br => {
                let mut out = Vec::new();
                let mut sink = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
                sink.write_all(plain)?;
                drop(sink);
                Ok(out)
            }
            Self::Zstd => zstd::encode_all(plain, 3),
        }
    }

    /// `None` when the bytes are not of this encoding, or swell beyond the bound.
    pub(super) fn decompress(self, packed: &[u8]) -> Option<Vec<u8>> {
        use std::io::Read;
        const MOST: u64 = 256 << 20;
        let mut plain = Vec::new();
        let read = match self {
            Self::Gzip => flate2::read::MultiGzDecoder::new(packed)
                .take(MOST)
                .read_to_end(&mut plain),
            Self::Br => brotli::Decompressor::new(packed, 4096)
                .take(MOST)
                .read_to_end(&mut plain),
            Self::Zstd => zstd::Decoder::new(packed)
                .and_then(|decoder| decoder.take(MOST).read_to_end(&mut plain)),
        };
        read.ok().filter(|&n| (n as u64) < MOST).map(|_| plain)
    }
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::default(),
        }
    }

    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(super) fn text(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(status).with("content-type", kind);
        reply.set_body(body.into());
        reply
    }

    pub(super) fn events(pieces: Vec<Bytes>) -> Self {
        let mut reply = Self::new(200)
            .with("content-type", "text/event-stream; charset=utf-8")
            .with("cache-control", "no-cache");
        reply.body = Body::Events(pieces);
        reply
    }

    pub(super) fn raw(bytes: Bytes) -> Self {
        let mut reply = Self::new(200);
        reply.body = Body::Raw(bytes);
        reply
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a field that the reply does not carry yet.
    pub(super) fn default_header(&mut self, name: &str, value: impl FnOnce() -> String) {
        if !self
            .headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case(name))
        {
            self.headers.push((name.to_owned(), value()));
        }
    }

    pub(super) fn set_body(&mut self, body: Bytes) {
        self.body = Body::Whole(body);
    }

    /// Packs the body as one piece; events packed one by one would be no test of a decoder.
    pub(super) fn compress(&mut self, encoding: Encoding) {
        let plain = match &self.body {
            Body::Whole(bytes) => bytes.clone(),
            Body::Events(pieces) => pieces.concat().into(),
            Body::Raw(_) | Body::WebSocketEcho => return,
        };
        if let Ok(packed) = encoding.compress(&plain) {
            let one_by_one = matches!(self.body, Body::Events(_));
            self.body = if one_by_one {
                Body::Events(vec![packed.into()])
            } else {
                Body::Whole(packed.into())
            };
            self.headers
                .push(("content-encoding".to_owned(), encoding.as_str().to_owned()));
        }
    }
}
