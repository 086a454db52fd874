//! Is the usage found, and nothing else taken for it?

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::wire::usage::Usage;

fn scanned(pieces: &[&[u8]]) -> Option<UsageSaid> {
    let mut scan = UsageScan::default();
    for piece in pieces {
        scan.push(piece);
    }
    scan.said()
}

fn output(json: &str) -> Option<u64> {
    Some(scanned(&[json.as_bytes()])?.usage().output)
}

/// As it comes byte by byte.
fn output_of_bytes(json: &str) -> Option<u64> {
    let bytes: Vec<&[u8]> = json.as_bytes().chunks(1).collect();
    Some(scanned(&bytes)?.usage().output)
}

#[test]
fn the_usage_of_the_answer_itself_is_found() {
    for json in [
        r#"{"usage":{"output_tokens":7}}"#,
        "{ \"id\" : \"m\",\n \"usage\" : {\n \"output_tokens\" : 7, \"a\": {\"b\": []} } , \"x\": 1}",
        r#"{"content":[{"text":"\"usage\":{\"output_tokens\":1}"}],"usage":{"output_tokens":7}}"#,
        r#"{"a":"usage","b":{"output_tokens":1},"usage":{"output_tokens":7}}"#,
        r#"{"usage":null,"usage":{"output_tokens":7}}"#,
        r#"{"content":[{"input":{"usage":{"output_tokens":1}}}],"usage":{"output_tokens":7}}"#,
        r#"{"text":"a,","usage":{"output_tokens":7}}"#,
        r#"{"\"usage":{"output_tokens":1}, "usage":{"output_tokens":7}}"#,
    ] {
        assert_eq!(output(json), Some(7), "{json}");
        assert_eq!(output_of_bytes(json), Some(7), "{json}");
    }
}

#[test]
fn what_a_model_wrote_is_not_taken_for_it() {
    for json in [
        r#"{"content":[{"type":"tool_use","input":{"usage":{"output_tokens":7}}}]}"#,
        r#"{"a":{"usage":{"output_tokens":7}}}"#,
        r#"[{"usage":{"output_tokens":7}}]"#,
        r#""usage":{"output_tokens":7}"#,
        r#"{"a":"usage"},{"output_tokens":7}"#,
        r#"{"xusage":{"output_tokens":7},"usagex":{"output_tokens":7},"usa":{"output_tokens":7}}"#,
        r#"{"\usage":{"output_tokens":7}}"#,
        r#"{"usage":[{"output_tokens":7}]}"#,
        r#"{"usage":"x","y":{"output_tokens":7}}"#,
        r#"{"usage":{"output_tokens":7"#,
        r#"{"a\"usage":{"output_tokens":7}}"#,
        r#"{"a":[1,"usage",{"output_tokens":7}]}"#,
    ] {
        assert_eq!(output(json), None, "{json}");
        assert_eq!(output_of_bytes(json), None, "{json}");
    }
}

#[test]
fn an_event_says_it_itself_or_one_level_deeper() {
    let output = |json: &str| {
        let mut scan = UsageScan::of_event();
        json.as_bytes().chunks(3).for_each(|piece| scan.push(piece));
        Some(scan.said()?.usage().output)
    };
    for json in [
        r#"data: {"type":"x","response":{"output":[{"text":"a"}],"usage":{"output_tokens":7,"d":{"usage":{"output_tokens":1}}},"b":{}}}"#,
        r#"{"message":{"usage":{"output_tokens":7}}}"#,
        r#"{"usage":{"output_tokens":7}}"#,
        r#"{"usageMetadata":{"candidatesTokenCount":7}}"#,
    ] {
        assert_eq!(output(json), Some(7), "{json}");
    }
    for json in [
        r#"{"response":{"output":[{"input":{"usage":{"output_tokens":7}}}]}}"#,
        r#"{"item":{"input":{"usage":{"output_tokens":7}}}}"#,
        r#"{"usageMeta":{"output_tokens":7}}"#,
    ] {
        assert_eq!(output(json), None, "{json}");
    }
}

#[test]
fn a_usage_beyond_all_measure_is_not_held() {
    let long = format!(
        r#"{{"usage":{{"x":"{}","output_tokens":7}}}}"#,
        "x".repeat(LONGEST)
    );

    assert_eq!(output(&long), None);
}

#[test]
fn numbers_are_passed_over_in_blocks() {
    for count in 0..200 {
        let numbers = vec!["0.125"; count].join(",");
        let json = format!(
            r#"{{"data":[{{"embedding":[{numbers}]}}],"usage":{{"prompt_tokens":{count}}}}}"#
        );
        let found = scanned(&[json.as_bytes()]).unwrap().usage();
        assert_eq!(found.input, count as u64);
    }
}

/// Any JSON, with a fondness for the name.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!("usage")),
        Just(json!(null)),
        any::<f64>().prop_map(|number| json!(number)),
        "[a\"\\\\{}\\[\\]:,u]{0,8}".prop_map(Value::from),
    ];
    let key = || prop_oneof![Just("usage".to_owned()), "[a\"\\\\]{0,3}"];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn it_finds_what_a_parser_finds_wherever_the_bytes_are_cut(
        others in prop::collection::btree_map("[a-z\"]{0,3}", value(), 0..5),
        counts in prop::option::of((0..1000u64, 0..1000u64)),
        at in 0..6usize,
        cuts in prop::collection::vec(0..400usize, 0..6),
        pretty in any::<bool>(),
    ) {
        let mut answer: Vec<(String, Value)> = others.into_iter().collect();
        if let Some((input, output)) = counts {
            let usage = json!({"input_tokens": input, "output_tokens": output, "x": {"y": "}"}});
            answer.insert(at.min(answer.len()), ("usage".to_owned(), usage));
        }
        let answer = Value::Object(answer.into_iter().collect());
        let json = if pretty { format!("{answer:#}") } else { answer.to_string() };

        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(json.len())).collect();
        cuts.extend([0, json.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &json.as_bytes()[cut[0]..cut[1]]).collect();

        let usage = counts.map(|(input, output)| Usage { input, output, ..Usage::default() });
        prop_assert_eq!(scanned(&pieces).map(|said| said.usage()), usage, "{}", json);
    }

    #[test]
    fn no_bytes_make_it_panic_or_hold_much(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
        let mut scan = UsageScan::default();
        for piece in &pieces {
            scan.push(piece);
        }
        prop_assert!(scan.taken.is_none_or(|(_, taken)| taken.len() <= LONGEST));
    }
}
