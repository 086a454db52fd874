//! Does the scan agree with a full parser, and does the splice keep every other byte?

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;

fn scan(body: &str) -> Result<Envelope, ScanError> {
    Envelope::scan(body.as_bytes())
}

fn renamed(body: &str, model: &str) -> String {
    let envelope = scan(body).unwrap();
    let spliced = envelope.splice(&Bytes::copy_from_slice(body.as_bytes()), model);
    String::from_utf8(spliced.to_vec()).unwrap()
}

#[test]
fn the_envelope_holds_model_stream_and_user() {
    let body =
        r#" {"messages":[{"model":"inner"}], "model" : "claude", "stream":true, "user":"u1"} "#;

    let envelope = scan(body).unwrap();

    assert_eq!(envelope.model, "claude");
    assert_eq!(&body[envelope.model_at.clone()], r#""claude""#);
    assert!(envelope.stream);
    assert_eq!(envelope.user.as_deref(), Some("u1"));
}

#[test]
fn only_a_literal_true_streams_and_only_a_string_is_a_user() {
    for value in [
        "false",
        "null",
        "1",
        "\"true\"",
        "[true]",
        "{\"stream\":true}",
    ] {
        let body = format!(r#"{{"stream":{value},"model":"m","user":{value}}}"#);

        let envelope = scan(&body).unwrap();

        assert!(!envelope.stream, "{value} is not true");
        assert_eq!(envelope.user.is_some(), value.starts_with('"'), "{value}");
    }
}

#[test]
fn the_last_stream_and_user_count_as_in_other_parsers() {
    let envelope =
        scan(r#"{"stream":true,"user":"a","model":"m","stream":false,"user":7}"#).unwrap();

    assert!(!envelope.stream);
    assert_eq!(envelope.user, None);
}

#[test]
fn a_second_top_level_model_is_refused_however_it_is_spelt() {
    for second in [
        r#""model""#,
        r#""mod\u0065l""#,
        r#""\u006d\u006F\u0064\u0065\u006c""#,
    ] {
        let body = format!(r#"{{"model":"cheap",{second}:"dear"}}"#);

        assert_eq!(scan(&body), Err(ScanError::DuplicateModel), "{body}");
    }
}

#[test]
fn a_model_key_spelt_with_escapes_is_the_model() {
    let envelope = scan(r#"{"mod\u0065l":"cl\u0061ude\/x"}"#).unwrap();

    assert_eq!(envelope.model, "claude/x");
}

#[test]
fn nested_model_keys_mean_nothing() {
    assert_eq!(
        scan(r#"{"a":{"model":"x"},"b":[{"model":"y"}]}"#),
        Err(ScanError::NoModel)
    );
}

#[test]
fn each_wrong_model_has_its_own_error() {
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(MAX_MODEL + 1));
    for (body, error) in [
        (r#"{}"#, ScanError::NoModel),
        (r#"{"Model":"m"}"#, ScanError::NoModel),
        (r#"{"model":null}"#, ScanError::ModelNotString),
        (r#"{"model":["m"]}"#, ScanError::ModelNotString),
        (r#"{"model":"\ud800"}"#, ScanError::ModelNotString),
        (r#"{"model":""}"#, ScanError::EmptyModel),
        (long.as_str(), ScanError::ModelTooLong),
    ] {
        assert_eq!(scan(body), Err(error), "{body}");
    }
}

#[test]
fn what_is_not_one_json_object_is_refused() {
    let object = ScanError::NotAnObject;
    for body in ["", "  ", "[]", "\"model\"", "null", "model=x"] {
        assert_eq!(scan(body), Err(object.clone()), "{body}");
    }
    assert_eq!(
        scan("\u{feff}{\"model\":\"m\"}"),
        Err(ScanError::ByteOrderMark)
    );
    assert_eq!(
        Envelope::scan(b"{\"model\":\"m\xff\"}"),
        Err(ScanError::NotUtf8 { at: 11 })
    );
}

#[test]
fn a_body_that_is_nearly_json_is_refused() {
    for member in [
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "-",
        "--1",
        "0x1",
        "NaN",
        "Infinity",
        "True",
        "nul",
        "'x'",
        "\"a",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{\"a\":}",
        "{1:2}",
        "[}",
        "{]",
        "[",
        "{",
        "",
        "1//x",
    ] {
        let body = format!(r#"{{"model":"m","x":{member}}}"#);

        let error = scan(&body).unwrap_err();

        assert!(matches!(error, ScanError::Syntax { .. }), "{body}: {error}");
    }
    for trailing in ["}", "x", ",", "{}", "\0"] {
        let body = format!(r#"{{"model":"m"}}{trailing}"#);
        assert!(scan(&body).is_err(), "{body}");
    }
    for body in [r#"{"model":"m",}"#, r#"{,"model":"m"}"#, r#"{"model" "m"}"#] {
        assert!(scan(body).is_err(), "{body}");
    }
}

#[test]
fn no_raw_control_character_passes_in_a_string_wherever_it_stands() {
    for byte in 0..0x80_u8 {
        for before in [0, 1, 15, 16, 63, 200] {
            let text = format!(
                "{}{}{}",
                "x".repeat(before),
                char::from(byte),
                "y".repeat(before)
            );
            let body = format!(r#"{{"model":"m","x":"{text}"}}"#);

            let passes = scan(&body).is_ok();

            let plain = byte >= 0x20 && !matches!(byte, b'"' | b'\\');
            assert_eq!(passes, plain, "byte {byte:#x} after {before}");
        }
    }
}

#[test]
fn numbers_of_any_size_and_form_pass() {
    let long = format!(
        "-{}.{}E+{}",
        "9".repeat(400),
        "0".repeat(400),
        "9".repeat(40)
    );
    for number in [
        "0",
        "-0",
        "0.0",
        "1E400",
        "1e-400",
        "123456789012345678901",
        &long,
    ] {
        assert!(
            scan(&format!(r#"{{"model":"m","x":{number}}}"#)).is_ok(),
            "{number}"
        );
    }
}

#[test]
fn depth_is_bounded_without_recursion() {
    let nested = |depth: usize| {
        format!(
            r#"{{"model":"m","x":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };

    assert!(scan(&nested(MAX_DEPTH - 1)).is_ok());
    assert_eq!(scan(&nested(MAX_DEPTH)), Err(ScanError::TooDeep));
    assert_eq!(scan(&nested(100_000)), Err(ScanError::TooDeep));
}

#[test]
fn half_a_surrogate_pair_passes_in_text_and_is_refused_in_a_top_level_key() {
    assert!(
        scan(r#"{"model":"m","messages":[{"text":"\ud83d","\ud83d":1}]}"#).is_ok(),
        "clients cut emoji in two, and the provider is the one to say so"
    );
    assert_eq!(
        scan(r#"{"model":"m","mo\ud800del":1}"#),
        Err(ScanError::BrokenKey)
    );
}

#[test]
fn a_splice_changes_the_value_of_model_and_nothing_else() {
    let body = concat!(
        "\t{ \"a\":1.0,\"b\":1e-7, \"c\":123456789012345678901234567890,\"d\":\"\\u00e9\\/\",\r\n",
        " \"nested\":{\"model\":\"x\",\"model\":\"y\"}, \"mod\\u0065l\" :\t\"old\\u0020name\" , \"z\":-0.0e+0}  \n"
    );
    let at = scan(body).unwrap().model_at;

    let spliced = renamed(body, "new \"name\"\n\u{1F600}");

    let digest = |head: &str, tail: &str| Sha256::digest(format!("{head}|{tail}"));
    let end = spliced.len() - (body.len() - at.end);
    assert_eq!(
        digest(&body[..at.start], &body[at.end..]),
        digest(&spliced[..at.start], &spliced[end..]),
    );
    assert_eq!(scan(&spliced).unwrap().model, "new \"name\"\n\u{1F600}");
}

#[test]
fn a_name_that_stays_costs_no_copy() {
    let body = Bytes::from_static(br#"{"model":"cl\u0061ude"}"#);

    let spliced = Envelope::scan(&body).unwrap().splice(&body, "claude");

    assert_eq!(spliced.as_ptr(), body.as_ptr());
}

/// Any document, written with the white space and the escapes that a client may use.
fn value() -> impl Strategy<Value = String> {
    let space = || prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t ")];
    let scalar = prop_oneof![
        string(),
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?",
    ];
    let leaf = (space(), scalar, space()).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
    leaf.prop_recursive(5, 48, 6, move |inner| {
        let member = (key(), space(), inner.clone()).prop_map(|(k, s, v)| format!("{s}{k}{s}:{v}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::vec(member, 0..6).prop_map(|v| format!("{{{}}}", v.join(","))),
        ]
    })
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -!#-\\[\\]-~é-ÿ一-丁😀]{0,40}",
        prop::sample::select(vec![
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u0041",
            "\\ud83d\\ude00",
            "\\u00e9"
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => prop::sample::select(vec![
            "\"model\"", "\"mod\\u0065l\"", "\"stream\"", "\"user\"", "\"messages\"",
        ]).prop_map(str::to_owned),
        1 => string(),
    ]
}

fn document() -> impl Strategy<Value = String> {
    let member = (key(), value()).prop_map(|(key, value)| format!("{key}:{value}"));
    let model = string().prop_map(|value| format!("\"model\":{value}"));
    (
        prop::collection::vec(member, 0..5),
        prop::option::of(model),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(mut members, model, at)| {
            if let Some(model) = model {
                members.insert(at.index(members.len() + 1), model);
            }
            format!("{{{}}}", members.join(","))
        })
}

/// Top-level keys as a full parser reads them, repeated ones included.
fn top_level_models(body: &str) -> usize {
    struct Keys(usize);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Keys(0))
        }
    }
    impl<'de> serde::de::Visitor<'de> for Keys {
        type Value = Keys;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(mut self, mut map: A) -> Result<Keys, A::Error> {
            while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                self.0 += usize::from(key == "model");
            }
            Ok(self)
        }
    }
    serde_json::from_str::<Keys>(body).unwrap().0
}

/// Bodies that are nearly right: a good one with a few bytes changed, cut or doubled.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        any::<prop::sample::Index>(),
        0..3_u8,
        prop_oneof![
            prop::sample::select(b"{}[]\",:\\ 0e.-u\n".to_vec()),
            any::<u8>(),
        ],
    );
    (document(), prop::collection::vec(edit, 1..4)).prop_map(|(body, edits)| {
        let mut body = body.into_bytes();
        for (at, kind, byte) in edits {
            let at = at.index(body.len() + 1);
            match (kind, at < body.len()) {
                (0, true) => body[at] = byte,
                (1, true) => drop(body.remove(at)),
                _ => body.insert(at, byte),
            }
        }
        body
    })
}

/// What serde_json, which bounds no depth when it ignores values, thinks of the bytes.
fn serde_accepts(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn is_grammar_error(error: &ScanError) -> bool {
    matches!(
        error,
        ScanError::Syntax { .. } | ScanError::NotUtf8 { .. } | ScanError::ByteOrderMark
    )
}

proptest! {
    #[test]
    fn the_scan_agrees_with_serde_json_on_good_documents(body in document()) {
        let whole: Value = serde_json::from_str(&body).unwrap();

        let scanned = scan(&body);

        match top_level_models(&body) {
            0 => prop_assert_eq!(scanned, Err(ScanError::NoModel)),
            1 => match whole["model"].as_str() {
                None => prop_assert_eq!(scanned, Err(ScanError::ModelNotString)),
                Some("") => prop_assert_eq!(scanned, Err(ScanError::EmptyModel)),
                Some(name) if name.len() > MAX_MODEL => {
                    prop_assert_eq!(scanned, Err(ScanError::ModelTooLong));
                }
                Some(name) => {
                    let envelope = scanned.unwrap();
                    prop_assert_eq!(&envelope.model, name);
                    prop_assert_eq!(envelope.stream, whole["stream"] == Value::Bool(true));
                    prop_assert_eq!(envelope.user.as_deref(), whole["user"].as_str());
                }
            },
            _ => prop_assert!(scanned.is_err(), "two models pass in {}", body),
        }
    }

    #[test]
    fn a_spliced_document_is_the_old_one_with_another_model(body in document(), name in "\\PC{1,20}") {
        let Ok(envelope) = scan(&body) else { return Ok(()) };

        let spliced = renamed(&body, &name);

        let mut expected: Value = serde_json::from_str(&body).unwrap();
        expected["model"] = Value::from(name.as_str());
        prop_assert_eq!(serde_json::from_str::<Value>(&spliced).unwrap(), expected);
        prop_assert!(spliced.starts_with(&body[..envelope.model_at.start]));
        prop_assert!(spliced.ends_with(&body[envelope.model_at.end..]));
    }

    #[test]
    fn damaged_documents_are_refused_exactly_when_serde_json_refuses_them(body in damaged()) {
        match Envelope::scan(&body) {
            Ok(_) => prop_assert!(serde_accepts(&body)),
            Err(error) if is_grammar_error(&error) => prop_assert!(!serde_accepts(&body), "{}", error),
            Err(_) => {}
        }
    }

    #[test]
    fn no_bytes_make_the_scan_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if Envelope::scan(&body).is_ok() {
            prop_assert!(serde_accepts(&body));
        }
    }
}

#[test]
fn the_beginning_of_a_body_tells_its_model_as_soon_as_it_has_passed() {
    let body = r#"{"ü":[{"model":"no"},1e-7],"stream":true,"mod\u0065l":"gpt-é","n":1,"user":"x"}"#;
    let whole = Glance {
        model: Some("gpt-é".to_owned()),
        stream: true,
    };
    let known = body.find(r#","n""#).unwrap();

    assert_eq!(Glance::at(body.as_bytes()), whole);
    for end in 0..body.len() {
        let model = Glance::at(&body.as_bytes()[..end]).model;
        let expected = whole.model.clone().filter(|_| end >= known);
        assert_eq!(model, expected, "{end}");
    }
}

#[test]
fn what_is_no_json_has_no_model_at_its_beginning() {
    for body in [
        "",
        "model",
        "[{\"model\":\"m\"}]",
        "{model:\"m\"}",
        "{\"model\":7}",
        "\u{feff}{\"model\":\"m\"}",
    ] {
        assert_eq!(Glance::at(body.as_bytes()), Glance::default(), "{body}");
    }
    assert_eq!(
        Glance::at(b"{\"model\":\"m\",\xff").model.as_deref(),
        Some("m")
    );
}

#[test]
fn a_beginning_that_names_the_model_twice_has_none() {
    let twice = br#"{"model":"a","input":"x","model":"b"}"#;

    assert_eq!(Glance::at(twice).model, None);
    assert_eq!(Glance::at(&twice[..30]).model.as_deref(), Some("a"));
}

#[test]
fn fields_that_lead_litellm_to_other_models_are_seen_at_the_top_alone() {
    let other_models = |body| scan(body).unwrap().other_models;

    for body in [
        r#"{"model":"a","fallbacks":["b"]}"#,
        r#"{"f\u0061llbacks":[],"model":"a"}"#,
        r#"{"user_config":{},"model":"a"}"#,
    ] {
        assert!(other_models(body), "{body}");
    }
    assert!(!other_models(
        r#"{"model":"a","messages":[{"fallbacks":["b"]}],"metadata":{}}"#
    ));
}
