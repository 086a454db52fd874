//! Is each answer told as its golden file says, however its stream is cut and framed?

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::BytesMut;
use memgate::config::Translation;
use memgate::translate::{
    self, Capabilities, ChunkStream, Defaults, Model, Reply, ToolNames, answer, streamed,
};
use serde_json::{Value, json};

use super::cases;

/// What the request left for the answer: `reply.json` says where it differs from the usual.
fn reply(case: &Path) -> Reply {
    let said = fs::read_to_string(case.join("reply.json")).unwrap_or("{}".to_owned());
    let said: Value = serde_json::from_str(&said).unwrap();
    Reply {
        alias: said["model"].as_str().unwrap_or("sonnet").into(),
        names: fs::read(case.join("openai_request.json"))
            .map_or(ToolNames::default(), |body| names(&body)),
        stream: true,
        include_usage: said["include_usage"] == json!(true),
        created: 1_760_000_000,
    }
}

/// The names that the request's tools were sent under.
fn names(request: &[u8]) -> ToolNames {
    let id = "claude-sonnet-4-5";
    let model = Model {
        id,
        alias: "sonnet",
        capabilities: &Capabilities::of(id, None),
        defaults: &Defaults::default(),
        choices: &Translation::default(),
    };
    translate::request(request, &model, 0).unwrap().reply.names
}

fn told(pieces: &[&[u8]], reply: Reply) -> String {
    let (mut stream, mut out) = (ChunkStream::new(reply), BytesMut::new());
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.end(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

/// The message that a client puts together of chunks, as an answer that is not streamed has it.
fn put_together(stream: &str) -> Value {
    let (mut message, mut calls) = (json!({"content": ""}), BTreeMap::<u64, Value>::new());
    let (mut finish, mut usage) = (Value::Null, Value::Null);
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    for chunk in data.filter(|data| *data != "[DONE]") {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        usage = chunk.get("usage").unwrap_or(&usage).clone();
        let Some(choice) = chunk["choices"].get(0) else {
            continue;
        };
        finish = choice["finish_reason"].clone();
        for name in ["role", "content", "reasoning_content", "refusal"] {
            if let Some(more) = choice["delta"][name].as_str() {
                message[name] = json!(message[name].as_str().unwrap_or("").to_owned() + more);
            }
        }
        if let Some(blocks) = choice["delta"]["thinking_blocks"].as_array() {
            let mut known = message["thinking_blocks"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            for block in blocks {
                let mut block = block.clone();
                let index = block.as_object_mut().unwrap().remove("index");
                assert_eq!(index, Some(json!(known.len())), "{stream}");
                known.push(block);
            }
            message["thinking_blocks"] = json!(known);
        }
        for call in choice["delta"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let known = calls
                .entry(call["index"].as_u64().unwrap())
                .or_insert_with(|| json!({"function": {"arguments": ""}}));
            let more = call["function"]["arguments"].as_str().unwrap();
            let arguments = known["function"]["arguments"].as_str().unwrap().to_owned() + more;
            if let Some(id) = call.get("id") {
                *known = json!({"id": id, "type": call["type"], "function": {"name": call["function"]["name"]}});
            }
            known["function"]["arguments"] = json!(arguments);
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into_values().collect();
    }
    json!({"message": message, "finish_reason": finish, "usage": usage})
}

/// Both kinds of answer in one form: no text is an empty one, and arguments are what they mean.
fn comparable(mut answer: Value) -> Value {
    let message = answer["message"].as_object_mut().unwrap();
    if message.get("content") == Some(&Value::Null) {
        message.insert("content".to_owned(), json!(""));
    }
    message.retain(|_, value| !value.is_null());
    for call in message
        .get_mut("tool_calls")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let arguments = call["function"]["arguments"].as_str().unwrap();
        call["function"]["arguments"] = serde_json::from_str(arguments).unwrap();
    }
    answer
}

#[test]
fn each_whole_answer_is_told_as_its_golden_file_says() {
    let cases = cases("anthropic_answer.json");

    for case in &cases {
        let told = answer(
            &fs::read(case.join("anthropic_answer.json")).unwrap(),
            &reply(case),
        );

        let told: Value = serde_json::from_slice(&told.unwrap()).unwrap();
        let golden = fs::read(case.join("openai_answer.json")).unwrap();
        let golden: Value = serde_json::from_slice(&golden).unwrap();
        assert_eq!(told, golden, "{}", case.display());
    }
    assert!(cases.len() >= 30, "{} cases were found", cases.len());
}

#[test]
fn each_stream_is_told_as_its_golden_file_says_however_it_is_cut_and_framed() {
    let cases = cases("anthropic.sse");

    for case in &cases {
        let given = fs::read_to_string(case.join("anthropic.sse")).unwrap();
        let golden = fs::read_to_string(case.join("openai.sse")).unwrap();
        for (lines, given) in [
            ("LF", given.clone()),
            ("CRLF", given.replace('\n', "\r\n")),
            ("CR", given.replace('\n', "\r")),
        ] {
            let given = given.as_bytes();
            let bytes: Vec<&[u8]> = given.chunks(1).collect();
            let sevens: Vec<&[u8]> = given.chunks(7).collect();

            assert_eq!(
                told(&[given], reply(case)),
                golden,
                "{lines}, whole, {}",
                case.display()
            );
            assert_eq!(
                told(&bytes, reply(case)),
                golden,
                "{lines}, byte by byte, {}",
                case.display()
            );
            assert_eq!(
                told(&sevens, reply(case)),
                golden,
                "{lines}, in sevens, {}",
                case.display()
            );
        }
    }
    assert!(cases.len() >= 30, "{} cases were found", cases.len());
}

#[test]
fn a_whole_answer_told_as_a_stream_tells_the_same_message() {
    let cases = cases("anthropic_answer.json");

    for case in &cases {
        let given = fs::read(case.join("anthropic_answer.json")).unwrap();
        let asked = Reply {
            include_usage: true,
            ..reply(case)
        };
        let stream = streamed(&given, &asked).unwrap();
        let whole: Value = serde_json::from_slice(&answer(&given, &asked).unwrap()).unwrap();

        let stream = String::from_utf8(stream.to_vec()).unwrap();
        assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
        let choice = &whole["choices"][0];
        let whole = json!({"message": choice["message"], "finish_reason": choice["finish_reason"], "usage": whole["usage"]});
        assert_eq!(
            comparable(put_together(&stream)),
            comparable(whole),
            "{}",
            case.display()
        );
    }
}

#[test]
fn a_stream_tells_the_same_message_as_a_whole_answer() {
    let mut both = cases("openai_answer.json");
    both.retain(|case| case.join("openai.sse").exists());

    for case in &both {
        let whole = fs::read(case.join("openai_answer.json")).unwrap();
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        let asked = Reply {
            include_usage: true,
            ..reply(case)
        };
        let stream = told(&[&fs::read(case.join("anthropic.sse")).unwrap()], asked);

        let choice = &whole["choices"][0];
        let whole = json!({"message": choice["message"], "finish_reason": choice["finish_reason"], "usage": whole["usage"]});
        assert_eq!(
            comparable(put_together(&stream)),
            comparable(whole),
            "{}",
            case.display()
        );
    }
    assert!(both.len() >= 25, "{} cases were found", both.len());
}
