//! Does the decoder find other events than the standard says, or other ones when the stream is cut elsewhere?
#![no_main]

use libfuzzer_sys::fuzz_target;
use memgate::wire::sse::{Decoder, Event};

const LIMIT: usize = 64;
const NAME_KEPT: usize = 64;

/// The name and the data of each event, and whether the last one was too long to be had.
#[derive(Debug, Default, PartialEq)]
struct Told {
    events: Vec<[Vec<u8>; 2]>,
    too_long: bool,
}

impl Told {
    fn add(&mut self, event: Event<'_>) {
        self.events
            .push([event.name, event.data].map(<[u8]>::to_vec));
    }
}

fn decoded<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Told {
    let (mut decoder, mut told) = (Decoder::new(LIMIT), Told::default());
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(event)) => told.add(event),
                Ok(None) => break,
                Err(_) => {
                    told.too_long = true;
                    return told;
                }
            }
        }
        assert!(piece.is_empty(), "it left something");
    }
    if let Some(event) = decoder.end() {
        told.add(event);
    }
    told
}

/// The standard's algorithm, over the whole stream at once and with copies. Beyond it: the bounds, an event that the
/// end cuts short is told, and a `data` line without a colon is none.
fn by_the_standard(stream: &[u8]) -> Told {
    let (mut told, mut name, mut data) = (Told::default(), Vec::new(), Vec::new());
    let mut rest = Some(stream);
    let mut mark: &[u8] = b"\xef\xbb\xbf";
    while let Some(bytes) = rest {
        let end = bytes.iter().position(|byte| b"\r\n".contains(byte));
        let line = &bytes[..end.unwrap_or(bytes.len())];
        rest = end.map(|end| match &bytes[end..] {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => &[],
        });
        if line.len() > LIMIT {
            told.too_long = true;
            return told;
        }
        let line = line.strip_prefix(std::mem::take(&mut mark)).unwrap_or(line);
        if line.is_empty() && rest.is_some() {
            if !data.is_empty() {
                told.events
                    .push([name.clone(), data[..data.len() - 1].to_vec()]);
            }
            name.clear();
            data.clear();
        }
        let value = |field: &[u8]| {
            let value = line.strip_prefix(field)?;
            Some(value.strip_prefix(b" ").unwrap_or(value))
        };
        if let Some(value) = value(b"data:") {
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        if let Some(value) = value(b"event:") {
            name = value[..value.len().min(NAME_KEPT)].to_vec();
        }
        if data.len() > LIMIT && rest.is_some() {
            told.too_long = true;
            return told;
        }
    }
    if !data.is_empty() {
        told.events.push([name, data[..data.len() - 1].to_vec()]);
    }
    told
}

fuzz_target!(|given: &[u8]| {
    let Some((&cut, stream)) = given.split_first() else {
        return;
    };

    let whole = decoded([stream].into_iter());

    assert_eq!(whole, by_the_standard(stream));
    assert_eq!(whole, decoded(stream.chunks(usize::from(cut).max(1))));
    assert_eq!(whole, decoded(stream.chunks(1)));
});
