//! Are errors told, and is whatever comes told in bounds and in form?

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::translate::{Reply, ToolNames};

use super::*;

fn reply(include_usage: bool) -> Reply {
    Reply {
        alias: "sonnet".into(),
        names: ToolNames::default(),
        stream: true,
        include_usage,
        created: 1_760_000_000,
    }
}

fn told(pieces: &[&[u8]], include_usage: bool) -> String {
    let (mut stream, mut out) = (ChunkStream::new(reply(include_usage)), BytesMut::new());
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.end(&mut out);
    assert!(stream.is_over(), "a stream has an end");
    String::from_utf8(out.to_vec()).unwrap()
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn start() -> String {
    event(&json!({"type": "message_start", "message": {"id": "msg_1"}}))
}

fn block(index: u64, block: &Value) -> String {
    event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn delta(index: u64, delta: &Value) -> String {
    event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

#[test]
fn each_error_has_the_status_the_type_and_the_code_of_its_kind() {
    let statuses = [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (402, 402, "billing_error"),
        (403, 403, "permission_error"),
        (404, 404, "not_found_error"),
        (409, 409, "conflict"),
        (413, 413, "request_too_large"),
        (422, 422, "invalid_request_error"),
        (429, 429, "rate_limit_error"),
        (500, 500, "api_error"),
        (502, 502, "api_error"),
        (503, 503, "overloaded_error"),
        (504, 504, "timeout_error"),
        (524, 524, "api_error"),
        (529, 503, "overloaded_error"),
    ];
    for (status, status_told, kind) in statuses {
        let body = json!({"type": "error", "error": {"type": kind, "message": "because"}, "request_id": "req_1"});
        let code = if status == 429 {
            json!("rate_limit_exceeded")
        } else {
            Value::Null
        };
        let expected =
            json!({"error": {"message": "because", "type": kind, "param": null, "code": code}});

        for body in [body.to_string(), "because".to_owned()] {
            let (status_seen, told) = error(status, body.as_bytes());

            assert_eq!(status_seen, status_told);
            let told: Value = serde_json::from_slice(&told).unwrap();
            assert_eq!(told, expected, "{status}: {body}");
        }
    }
}

#[test]
fn an_error_in_any_other_form_says_what_can_be_known() {
    let long = format!("<html>{}", "é".repeat(600));
    let longest: String = long.chars().take(500).collect();
    for (status, body, message, kind) in [
        (
            400,
            r#"{"error":"[ROUTER] no user"}"#,
            "[ROUTER] no user",
            "invalid_request_error",
        ),
        (
            400,
            r#"{"message":"no user","type":"x"}"#,
            "no user",
            "invalid_request_error",
        ),
        (
            400,
            r#"{"error":{"message":"no"}}"#,
            "no",
            "invalid_request_error",
        ),
        (
            500,
            r#"{"type":"overloaded_error","message":"busy"}"#,
            "busy",
            "overloaded_error",
        ),
        (
            404,
            r#"{"detail":[1]}"#,
            r#"{"detail":[1]}"#,
            "not_found_error",
        ),
        (500, "[]", "[]", "api_error"),
        (502, " \n", "the upstream gave no reason", "api_error"),
        (413, &long, &longest, "request_too_large"),
    ] {
        let (_, told) = error(status, body.as_bytes());

        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["error"]["message"], message);
        assert_eq!(told["error"]["type"], kind, "{body}");
    }
    let (_, told) = error(500, b"\xff\xfe \x00");
    assert!(
        serde_json::from_slice::<Value>(&told).is_ok(),
        "bytes that are no text"
    );
}

#[test]
fn a_prompt_that_is_too_long_has_the_code_on_which_clients_shorten_it() {
    let message = "prompt is too long: 208310 tokens > 200000 maximum";
    let body =
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});

    let (_, told) = error(400, body.to_string().as_bytes());

    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["error"]["code"], "context_length_exceeded");
}

#[test]
fn rate_limits_have_the_names_that_openais_clients_read() {
    let pairs = [
        ("requests-limit", Some("x-ratelimit-limit-requests")),
        ("requests-remaining", Some("x-ratelimit-remaining-requests")),
        ("tokens-limit", Some("x-ratelimit-limit-tokens")),
        ("tokens-remaining", Some("x-ratelimit-remaining-tokens")),
        ("input-tokens-limit", None),
        ("output-tokens-reset", None),
    ];
    for (name, told) in pairs {
        let name = format!("anthropic-ratelimit-{name}");
        let told = told.map(|told| (told, Cow::Borrowed("40")));

        assert_eq!(rate_limit_header(&name, "40", UNIX_EPOCH), told, "{name}");
    }
    assert_eq!(rate_limit_header("retry-after", "40", UNIX_EPOCH), None);
}

#[test]
fn a_limit_is_reset_after_so_long_as_openai_says_it() {
    let now = UNIX_EPOCH + Duration::from_millis(1_800_000_000_500);
    assert_eq!(crate::clock::stamp(now), "2027-01-15T08:00:00.500Z");
    for (time, left) in [
        ("2027-01-15T08:00:01Z", Some("1s")),
        ("2027-01-15T08:06:00.5Z", Some("6m0s")),
        ("2027-01-15T09:00:59Z", Some("1h0m59s")),
        ("2027-01-16T08:00:00Z", Some("24h0m0s")),
        ("2027-01-15T08:00:00Z", Some("0s")),
        ("2026-01-15T08:00:00Z", Some("0s")),
        ("soon", None),
        ("", None),
    ] {
        for kind in ["requests", "tokens"] {
            let name = format!("anthropic-ratelimit-{kind}-reset");
            let theirs = rate_limit_header(&name, time, now);

            let left = left.map(|left| (format!("x-ratelimit-reset-{kind}"), left.to_owned()));
            let theirs = theirs.map(|(name, left)| (name.to_owned(), left.into_owned()));
            assert_eq!(theirs, left, "{time:?}");
        }
    }
}

#[test]
fn what_is_no_message_is_not_told_as_one() {
    for body in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"type":"error","error":{"type":"api_error","message":"secret"}}"#,
        r#"{"content":null}"#,
        r#"{"content":["text"]}"#,
        r#"{"content":[{"type":"text","text":7}]}"#,
        r#"{"content":[{"type":"tool_use","id":"t","input":{}}]}"#,
        r#"{"content":[{"type":"text","text":"half"#,
    ] {
        let unreadable = answer(body.as_bytes(), &reply(false)).unwrap_err();

        assert!(
            !unreadable.to_string().contains("secret"),
            "nothing of the answer is said"
        );
    }
}

#[test]
fn an_error_within_a_good_answer_is_known_by_its_envelope_alone() {
    let said = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    let of_router = json!({"error": "no user"});
    for (body, kind, message) in [
        (said, "overloaded_error", "busy"),
        (of_router, "api_error", "no user"),
    ] {
        let told = error_within(body.to_string().as_bytes()).unwrap();

        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["error"]["type"], kind, "{told}");
        assert_eq!(told["error"]["message"], message, "{told}");
    }
    for body in [
        "",
        "<html>",
        "[]",
        r#"{"message":"hello"}"#,
        r#"{"error":null,"message":"hello"}"#,
        r#"{"error":{}}"#,
    ] {
        assert_eq!(error_within(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn an_event_that_cannot_be_understood_ends_the_stream_with_an_error() {
    for bad in [
        "data: {\"type\":\"content_block_delta\"\n\n",
        "data: [DONE]\n\n",
        "data: \"text\"\n\n",
        "event: content_block_delta\ndata: alive\n\n",
        "event: heartbeat\n\ndata: alive\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":-1,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":[\"a\"]}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\u{1}\"}}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":7}\n\n",
    ] {
        let stop = event(&json!({"type": "message_stop"}));

        let told = told(&[format!("{}{bad}{stop}", start()).as_bytes()], true);

        assert!(
            told.ends_with("\"type\":\"upstream_error\",\"param\":null,\"code\":null}}\n\n"),
            "{bad}: {told}"
        );
        assert!(
            !told.contains("finish_reason\":\"") && !told.contains("[DONE]"),
            "{bad}"
        );
    }
}

#[test]
fn an_event_of_a_name_that_anthropic_does_not_use_is_passed_over_whatever_it_says() {
    let text = block(0, &json!({"type": "text", "text": "Hi."}));
    let stop = event(&json!({"type": "message_stop"}));
    let usual = told(
        &[[start(), text.clone(), stop.clone()].concat().as_bytes()],
        true,
    );
    assert!(usual.ends_with("data: [DONE]\n\n"), "{usual}");
    for data in [
        "alive",
        "",
        "null",
        "[]",
        "[DONE]",
        r#"{"type":"content_block_delta","index":0}"#,
        r#"{"type":"error","error":{"message":"not the provider's"}}"#,
    ] {
        let strange = format!("event: heartbeat\ndata: {data}\n\n");
        let given = [
            strange.clone(),
            start(),
            strange.clone(),
            text.clone(),
            strange.clone(),
            stop.clone(),
        ];

        let told = told(&[given.concat().as_bytes()], true);

        assert_eq!(told, usual, "{data:?}");
    }
}

#[test]
fn an_event_beyond_all_measure_is_an_error_and_not_memory() {
    let mut stream = ChunkStream::new(reply(false));
    let mut out = BytesMut::new();
    stream.push(b"data: {\"type\":\"", &mut out);

    for _ in 0..80 {
        stream.push(&[b'x'; 64 * 1024], &mut out);
    }

    assert!(stream.is_over());
    assert!(String::from_utf8_lossy(&out).contains("beyond all measure"));
}

#[test]
fn blocks_that_are_never_stopped_are_bounded() {
    let mut given = start();
    for index in 0..1000 {
        given += &block(
            index,
            &json!({"type": "tool_use", "id": "t", "name": "n", "input": {}}),
        );
    }

    let told = told(&[given.as_bytes()], false);

    assert!(told.contains("too many blocks"), "{}", told.len());
}

#[test]
fn a_long_stream_leaves_nothing_behind() {
    let mut given = start();
    for index in 0..1000 {
        given += &block(
            index,
            &json!({"type": "server_tool_use", "id": "t", "name": "n", "input": {}}),
        );
        given += &delta(
            index,
            &json!({"type": "input_json_delta", "partial_json": "{}"}),
        );
        given += &event(&json!({"type": "content_block_stop", "index": index}));
    }
    given += &event(&json!({"type": "message_stop"}));

    let told = told(&[given.as_bytes()], false);

    assert!(
        told.ends_with("data: [DONE]\n\n"),
        "each block was let go when it stopped"
    );
}

#[test]
fn thinking_too_long_to_keep_is_told_as_text_alone() {
    let piece = "so ".repeat(10_000);
    let mut given = start() + &block(0, &json!({"type": "thinking", "thinking": ""}));
    for _ in 0..20 {
        given += &delta(0, &json!({"type": "thinking_delta", "thinking": piece}));
    }
    given += &delta(0, &json!({"type": "signature_delta", "signature": "c2ln"}));
    given += &event(&json!({"type": "content_block_stop", "index": 0}));
    given += &event(&json!({"type": "message_stop"}));

    let told = told(&[given.as_bytes()], false);

    assert_eq!(told.matches("reasoning_content").count(), 20);
    assert!(
        !told.contains("thinking_blocks"),
        "half of a thought could not be sent back"
    );
}

#[test]
fn a_signed_thought_is_told_though_another_begins_before_it_is_stopped() {
    let stop = |index: u64| event(&json!({"type": "content_block_stop", "index": index}));
    let mut given = start();
    for (index, signature) in [(0, "b25l"), (1, "dHdv")] {
        given += &block(index, &json!({"type": "thinking", "thinking": ""}));
        given += &delta(index, &json!({"type": "thinking_delta", "thinking": "Hm."}));
        given += &delta(
            index,
            &json!({"type": "signature_delta", "signature": signature}),
        );
    }
    given += &[stop(1), stop(0), event(&json!({"type": "message_stop"}))].concat();

    let told = told(&[given.as_bytes()], false);

    for (index, signature) in [(0, "b25l"), (1, "dHdv")] {
        let block = format!(
            r#""thinking_blocks":[{{"index":{index},"type":"thinking","thinking":"Hm.","signature":"{signature}"}}]"#
        );
        assert_eq!(told.matches(&block).count(), 1, "{block} in {told}");
    }
}

#[test]
fn each_count_is_read_by_itself_and_stays_until_a_newer_one_comes() {
    let usage = json!({"input_tokens": 5, "output_tokens": 1, "output_tokens_details": {"thinking_tokens": 4}});
    let begun = json!({"type": "message_start", "message": {"id": "msg_1", "usage": usage}});
    let odd = json!({"input_tokens": 6.5, "cache_read_input_tokens": "7", "output_tokens": 9, "output_tokens_details": {}, "service_tier": 1});
    let counted = json!({"type": "message_delta", "delta": {}, "usage": odd});
    let stop = json!({"type": "message_stop"});
    let given: String = [begun, counted, stop].iter().map(event).collect();

    let told = told(&[given.as_bytes()], true);

    let counts = r#""usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"completion_tokens_details":{"reasoning_tokens":4}}"#;
    assert!(told.contains(counts), "{told}");
}

#[test]
fn text_goes_out_with_the_bytes_that_bring_it() {
    let (mut stream, mut out) = (ChunkStream::new(reply(false)), BytesMut::new());
    let text = delta(0, &json!({"type": "text_delta", "text": "now"}));

    stream.push(start().as_bytes(), &mut out);
    out.clear();
    stream.push(text.as_bytes(), &mut out);

    let told = String::from_utf8(out.to_vec()).unwrap();
    assert!(
        told.contains(r#""delta":{"content":"now"}"#) && told.ends_with("\n\n"),
        "{told}"
    );
}

/// What a client relies on.
fn assert_well_formed(told: &str, include_usage: bool) {
    let mut events = Vec::new();
    assert!(told.is_empty() || told.ends_with("\n\n"));
    for event in told.split_terminator("\n\n") {
        assert!(
            !event.contains(['\n', '\r']),
            "one line an event: {event:?}"
        );
        match event.strip_prefix("data: ") {
            Some(data) => events.push(data),
            None => assert_eq!(event, ": ping"),
        }
    }
    let last = events.pop().unwrap();
    let (mut calls, mut finished) = (0, false);
    for (at, data) in events.iter().enumerate() {
        let chunk: Value = serde_json::from_str(data).unwrap();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(
            (&chunk["created"], &chunk["model"]),
            (&json!(1_760_000_000), &json!("sonnet"))
        );
        let Some(choice) = chunk["choices"].get(0) else {
            assert!(
                include_usage && finished && at + 1 == events.len(),
                "the usage is last"
            );
            assert!(chunk["usage"].is_object() && chunk["choices"] == json!([]));
            continue;
        };
        assert!(!finished, "nothing follows the reason");
        finished = choice["finish_reason"].is_string();
        assert_eq!(
            choice["delta"]["role"].is_string(),
            at == 0,
            "the role comes first, and once"
        );
        let more = choice["delta"]["tool_calls"].as_array();
        for call in more.into_iter().flatten() {
            calls += assert_call_in_order(call, calls);
        }
    }
    assert_eq!(
        last == "[DONE]",
        finished,
        "a stream ends with a reason or with an error"
    );
    if !finished {
        let error: Value = serde_json::from_str(last).unwrap();
        assert!(error["error"]["message"].is_string(), "{last}");
    }
}

/// How many calls it adds to those that were seen.
fn assert_call_in_order(call: &Value, seen: u64) -> u64 {
    let index = call["index"].as_u64().unwrap();
    assert!(call["function"]["arguments"].is_string());
    if call.get("id").is_some() {
        assert_eq!(index, seen, "calls are numbered without gaps");
        1
    } else {
        assert!(index < seen, "a fragment belongs to a call");
        0
    }
}

fn some_block() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"type": "text", "text": ""})),
        Just(json!({"type": "text", "text": "x\"\n"})),
        Just(json!({"type": "thinking", "thinking": "", "signature": ""})),
        Just(json!({"type": "redacted_thinking", "data": "eA=="})),
        Just(json!({"type": "tool_use", "id": "t", "name": "n", "input": {}})),
        Just(json!({"type": "tool_use", "id": "t", "name": "n", "input": {"a": " \\\" "}})),
        Just(json!({"type": "tool_use"})),
        Just(json!({"type": "server_tool_use", "id": "t", "name": "n", "input": {}})),
        Just(json!({"type": "tomorrow", "text": 1})),
    ]
}

fn some_delta() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(|text| json!({"type": "text_delta", "text": text})),
        any::<String>().prop_map(|text| json!({"type": "thinking_delta", "thinking": text})),
        "\\PC{0,3}".prop_map(|part| json!({"type": "input_json_delta", "partial_json": part})),
        Just(json!({"type": "signature_delta", "signature": "eA=="})),
        Just(json!({"type": "citations_delta", "citation": {}})),
        Just(json!({"type": "text_delta", "text": null})),
        Just(json!({"type": "text_delta", "text": 5})),
        Just(json!(7)),
    ]
}

fn some_event() -> impl Strategy<Value = String> {
    let index = || 0..5_u64;
    prop_oneof![
        1 => Just(start()),
        4 => (index(), some_block()).prop_map(|(index, of)| block(index, &of)),
        8 => (index(), some_delta()).prop_map(|(index, of)| delta(index, &of)),
        4 => index().prop_map(|index| event(&json!({"type": "content_block_stop", "index": index}))),
        1 => prop::sample::select(vec!["end_turn", "refusal", "x\""]).prop_map(|stop| event(&json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_details": {"explanation": "\"no\""}},
            "usage": {"output_tokens": u64::MAX, "input_tokens": u64::MAX},
        }))),
        1 => Just(event(&json!({"type": "message_stop"}))),
        1 => Just(event(&json!({"type": "ping"}))),
        1 => Just(event(&json!({"type": "error", "error": {"type": "\"\n", "message": "\r\n\r\n"}}))),
        1 => "(data:|\\{|\"type\"|:|\n|\r|\"|\\PC){0,8}",
    ]
}

proptest! {
    #[test]
    fn whatever_events_come_a_well_formed_stream_goes_out(
        begins in prop::bool::weighted(0.9),
        events in prop::collection::vec(some_event(), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        include_usage in any::<bool>(),
    ) {
        let given = if begins { start() } else { String::new() } + &events.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(given.len() + 1)).collect();
        cuts.extend([0, given.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &given.as_bytes()[cut[0]..cut[1]]).collect();

        let whole = told(&[given.as_bytes()], include_usage);

        assert_well_formed(&whole, include_usage);
        prop_assert_eq!(told(&pieces, include_usage), whole, "cuts change nothing");
    }

    #[test]
    fn whatever_bytes_come_a_well_formed_stream_goes_out(bytes in any::<Vec<u8>>(), begins in any::<bool>()) {
        let start = if begins { start() } else { String::new() };

        let told = told(&[start.as_bytes(), &bytes], false);

        assert_well_formed(&told, false);
        prop_assert!(!told.contains("[DONE]"));
    }

    #[test]
    fn whatever_body_comes_is_told_as_json_or_not_at_all(blocks in prop::collection::vec(some_block(), 0..8), stop in any::<String>()) {
        let body = json!({"id": "msg_1", "content": blocks, "stop_reason": stop, "usage": {"input_tokens": 1.5}});

        if let Ok(told) = streamed(body.to_string().as_bytes(), &reply(true)) {
            assert_well_formed(std::str::from_utf8(&told).unwrap(), true);
        }
        if let Ok(told) = answer(body.to_string().as_bytes(), &reply(false)) {
            let told: Value = serde_json::from_slice(&told).unwrap();
            prop_assert!(told["choices"][0]["finish_reason"].is_string());
        }
    }
}
