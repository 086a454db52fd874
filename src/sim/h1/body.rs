//! HTTP/1.1 request bodies: by length, by chunks, or none.

use bytes::BytesMut;

use super::Connection;
use crate::sim::exchange::Gone;
use crate::sim::head::Head;

/// More than any test sends; beyond it the connection ends.
const MOST_BODY: usize = 1 << 30;

/// What of the request's body is still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upload {
    Done,
    Waiting { length: Length, expects: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Known(usize),
    Chunked,
}

impl Upload {
    pub(super) fn announced_by(head: &Head) -> Self {
        let chunked = head
            .values("transfer-encoding")
            .any(|value| value.to_ascii_lowercase().contains("chunked"));
        let length = match head.header("content-length").map(str::parse) {
            _ if chunked => Length::Chunked,
            None | Some(Ok(0)) => return Self::Done,
            Some(Ok(length)) => Length::Known(length),
            // A length that is no number cannot be read; one that is never whole ends the connection.
            Some(Err(_)) => Length::Known(usize::MAX),
        };
        let expects = head
            .values("expect")
            .any(|value| value.eq_ignore_ascii_case("100-continue"));
        Self::Waiting { length, expects }
    }

    /// True once: the go-ahead is given a single time.
    pub(super) fn wants_continue(&mut self) -> bool {
        match self {
            Self::Waiting { expects, .. } => std::mem::take(expects),
            Self::Done => false,
        }
    }
}

pub(super) async fn read(conn: &mut Connection, into: &mut BytesMut) -> Result<(), Gone> {
    match conn.upload {
        Upload::Done => return Ok(()),
        Upload::Waiting { length, .. } => match length {
            Length::Known(length) => exactly(conn, length, into).await?,
            Length::Chunked => chunks(conn, into).await?,
        },
    }
    conn.upload = Upload::Done;
    Ok(())
}

async fn exactly(conn: &mut Connection, length: usize, into: &mut BytesMut) -> Result<(), Gone> {
    if length > MOST_BODY || into.len() > MOST_BODY {
        return Err(Gone);
    }
    let mut missing = length;
    loop {
        let ready = missing.min(conn.inbox.len());
        into.extend_from_slice(&conn.inbox.split_to(ready));
        missing -= ready;
        if missing == 0 {
            return Ok(());
        }
        conn.fill().await?;
    }
}

async fn chunks(conn: &mut Connection, into: &mut BytesMut) -> Result<(), Gone> {
    loop {
        let line = line(conn).await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).ok().ok_or(Gone)?;
        if size == 0 {
            while !self::line(conn).await?.is_empty() {}
            return Ok(());
        }
        exactly(conn, size, into).await?;
        if !self::line(conn).await?.is_empty() {
            return Err(Gone);
        }
    }
}

async fn line(conn: &mut Connection) -> Result<String, Gone> {
    const LONGEST: usize = 16 << 10;
    loop {
        if let Some(end) = memchr::memchr(b'\n', &conn.inbox) {
            let line = conn.inbox.split_to(end + 1);
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if conn.inbox.len() > LONGEST {
            return Err(Gone);
        }
        conn.fill().await?;
    }
}
