//! Is each stream seen for what it is, wherever it is cut?

use proptest::prelude::*;

use super::*;

const MESSAGES: &str = "/v1/messages";

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
        .collect()
}

fn tail(path: &str) -> Tail {
    Tail::of(&headers(&[("content-type", "text/event-stream")]), path).unwrap()
}

fn passed(pieces: &[&[u8]]) -> Tail {
    let mut tail = tail(MESSAGES);
    pieces.iter().for_each(|piece| tail.pass(piece));
    tail
}

const WHOLE: [&str; 8] = [
    "event: ping\ndata: {\"type\":\"ping\"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
    "event:message_stop\rdata:{}\r\r",
    ": note\n\nevent: message_stop\nid: 7\ndata: {\"type\":\"message_stop\"}\n\n",
    "data: {\"id\":\"é\"}\n\ndata: [DONE]\n\n",
    "data: {}\r\n\r\ndata:[DONE]\r\n\r\n",
    "data: { \"type\" : \"message_stop\" }\n\n",
    "data: [DONE]",
];

const UNFINISHED: [&str; 9] = [
    "",
    "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
    "event: message_stop\n\n",
    "event: message_stop\n",
    "event: message_stop\n\ndata: {}\n\n",
    "data: {\"text\":\"data: [DONE]\\n\\nevent: message_stop\\ndata: {}\\n\"}\n\n",
    "event: content_block_delta\ndata: [DONE]\n\n",
    "xdata: [DONE]\n\n",
    "data: {\"type\":\"delta\",\"error\":\"message_stop\"}\n\n",
];

/// Streams with an error in them, and its kind.
const FAILED: [(&str, ProviderError); 8] = [
    (
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"é\"}}\n\n",
        ProviderError::Overloaded,
    ),
    (
        "event: ping\ndata: {}\n\nevent:error\r\ndata:{\"error\":{\"type\":\"rate_limit_error\"}}\r\n\r\n",
        ProviderError::RateLimit,
    ),
    ("event: error\ndata: {}\n\n", ProviderError::Api),
    ("event: error\ndata: gone\n\n", ProviderError::Api),
    (
        "data: {\"type\": \"error\", \"error\": {\"type\": \"overloaded_error\"}}\n\n",
        ProviderError::Overloaded,
    ),
    (
        "data: {}\n\ndata: {\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"code\":null}}\n\n",
        ProviderError::Api,
    ),
    (
        "data: {\"error\": {\"message\": \"x\", \"type\": null, \"code\": \"429\"}}\n\ndata: [DONE]\n\n",
        ProviderError::RateLimit,
    ),
    (
        "data: { \"error\": \"no such thing\", \"code\": 9}\r\r",
        ProviderError::Api,
    ),
];

#[test]
fn only_a_plain_event_stream_can_take_an_error_event() {
    let is_plain = |pairs: &[_]| Tail::of(&headers(pairs), MESSAGES).is_some();

    let events = ("content-type", "text/event-stream");
    assert!(is_plain(&[(
        "content-type",
        "text/event-stream; charset=utf-8"
    )]));
    assert!(!is_plain(&[("content-type", "application/json")]));
    assert!(!is_plain(&[events, ("content-encoding", "gzip")]));
    assert!(!is_plain(&[events, ("content-length", "5")]));
}

#[test]
fn a_whole_stream_is_known_wherever_it_is_cut_into_pieces() {
    for stream in WHOLE {
        let bytes = stream.as_bytes();
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);

            let tail = passed(&[first, second]);

            assert!(
                tail.is_finished() && !tail.is_truncated(),
                "{stream:?} at {cut}"
            );
            assert_eq!(tail.seen_error(), None, "{stream:?} at {cut}");
        }
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert!(passed(&bytewise).is_finished(), "{stream:?} byte by byte");
    }
}

#[test]
fn text_that_mentions_an_end_is_none() {
    for stream in UNFINISHED {
        for size in 1..=stream.len().max(1) {
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();

            let tail = passed(&pieces);

            assert!(tail.is_truncated(), "{stream:?} by {size}");
            assert_eq!(tail.seen_error(), None, "{stream:?} by {size}");
        }
    }
}

#[test]
fn a_stream_is_truncated_wherever_it_ends_before_its_last_event() {
    let whole = WHOLE[0].as_bytes();
    let last_line = whole.len() - 1;

    for cut in 0..last_line {
        assert!(passed(&[&whole[..cut]]).is_truncated(), "at {cut}");
    }
}

#[test]
fn an_error_inside_a_stream_is_seen_with_its_kind_wherever_it_is_cut() {
    for (stream, kind) in FAILED {
        for size in 1..=stream.len() {
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();

            let tail = passed(&pieces);

            assert_eq!(tail.seen_error(), Some(kind), "{stream:?} by {size}");
            assert!(!tail.is_truncated(), "an error ends a stream: {stream:?}");
        }
    }
}

#[test]
fn a_field_named_error_that_holds_none_is_none() {
    let tail = passed(&[b"data: {\"error\":null,\"id\":\"x\"}\n\n"]);

    assert_eq!(tail.seen_error(), None);
}

#[test]
fn where_streams_do_not_say_their_end_none_is_missed() {
    for path in [
        MESSAGES,
        "/anthropic/v1/messages",
        "/v1/chat/completions",
        "/chat/completions",
        "/openai/deployments/x/chat/completions",
        "/v1/completions",
    ] {
        assert!(tail(path).is_truncated(), "{path}");
    }
    for path in ["/v1/responses", "/v1beta/models/x:streamGenerateContent"] {
        assert!(!tail(path).is_truncated(), "{path}");
    }
}

#[test]
fn a_line_without_end_takes_little_room() {
    let mut tail = tail(MESSAGES);
    tail.pass(b"event: error\ndata: {\"error\":{\"type\":\"overloaded_error\",\"message\":\"");
    for _ in 0..100 {
        tail.pass(&[b'x'; 10_000]);
    }

    assert!(tail.lines.unfinished().len() <= LINE_KEPT);

    tail.pass(b"\"}}\n\n");
    assert_eq!(
        tail.seen_error(),
        Some(ProviderError::Api),
        "an error of some kind"
    );
    assert!(tail.lines.unfinished().is_empty());
}

#[test]
fn between_events_the_error_stands_alone() {
    for pieces in [
        &[&b""[..]][..],
        &[b"data: {}\r", b"\n", b"\r\n"],
        &[b"data: {}\n", b"\n"],
        &[b": keep-alive\r\r"],
    ] {
        let event = passed(pieces).error_event(Dialect::Anthropic, "gone", "gone", "r1");

        assert!(
            event.starts_with(b"event: error\ndata: {\"type\":\"error\""),
            "{pieces:?} {event:?}"
        );
        assert!(event.ends_with(b"\n\n"));
    }
}

#[test]
fn a_cut_event_becomes_an_error_event_in_the_anthropic_dialect() {
    for cut in [
        &b"event: content_block_delta\ndata: {\"ty"[..],
        b"data: {}\n",
    ] {
        let event = passed(&[cut]).error_event(Dialect::Anthropic, "gone", "gone", "r1");

        assert!(event.starts_with(b"\nevent: error\n"), "{event:?}");
    }
}

#[test]
fn the_openai_dialect_says_it_as_a_data_object() {
    let event = passed(&[]).error_event(Dialect::OpenAi, "gone", "gone", "r1");

    assert!(event.starts_with(b"data: {\"error\":{"), "{event:?}");
}

#[test]
fn our_own_error_event_is_seen_as_an_error_by_whoever_watches_next() {
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        for begun in [
            "",
            "data: {}\n\n",
            "event: content_block_delta\ndata: {\"ty",
        ] {
            let event = passed(&[begun.as_bytes()]).error_event(dialect, "gone", "gone", "r1");

            let next = passed(&[begun.as_bytes(), &event]);

            assert!(next.seen_error().is_some(), "{dialect:?} {begun:?}");
        }
    }
}

/// Streams with the input, the output and the pieces that they say; a text in each speaks of other numbers.
const COUNTED: [(&str, (u64, u64, u64)); 6] = [
    (
        "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
         event: content_block_delta\ndata: {\"usage\":{\"input_tokens\":500}}\n\n\
         event: message_delta\ndata: {\"delta\":{},\"usage\":{\"output_tokens\":20}}\n\n\
         event: message_delta\ndata: {\"delta\":{},\"usage\":{\"output_tokens\":30}}\n\n\
         event: message_stop\ndata: {}\n\n",
        (9, 30, 1),
    ),
    (
        "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":500}\"}}],\"usage\":null}\n\n\
         data: {\"choices\":[], \"usage\" : {\"prompt_tokens\":9,\"completion_tokens\":30}}\n\ndata: [DONE]\n\n",
        (9, 30, 2),
    ),
    (
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9}}}\r\r\
         data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":30}}\r\rdata: {\"type\":\"message_stop\"}\r\r",
        (9, 30, 2),
    ),
    (
        "event: response.output_text.delta\ndata: {\"delta\":\"\"}\n\n\
         event: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":10,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":30}}}\n\n",
        (9, 30, 1),
    ),
    (
        "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
         event: content_block_delta\ndata: {}\n\nevent: content_block_delta\ndata: {}\n\n",
        (9, 2, 2),
    ),
    (
        "data: {\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":4}}\n\n\
         data: {\"candidates\":[],\"usageMetadata\" : {\"promptTokenCount\":9,\"candidatesTokenCount\":30}}\n\n",
        (9, 30, 2),
    ),
];

#[test]
fn what_a_stream_took_is_seen_wherever_it_is_cut() {
    for (stream, said) in COUNTED {
        for cut in 0..=stream.len() {
            let (start, rest) = stream.as_bytes().split_at(cut);
            let tail = passed(&[start, rest]);

            let usage = tail.usage().unwrap();
            assert_eq!(
                (usage.input, usage.output, tail.pieces()),
                said,
                "{cut} {stream}"
            );
        }
    }
}

#[test]
fn the_usage_behind_a_whole_answer_in_one_line_is_seen_wherever_it_is_cut() {
    let text = "x".repeat(3 * LINE_KEPT);
    let usage = r#""usage":{"input_tokens":9,"output_tokens":3000}"#;
    for start in ["event: response.completed\n", ""] {
        let stream = format!(
            "{start}data: {{\"type\":\"response.completed\",\"response\":{{\"output\":[{{\"text\":\"{text}\"}}],{usage}}}}}\n\ndata: [DONE]\n\n"
        );
        for cut in (1..stream.len()).step_by(97) {
            let (first, rest) = stream.as_bytes().split_at(cut);
            let tail = passed(&[first, rest]);

            let usage = tail.usage().unwrap();
            assert_eq!((usage.input, usage.output), (9, 3000), "{cut} {start}");
            assert!(tail.is_finished(), "{cut} {start}");
        }
    }
}

#[test]
fn a_usage_in_a_shape_that_is_not_known_is_none() {
    let tail = passed(&[b"data: {\"choices\":[{}],\"usage\":{\"units\":9}}\n\n"]);

    assert_eq!((tail.usage(), tail.pieces()), (None, 1));
}

proptest! {
    #[test]
    fn what_is_seen_does_not_hang_on_how_it_is_cut(
        lines in prop::collection::vec(prop::sample::select(vec![
            "event: message_stop", "event: error", "event: ping", "data: [DONE]", "data: {}", "",
            "data: {\"error\":{\"type\":\"overloaded_error\"}}", ": x", "data: {\"type\":\"message_stop\"}",
            "id: é",
        ]), 0..12),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 12),
        cuts in prop::collection::vec(1..9_usize, 1..40),
    ) {
        let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [*line, *end]).collect();
        let mut pieced = tail(MESSAGES);
        let mut rest = text.as_bytes();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieced.pass(piece);
            rest = after;
        }
        pieced.pass(rest);

        let whole = passed(&[text.as_bytes()]);

        prop_assert_eq!(pieced.is_finished(), whole.is_finished());
        prop_assert_eq!(pieced.seen_error(), whole.seen_error());
        let [a, b] = [pieced, whole].map(|tail| tail.error_event(Dialect::OpenAi, "gone", "gone", "r"));
        prop_assert_eq!(a, b);
    }

    #[test]
    fn any_bytes_pass(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();

        let tail = passed(&pieces);

        prop_assert!(tail.lines.unfinished().len() <= LINE_KEPT);
    }
}
