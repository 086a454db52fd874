//! Is there a packed body that unpacks beyond its bounds, or to another body where it was cut?
#![no_main]

use libfuzzer_sys::fuzz_target;
use memgate::body::{DecodeBounds, DecodeError, Encoding, decode};

const ENCODINGS: [Encoding; 4] = [
    Encoding::Identity,
    Encoding::Gzip,
    Encoding::Brotli,
    Encoding::Zstd,
];

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, at], packed)) = data.split_first_chunk() else {
        return;
    };
    let encoding = ENCODINGS[usize::from(choice) % ENCODINGS.len()];
    let bounds = DecodeBounds {
        max_bytes: 256 * 1024,
        max_ratio: 50,
    };
    let tight = DecodeBounds {
        max_bytes: usize::from(at) * 64,
        ..bounds
    };

    let unpacked = decode(encoding, packed, bounds);

    if let Ok(body) = &unpacked {
        assert!(body.len() <= bounds.most(packed.len()));
        assert_eq!(decode(encoding, packed, bounds).as_ref(), Ok(body));
    }
    match (&unpacked, decode(encoding, packed, tight)) {
        (Ok(body), Ok(same)) => assert_eq!((body, true), (&same, same.len() <= tight.max_bytes)),
        (Ok(body), Err(DecodeError::TooLarge { .. })) => assert!(body.len() > tight.max_bytes),
        (Ok(_), Err(error)) => panic!("a narrower bound is {error}"),
        (Err(DecodeError::RatioExceeded { .. } | DecodeError::Damaged), Err(_)) => {}
        (Err(DecodeError::TooLarge { .. }), Err(DecodeError::TooLarge { .. })) => {}
        (Err(error), told) => panic!("{error}, but within a narrower bound {told:?}"),
    }
    let cut = usize::from(at) * packed.len() / 256;
    if let (Ok(body), Ok(part)) = (&unpacked, decode(encoding, &packed[..cut], bounds)) {
        assert!(body.starts_with(&part), "half a body is no other one");
    }
});
