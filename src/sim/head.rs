//! What a request says before its body, whichever HTTP version carried it.

use bytes::Bytes;

use super::reply::Encoding;

/// The head of a request as it came: nothing normalised, fields in order (HTTP/2: by first occurrence).
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) method: String,
    /// Path and query, raw.
    pub(super) target: String,
    pub(super) version: Version,
    pub(super) authority: String,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Version {
    #[serde(rename = "HTTP/1.0")]
    Http10,
    #[serde(rename = "HTTP/1.1")]
    Http11,
    #[serde(rename = "HTTP/2")]
    Http2,
}

impl Head {
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(super) fn query(&self, key: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    pub(super) fn values<'h, 'n>(
        &'h self,
        name: &'n str,
    ) -> impl Iterator<Item = &'h str> + use<'h, 'n> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The cookies it brings; HTTP/2 may spread them over several fields.
    pub(super) fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values("cookie")
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        let value = self.header("authorization")?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }
}

/// A request whose body is in.
pub(super) struct Asked {
    pub(super) head: Head,
    pub(super) body: Bytes,
    /// The body without its Content-Encoding; `None` when it could not be undone.
    pub(super) decoded: Option<Bytes>,
}

impl Asked {
    pub(super) fn new(head: Head, body: Bytes) -> Self {
        let decoded = match head.header("content-encoding") {
            None | Some("" | "identity") => Some(body.clone()),
            Some(name) => Encoding::named(name)
                .and_then(|encoding| encoding.decompress(&body))
                .map(Bytes::from),
        };
        Self {
            head,
            body,
            decoded,
        }
    }
}
