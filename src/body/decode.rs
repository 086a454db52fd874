//! What does a compressed body hold, and is it worth unpacking?

use std::io::{self, Read};

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, header::CONTENT_ENCODING};
use thiserror::Error;

/// How much is unpacked between two looks at the bounds.
const STEP: usize = 16 * 1024;
/// Below this a body may be packed as tightly as it likes.
const RATIO_FREE: usize = 64 * 1024;
/// 8 MiB, the largest window that RFC 9659 lets zstd use as a content coding.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The content codings that clients are known to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

/// What a body may come to.
#[derive(Clone, Copy, Debug)]
pub struct DecodeBounds {
    pub max_bytes: usize,
    /// Unpacked over packed size, looked at beyond the first 64 KiB.
    pub max_ratio: usize,
}

impl DecodeBounds {
    /// What `packed` bytes can come to at most.
    pub fn most(self, packed: usize) -> usize {
        let by_ratio = packed.saturating_mul(self.max_ratio).max(RATIO_FREE);
        self.max_bytes.min(by_ratio)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("the body's Content-Encoding is not one of gzip, br, zstd")]
    Unsupported,
    #[error("the body is larger than {max_bytes} bytes when unpacked")]
    TooLarge { max_bytes: usize },
    #[error("the body grows more than {max_ratio} times when unpacked")]
    RatioExceeded { max_ratio: usize },
    #[error("the compressed body is damaged")]
    Damaged,
}

impl DecodeError {
    /// The status that tells it to a client.
    pub fn status(self) -> u16 {
        match self {
            Self::Unsupported => 415,
            Self::TooLarge { .. } | Self::RatioExceeded { .. } => 413,
            Self::Damaged => 400,
        }
    }
}

impl Encoding {
    /// The one coding of a message. Several, in a list or in several fields, are not supported.
    pub fn of(headers: &HeaderMap) -> Result<Self, DecodeError> {
        let mut fields = headers.get_all(CONTENT_ENCODING).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            let none = !headers.contains_key(CONTENT_ENCODING);
            return none
                .then_some(Self::Identity)
                .ok_or(DecodeError::Unsupported);
        };
        match field
            .as_bytes()
            .trim_ascii()
            .to_ascii_lowercase()
            .as_slice()
        {
            b"identity" | b"" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            b"br" => Ok(Self::Brotli),
            b"zstd" => Ok(Self::Zstd),
            _ => Err(DecodeError::Unsupported),
        }
    }
}

/// Unpacks a whole body, holding never more than the bounds allow and one step.
pub fn decode(encoding: Encoding, body: &[u8], bounds: DecodeBounds) -> Result<Bytes, DecodeError> {
    let unpacked = Unpacked {
        bytes: Vec::new(),
        packed: body.len(),
        bounds,
    };
    match encoding {
        Encoding::Identity => unpacked.read(body),
        Encoding::Gzip => unpacked.read(MultiGzDecoder::new(body)),
        Encoding::Brotli => unpacked.read(Brotli::new(body)),
        Encoding::Zstd => unpacked.read(zstd_reader(body).or(Err(DecodeError::Damaged))?),
    }
}

fn zstd_reader(body: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

struct Unpacked {
    bytes: Vec<u8>,
    packed: usize,
    bounds: DecodeBounds,
}

impl Unpacked {
    fn read(mut self, reader: impl Read) -> Result<Bytes, DecodeError> {
        let mut reader = reader.take(0);
        loop {
            reader.set_limit(STEP as u64);
            let read = reader.read_to_end(&mut self.bytes);
            match read {
                Ok(0) => return Ok(self.bytes.into()),
                Ok(_) => self.check()?,
                // Whatever the decoder calls it, and none of it helps the client.
                Err(_) => return Err(DecodeError::Damaged),
            }
        }
    }

    fn check(&self) -> Result<(), DecodeError> {
        let DecodeBounds {
            max_bytes,
            max_ratio,
        } = self.bounds;
        let size = self.bytes.len();
        if size > max_bytes {
            return Err(DecodeError::TooLarge { max_bytes });
        }
        if size > RATIO_FREE && size > self.packed.saturating_mul(max_ratio) {
            return Err(DecodeError::RatioExceeded { max_ratio });
        }
        Ok(())
    }
}

/// The crate's own reader cannot tell whether anything follows the stream; this one can.
struct Brotli<'a> {
    packed: &'a [u8],
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    ended: bool,
}

impl<'a> Brotli<'a> {
    fn new(packed: &'a [u8]) -> Self {
        let alloc = StandardAlloc::default;
        Self {
            packed,
            // Strict: without the large-window extension, which no content coding has.
            state: BrotliState::new_strict(alloc(), alloc(), alloc()),
            ended: false,
        }
    }
}

impl Read for Brotli<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let (mut left, mut used) = (self.packed.len(), 0);
        let (mut room, mut written, mut total) = (into.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut used,
            self.packed,
            &mut room,
            &mut written,
            into,
            &mut total,
            &mut self.state,
        );
        self.packed = self.packed.get(used..).unwrap_or_default();
        match result {
            BrotliResult::NeedsMoreOutput => Ok(written),
            BrotliResult::ResultSuccess if self.packed.is_empty() => {
                self.ended = true;
                Ok(written)
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
