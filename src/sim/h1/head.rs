//! HTTP/1.1 heads: how request bytes become a [`Head`], and a reply its status line and fields.

use std::fmt::Write;

use crate::sim::head::{Head, Version};

const MOST_FIELDS: usize = 256;

pub(super) enum Parsed {
    Partial,
    /// The head, and how many bytes it took.
    Whole(Head, usize),
    Garbage,
}

pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Garbage,
    };
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|field| {
            let value = String::from_utf8_lossy(field.value).into_owned();
            (field.name.to_owned(), value)
        })
        .collect();
    let mut head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        version: match request.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        },
        authority: String::new(),
        headers,
    };
    head.authority = head.header("host").unwrap_or_default().to_owned();
    Parsed::Whole(head, length)
}

/// How the length of an answer's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    /// HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
    UntilClose,
    None,
}

pub(super) fn write(
    status: u16,
    headers: &[(String, String)],
    framing: Framing,
    close: bool,
) -> String {
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    let mut head = String::with_capacity(512);
    // Writing to a String cannot fail.
    let _ = write!(head, "HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    match framing {
        Framing::Length(length) => {
            let _ = write!(head, "content-length: {length}\r\n");
        }
        Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
        Framing::UntilClose | Framing::None => {}
    }
    if close {
        head.push_str("connection: close\r\n");
    }
    head.push_str("\r\n");
    head
}
