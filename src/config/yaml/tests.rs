//! What the fidelity test cannot see: places, bounds, and that no input breaks the reader.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Document, Value, parse};
use crate::config::Finding;

fn read(text: &str) -> Result<Document, Vec<Finding>> {
    parse(text.as_bytes(), &"f".into())
}

fn fault(text: &str) -> String {
    let Err(faults) = read(text) else {
        panic!("{text:?} was read");
    };
    faults
        .iter()
        .map(Finding::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_node_knows_its_line_and_column() {
    let document = read("a: 1\nżółć:\n  - {x: two}\n").unwrap_or_else(|_| panic!("readable"));

    let list = &document.root.entries()[1];
    let two = &list.value.items()[0].entries()[0].value;
    assert_eq!(list.key.place.to_string(), "f:2:1");
    assert_eq!(two.place.to_string(), "f:3:9");
}

#[test]
fn an_alias_keeps_the_place_where_its_value_is_written() {
    let document = read("a: &x 1\nb: *x\n").unwrap_or_else(|_| panic!("readable"));

    assert_eq!(document.root.get("b").unwrap().place.to_string(), "f:1:4");
}

#[test]
fn several_faults_of_meaning_are_told_together() {
    assert_eq!(
        fault("a: *x\nb: !tag y\nc: 2024-13-01\n"),
        "f:1:4: no anchor `&x` before this `*x`, define it first\n\
         f:2:4: the tag `!tag` cannot be used for this value, remove it\n\
         f:3:4: `2024-13-01` looks like a date but is none, put it in quotes to mean the text"
    );
}

#[test]
fn aliases_that_repeat_aliases_end_at_a_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let began = Instant::now();

    assert!(fault(&text).contains("too many values"));
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "ten billion values must not be made"
    );
}

#[test]
fn an_alias_to_what_holds_it_is_a_fault() {
    assert!(fault("a: &x [*x]\n").starts_with("f:1:8: `*x` stands inside"));
}

#[test]
fn endless_nesting_and_endless_size_end_at_a_bound() {
    for opening in ["[", "{a: ", "- ", "? ", "- - ", "[{a: "] {
        assert!(
            fault(&opening.repeat(50_000)).contains("too deep"),
            "{opening:?}"
        );
    }
    assert!(fault(&"#".repeat(5 << 20)).contains("larger than"));
    assert!(fault(&"- a\n".repeat(500_000)).contains("too large"));
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    let latin1 = parse(b"a: 1\nb: \xe9\n", &"f".into())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        latin1[0].to_string(),
        "f:2:4: not UTF-8, save the file in that encoding"
    );
    assert!(fault("a: 1\nb: \u{1}x\n").starts_with("f:2:4: the character U+0001"));
}

#[test]
fn the_form_that_the_parser_panics_on_is_a_fault() {
    assert!(fault("a: [!, b]\n").starts_with("f:1:1: a tag"));
}

#[test]
fn a_large_integer_keeps_its_digits() {
    let document =
        read("a: 123456789012345678901234567890\n").unwrap_or_else(|_| panic!("readable"));
    assert!(matches!(
        document.root.get("a").unwrap().value,
        Value::Int(123_456_789_012_345_678_901_234_567_890)
    ));
}

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&[u8]] = &[
        b"a",
        b"key",
        b": ",
        b":",
        b"- ",
        b"\n",
        b"\n  ",
        b"\n- ",
        b" ",
        b"{",
        b"}",
        b"[",
        b"]",
        b", ",
        b"#",
        b"&a ",
        b"*a",
        b"!!str ",
        b"!<x>",
        b"!",
        b"|",
        b">",
        b"+",
        b"-",
        b"2",
        b"? ",
        b"%YAML 1.1\n",
        b"%TAG ! x\n",
        b"---",
        b"...",
        b"\t",
        b"\"",
        b"'",
        b"\\",
        b"\\x4",
        b"\\U00110000",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xc2\x85",
        b"\xff",
        b"\xf0\x9f\x98\x80",
        b"<<: ",
        b"0x",
        b"1:30",
        b"2024-01-01",
        b"=",
        b".",
    ];
    prop::collection::vec(prop::sample::select(WORDS), 0..24).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_yaml_like_input_panics_or_lingers(bytes in fragments()) {
        let began = Instant::now();
        let _ = parse(&bytes, &"f".into());
        prop_assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn no_bytes_panic_or_linger(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let began = Instant::now();
        let _ = parse(&bytes, &"f".into());
        prop_assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_fault_always_has_a_place_in_the_file(bytes in fragments()) {
        if let Err(faults) = parse(&bytes, &"f".into()) {
            let lines = bytes.iter().filter(|b| matches!(b, b'\n' | b'\r' | 0x85 | 0xa8 | 0xa9)).count() as u32 + 2;
            for fault in faults {
                prop_assert!((1..=lines).contains(&fault.place.line) && fault.place.column >= 1, "{fault}");
            }
        }
    }
}
