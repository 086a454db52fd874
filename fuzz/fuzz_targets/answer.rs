//! Is there an answer that is told differently when it is cut, or told in a form that no client can read?
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use memgate::translate::{ChunkStream, Reply, ToolNames, answer, error};
use serde::de::IgnoredAny;

fn told(pieces: &[&[u8]], include_usage: bool) -> String {
    let (mut stream, mut out) = (ChunkStream::new(reply(include_usage)), BytesMut::new());
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.end(&mut out);
    assert!(stream.is_over());
    String::from_utf8(out.to_vec()).expect("text")
}

fn reply(include_usage: bool) -> Reply {
    Reply {
        alias: "sonnet".into(),
        names: ToolNames::default(),
        stream: true,
        include_usage,
        created: 1,
    }
}

fn assert_json(text: &str) {
    // A lone surrogate passes as it came, and is no fault of form.
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, given)) = data.split_first() else {
        return;
    };
    let pieces: Vec<&[u8]> = given.chunks(usize::from(cut).max(1)).collect();

    let whole = told(&[given], cut % 2 == 0);

    assert_eq!(told(&pieces, cut % 2 == 0), whole);
    let mut reasons = 0;
    for event in whole.split_terminator("\n\n") {
        match event.strip_prefix("data: ") {
            Some("[DONE]") => reasons += 1,
            Some(data) => assert_json(data),
            None => assert_eq!(event, ": ping"),
        }
    }
    assert_eq!(whole.ends_with("data: [DONE]\n\n"), reasons == 1);
    if let Ok(told) = answer(given, &reply(false)) {
        assert_json(&String::from_utf8_lossy(&told));
    }
    let (_, told) = error(500, given);
    assert_json(&String::from_utf8_lossy(&told));
});
