//! Is a good body unpacked whole, and every other one refused in time?

use std::io::Write;

use proptest::prelude::*;

use super::*;

const PACKED: [Encoding; 3] = [Encoding::Gzip, Encoding::Brotli, Encoding::Zstd];
const WIDE: DecodeBounds = DecodeBounds {
    max_bytes: 32 << 20,
    max_ratio: 100,
};

fn pack(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Identity => body.to_vec(),
        Encoding::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(body).unwrap();
            gzip.finish().unwrap()
        }
        Encoding::Brotli => {
            let mut packed = Vec::new();
            brotli::CompressorWriter::new(&mut packed, 4096, 4, 20)
                .write_all(body)
                .unwrap();
            packed
        }
        Encoding::Zstd => zstd::encode_all(body, 3).unwrap(),
    }
}

fn of(fields: &[&str]) -> Result<Encoding, DecodeError> {
    let field = |value: &&str| (CONTENT_ENCODING, value.parse().unwrap());
    Encoding::of(&fields.iter().map(field).collect())
}

#[test]
fn one_known_coding_is_read_in_any_letter_case() {
    assert_eq!(of(&[]), Ok(Encoding::Identity));
    for (name, encoding) in [
        ("identity", Encoding::Identity),
        ("", Encoding::Identity),
        ("gzip", Encoding::Gzip),
        ("X-GZIP", Encoding::Gzip),
        (" br ", Encoding::Brotli),
        ("Zstd", Encoding::Zstd),
    ] {
        assert_eq!(of(&[name]), Ok(encoding), "{name}");
    }
}

#[test]
fn several_codings_and_unknown_ones_are_unsupported() {
    for fields in [
        &["gzip, br"][..],
        &["gzip", "br"],
        &["gzip", "gzip"],
        &["identity", "gzip"],
        &["gzip,"],
        &["deflate"],
        &["compress"],
        &["gzip;q=1"],
    ] {
        assert_eq!(of(fields), Err(DecodeError::Unsupported), "{fields:?}");
    }
    assert_eq!(DecodeError::Unsupported.status(), 415);
}

#[test]
fn a_gzip_body_may_have_several_members_and_zstd_several_frames() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let body = [pack(encoding, b"one "), pack(encoding, b"two")].concat();

        assert_eq!(
            decode(encoding, &body, WIDE).unwrap(),
            "one two",
            "{encoding:?}"
        );
    }
}

#[test]
fn a_cut_changed_or_continued_body_is_damaged() {
    let text: Vec<u8> = (0..9000_u32).flat_map(u32::to_le_bytes).collect();
    for encoding in PACKED {
        let body = pack(encoding, &text);
        let half = &body[..body.len() / 2];
        let short = &body[..body.len() - 1];
        let more = [&body[..], b"{}"].concat();
        for wrong in [&b""[..], b"{\"model\":\"m\"}", half, short, &more] {
            let decoded = decode(encoding, wrong, WIDE);

            assert_eq!(
                decoded,
                Err(DecodeError::Damaged),
                "{encoding:?} {}",
                wrong.len()
            );
        }
    }
    assert_eq!(DecodeError::Damaged.status(), 400);
}

#[test]
fn a_checksum_that_does_not_fit_is_damage() {
    let mut body = pack(Encoding::Gzip, b"some text");
    let at = body.len() - 6;
    body[at] ^= 1;

    assert_eq!(
        decode(Encoding::Gzip, &body, WIDE),
        Err(DecodeError::Damaged)
    );
}

#[test]
fn the_bound_on_size_is_exact() {
    let text = vec![7_u8; 40_000];
    for encoding in PACKED {
        let body = pack(encoding, &text);
        let bounds = |max_bytes| DecodeBounds { max_bytes, ..WIDE };

        assert_eq!(
            decode(encoding, &body, bounds(40_000)).unwrap().len(),
            40_000
        );
        let error = decode(encoding, &body, bounds(39_999)).unwrap_err();
        assert_eq!(
            (error, error.status()),
            (DecodeError::TooLarge { max_bytes: 39_999 }, 413)
        );
    }
}

#[test]
fn a_bomb_is_refused_by_its_ratio_long_before_its_size() {
    let text = vec![0_u8; 8 << 20];
    for encoding in PACKED {
        let body = pack(encoding, &text);

        let error = decode(encoding, &body, WIDE).unwrap_err();

        assert_eq!(
            (error, error.status()),
            (DecodeError::RatioExceeded { max_ratio: 100 }, 413)
        );
    }
}

#[test]
fn a_small_body_may_be_packed_tightly() {
    let text = vec![b'a'; RATIO_FREE];
    let tight = DecodeBounds {
        max_ratio: 10,
        ..WIDE
    };
    for encoding in PACKED {
        let body = pack(encoding, &text);
        assert!(text.len() > body.len() * 10, "the test must pack tightly");

        assert_eq!(
            decode(encoding, &body, tight).unwrap().len(),
            text.len(),
            "{encoding:?}"
        );
    }
}

#[test]
fn a_zstd_window_beyond_8_mib_is_refused() {
    let pack = |log| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(b"text").unwrap();
        encoder.finish().unwrap()
    };

    assert!(decode(Encoding::Zstd, &pack(23), WIDE).is_ok());
    assert_eq!(
        decode(Encoding::Zstd, &pack(27), WIDE),
        Err(DecodeError::Damaged)
    );
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(body in prop::collection::vec(any::<u8>(), 0..50_000)) {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Brotli, Encoding::Zstd] {
            let packed = pack(encoding, &body);
            prop_assert_eq!(decode(encoding, &packed, WIDE).unwrap(), &body);
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_pass_its_bounds(
        body in prop::collection::vec(any::<u8>(), 0..400), magic in 0..3_usize,
    ) {
        let start = [&b"\x1f\x8b\x08\x00"[..], b"", b"\x28\xb5\x2f\xfd"][magic];
        let body = [start, &body].concat();
        let bounds = DecodeBounds { max_bytes: 1000, max_ratio: 2 };

        let decoded = decode(PACKED[magic], &body, bounds);

        prop_assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded.len() <= 1000));
    }
}
