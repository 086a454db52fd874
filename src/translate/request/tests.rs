//! What golden files cannot show: bytes that stay, bodies that do not parse, and what the answer needs.

use serde_json::{Value, json};

use super::super::{Capabilities, Defaults, Model, Translated, Unsupported, answer};
use super::request;
use crate::config::Translation;

fn ask(body: &str) -> Result<Translated, Unsupported> {
    let model = Model {
        id: "claude-opus-5",
        alias: "smart",
        capabilities: &Capabilities::of("claude-opus-5", None),
        defaults: &Defaults::default(),
        choices: &Translation::default(),
    };
    request(body.as_bytes(), &model, 77)
}

fn sent(body: &str) -> String {
    String::from_utf8(ask(body).unwrap().body.to_vec()).unwrap()
}

fn fault(body: &str) -> (Option<String>, String) {
    let fault = ask(body).unwrap_err();
    (fault.param, fault.message)
}

#[test]
fn numbers_and_escapes_keep_their_bytes_where_nothing_must_change() {
    let odd = r#"{"a": 1.0, "b":1e-7,  "c":12345678901234567890123, "d":"\u00e9"}"#;
    let schema = format!(r#"{{"type":"object","properties":{{"x":{{"default":{odd}}}}}}}"#);
    let body = json!({
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": [
                {"id": "c1", "function": {"name": "f", "arguments": odd}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
        ],
    });
    let body = body.to_string();
    let rest = body.strip_prefix('{').unwrap();

    let sent = sent(&format!(
        r#"{{"container":{odd},"tools":[{{"function":{{"name":"f","parameters":{schema}}}}}],{rest}"#
    ));

    assert!(sent.contains(&format!(r#""input":{odd}"#)), "{sent}");
    assert!(
        sent.contains(&format!(r#""input_schema":{schema}"#)),
        "{sent}"
    );
    assert!(sent.contains(&format!(r#""container":{odd}"#)), "{sent}");
}

#[test]
fn thoughts_come_back_without_the_index_that_a_stream_gave_them() {
    let thought = r#"{"type":"thinking","thinking":"Hm.","signature":"c2ln"}"#;
    let numbered = thought.replacen('{', r#"{"index":1,"#, 1);

    let sent = sent(&format!(
        r#"{{"messages":[{{"role":"user","content":"Hi"}},{{"role":"assistant","content":"Ok","thinking_blocks":[{numbered}]}},{{"role":"user","content":"Go"}}]}}"#
    ));

    let sent: Value = serde_json::from_str(&sent).unwrap();
    let thought: Value = serde_json::from_str(thought).unwrap();
    assert_eq!(sent["messages"][1]["content"][0], thought, "{sent}");
}

#[test]
fn text_comes_through_whatever_is_in_it() {
    let text = "tab\t quote\" back\\ slash/ nul\u{0} line\u{2028} emoji\u{1F600} é";
    let body = json!({"messages": [{"role": "user", "content": text}]}).to_string();
    let escaped = body
        .replace('/', "\\/")
        .replace('é', "\\u00e9")
        .replace('😀', "\\ud83d\\ude00");

    for body in [body, escaped] {
        let sent: Value = serde_json::from_str(&sent(&body)).unwrap();
        assert_eq!(sent["messages"][0]["content"][0]["text"], text);
    }
}

#[test]
fn data_behind_an_escaped_slash_is_cut_at_the_same_place() {
    let body = r#"{"messages":[{"role":"user","content":[
        {"type":"image_url","image_url":{"url":"data:image\/png;base64,iVBOR\/8="}}]}]}"#;

    let sent: Value = serde_json::from_str(&sent(body)).unwrap();

    let source = &sent["messages"][0]["content"][0]["source"];
    assert_eq!(source["media_type"], "image/png");
    assert_eq!(source["data"], "iVBOR/8=");
}

#[test]
fn the_answer_knows_what_it_needs_of_the_request() {
    let hi = r#""messages":[{"role":"user","content":"Hi"}]"#;

    let plain = ask(&format!("{{{hi}}}")).unwrap().reply;
    let streamed = format!(r#"{{{hi},"stream":true,"stream_options":{{"include_usage":true}}}}"#);
    let streamed = ask(&streamed).unwrap().reply;

    assert_eq!((&*plain.alias, plain.created), ("smart", 77));
    assert_eq!((plain.stream, plain.include_usage), (false, false));
    assert_eq!((streamed.stream, streamed.include_usage), (true, true));
}

#[test]
fn what_the_answer_thought_and_called_can_be_given_back_as_it_is() {
    let hi = r#"{"role":"user","content":"Hi"}"#;
    let tools = r#""tools":[{"function":{"name":"fs.read"}}]"#;
    let reply = ask(&format!(r#"{{"messages":[{hi}],{tools}}}"#))
        .unwrap()
        .reply;
    let content = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "AAA="},
        {"type": "text", "text": "Let me read."},
        {"type": "tool_use", "id": "toolu_1", "name": "fs_read", "input": {"n": 1}},
    ]);
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5",
        "content": content, "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    });

    let told = answer(message.to_string().as_bytes(), &reply).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let said = &told["choices"][0]["message"];
    let result = r#"{"role":"tool","tool_call_id":"toolu_1","content":"1"}"#;
    let again = sent(&format!(r#"{{"messages":[{hi},{said},{result}],{tools}}}"#));

    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(said["tool_calls"][0]["function"]["name"], "fs.read");
    assert_eq!(again["messages"][1]["content"], content);
}

#[test]
fn a_body_that_does_not_parse_says_where_and_repeats_nothing_of_it() {
    let none = |message: &str| (None, message.to_owned());

    assert_eq!(
        fault("{\"a\": ]"),
        none("the body is not JSON (line 1, column 7)")
    );
    assert_eq!(fault("[]"), none("the body is not a JSON object"));
    assert_eq!(fault("null"), none("the body is not a JSON object"));
    let (param, message) = fault(r#"{"messages":[],"user":"a","user":"b"}"#);
    assert_eq!(param.as_deref(), Some("user"));
    assert_eq!(message, "the body names `user` twice");
    for body in [
        r#"{"temperature":"secret words"}"#,
        r#"{"messages":"secret words"}"#,
        r#"{"messages":["secret words"]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":["secret words"]}]}]}"#,
        r#"{"messages":[{"role":"user","content":"secret words \ud800"}]}"#,
        r#"{"tools":[{"function":"secret words"}]}"#,
    ] {
        let (param, message) = fault(body);
        assert!(param.is_some(), "{body}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_body_that_is_not_utf_8_is_refused() {
    let model = Model {
        id: "m",
        alias: "m",
        capabilities: &Capabilities::of("m", None),
        defaults: &Defaults::default(),
        choices: &Translation::default(),
    };

    let fault = request(b"{\"user\": \"\xff\"}", &model, 1).unwrap_err();

    assert_eq!(fault.message, "the body is not UTF-8 (byte 10)");
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = |open: &str, close: &str| open.repeat(20_000) + "1" + &close.repeat(20_000);
    let lists = deep("[", "]");
    let objects = deep(r#"{\"a\":"#, "}");
    let hi = r#""messages":[{"role":"user","content":"Hi"}]"#;

    let call = format!(
        r#"{{"messages":[{{"role":"user","content":"Hi"}},{{"role":"assistant","tool_calls":[{{"id":"a","function":{{"name":"f","arguments":"{objects}"}}}}]}},{{"role":"tool","tool_call_id":"a","content":"1"}}]}}"#
    );
    assert!(ask(&call).is_ok());
    assert!(ask(&format!(r#"{{{hi},"nobody_knows":{lists}}}"#)).is_ok());
    assert!(ask(&format!(r#"{{{hi},"container":{lists}}}"#)).is_ok());
    let schemas = deep(r#"{"anyOf":[{"items":"#, "}]}");
    let (param, _) = fault(&format!(
        r#"{{{hi},"tools":[{{"function":{{"name":"f","parameters":{schemas}}}}}]}}"#
    ));
    assert_eq!(param.as_deref(), Some("tools[0].function.parameters"));
}

#[test]
fn a_default_that_no_request_could_carry_is_named() {
    let parse = |params: Value| Defaults::parse(params.as_object().unwrap());

    let fault = parse(json!({"model": "m", "max_tokens": "many"})).unwrap_err();

    assert_eq!(fault.param, "max_tokens");
    assert!(parse(json!({"model": "m", "rpm": 5})).unwrap().is_empty());
    assert!(parse(json!({"max_tokens": null})).unwrap().is_empty());
    assert!(!parse(json!({"max_tokens": 5})).unwrap().is_empty());
}

#[test]
fn an_object_whose_properties_nobody_names_is_refused_and_not_emptied() {
    let form = |schema: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":"Hi"}}],"response_format":{{"type":"json_schema","json_schema":{{"schema":{schema}}}}}}}"#
        )
    };
    for (schema, said) in [
        (r#"{"type":"object"}"#, "the schema leaves the names"),
        (
            r#"{"properties":{"d":{"type":"object","additionalProperties":true}}}"#,
            "`properties.d` leaves",
        ),
        (
            r#"{"properties":{"d":{"additionalProperties":{"type":"integer"}}}}"#,
            "`properties.d` leaves",
        ),
        (
            r#"{"properties":{"d":{"type":["object","null"],"patternProperties":{"^a":{}}}}}"#,
            "`properties.d` leaves",
        ),
        (
            r##"{"$ref":"#/$defs/D","$defs":{"D":{"properties":{"a":{}},"additionalProperties":{"type":"string"}}}}"##,
            "`$defs.D` leaves",
        ),
        (
            r#"{"properties":{"d":{"oneOf":[{"type":"null"},{"type":"object"}]}}}"#,
            "`properties.d.anyOf.1` leaves",
        ),
    ] {
        let (param, message) = fault(&form(schema));
        assert_eq!(
            param.as_deref(),
            Some("response_format.json_schema.schema"),
            "{schema}"
        );
        assert!(message.starts_with(said), "{schema}: {message}");
    }
    for schema in [
        r#"{"type":"object","properties":{}}"#,
        r#"{"type":"object","additionalProperties":false}"#,
        r#"{"type":"object","properties":{"a":{}},"additionalProperties":true}"#,
        r#"{"type":"object","properties":{"a":{}},"additionalProperties":{"not":{}}}"#,
        r##"{"type":"object","$ref":"#/$defs/D","$defs":{"D":{"properties":{"a":{}}}}}"##,
    ] {
        let sent = sent(&form(schema));
        assert!(sent.contains(r#""additionalProperties":false"#), "{sent}");
    }
}

#[test]
fn alternatives_of_both_kinds_both_hold() {
    let schema = json!({"properties": {"x": {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "oneOf": [{"const": "a"}, {"const": null}],
        "allOf": [{"description": "x"}],
    }}});
    let body = json!({
        "messages": [{"role": "user", "content": "Hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
    });

    let sent: Value = serde_json::from_str(&sent(&body.to_string())).unwrap();

    let x = &sent["output_config"]["format"]["schema"]["properties"]["x"];
    let all = json!({"allOf": [
        {"description": "x"},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"anyOf": [{"const": "a"}, {"const": null}]},
    ]});
    assert_eq!(x, &all);
}

#[test]
fn what_the_system_says_last_is_answered_by_models_that_take_it_in_place_too() {
    let said = |last: &str| {
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":"Hi"}},{{"role":"assistant","content":"Done."}},{last}]}}"#
        );
        let sent: Value = serde_json::from_str(&sent(&body)).unwrap();
        let turns = sent["messages"].as_array().unwrap();
        let turns = turns.iter().map(|turn| turn["role"].as_str().unwrap());
        turns.collect::<Vec<_>>().join(" ")
    };

    let system = r#"{"role":"system","content":"Now summarise."}"#;
    let user = r#"{"role":"user","content":"Go on"}"#;

    assert_eq!(said(system), "user assistant user");
    assert_eq!(
        said(&format!("{user},{system}")),
        "user assistant user system"
    );
    assert_eq!(
        said(&format!("{system},{user}")),
        "user assistant user system"
    );
}

#[test]
fn a_budget_of_the_clients_own_goes_up_as_it_is() {
    let thinking = r#""thinking":{"type":"enabled","budget_tokens":2000}"#;

    let sent = sent(&format!(
        r#"{{"messages":[{{"role":"user","content":"Hi"}}],{thinking}}}"#
    ));

    assert!(
        sent.contains(thinking),
        "only a default is the operator's to outdate: {sent}"
    );
}

#[test]
fn a_schema_that_only_names_what_is_nowhere_is_refused() {
    for schema in [
        r##"{"$ref":"#/$defs/Nobody"}"##,
        r##"{"$ref":"#"}"##,
        r##"{"$ref":"#/$defs/A","$defs":{"A":{"$ref":"#/$defs/A"}}}"##,
        r##"{"$ref":"#/$defs/A","$defs":{"A":{"type":"string"}}}"##,
    ] {
        let (param, _) = fault(&format!(
            r#"{{"messages":[{{"role":"user","content":"Hi"}}],"tools":[{{"function":{{"name":"f","parameters":{schema}}}}}]}}"#
        ));
        assert_eq!(
            param.as_deref(),
            Some("tools[0].function.parameters"),
            "{schema}"
        );
    }
}

#[test]
fn branches_that_name_large_parts_again_and_again_are_refused() {
    let again = [r##"{"$ref":"#/$defs/A"}"##; 60].join(",");
    let schema = format!(
        r#"{{"anyOf":[{{"allOf":[{again}]}},{{"allOf":[{again}]}}],"$defs":{{"A":{{"properties":{{"a":{{}}}}}}}}}}"#
    );

    let (param, _) = fault(&format!(
        r#"{{"messages":[{{"role":"user","content":"Hi"}}],"tools":[{{"function":{{"name":"f","parameters":{schema}}}}}]}}"#
    ));

    assert_eq!(param.as_deref(), Some("tools[0].function.parameters"));
}

#[test]
fn a_tool_in_anthropics_words_is_renamed_with_its_calls_and_its_choice() {
    let body = json!({
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "fs.read"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
        ],
        "tools": [
            {"name": "fs.read", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
            {"name": "fits", "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "fs.read"}},
    });

    let translated = ask(&body.to_string()).unwrap();

    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    let renamed = json!({"name": "fs_read", "input_schema": {"type": "object"},
        "cache_control": {"type": "ephemeral"}});
    assert_eq!(sent["tools"], json!([renamed, body["tools"][1]]));
    assert_eq!(sent["messages"][1]["content"][0]["name"], "fs_read");
    assert_eq!(sent["tool_choice"]["name"], "fs_read");
    assert_eq!(translated.reply.names.original("fs_read"), "fs.read");
}

#[test]
fn what_is_of_the_wrong_type_is_named_as_deep_as_it_stands() {
    let message =
        |rest: &str| format!(r#"{{"messages":[{{"role":"user","content":"Hi"}},{rest}]}}"#);
    let call = |call: &str| {
        message(&format!(
            r#"{{"role":"assistant","tool_calls":[{{"id":"a"}},{call}]}}"#
        ))
    };
    let part = |part: &str| message(&format!(r#"{{"content":[{{"type":"text"}},{part}]}}"#));
    let tool = |tool: &str| format!(r#"{{"messages":[],"tools":[{{}},{tool}]}}"#);

    for (body, place, expected) in [
        (
            call(r#"{"function":{"name":"f","arguments":{}}}"#),
            "messages[1].tool_calls[1].function.arguments",
            "a string",
        ),
        (
            call(r#"{"function":"f"}"#),
            "messages[1].tool_calls[1].function",
            "an object",
        ),
        (call("7"), "messages[1].tool_calls[1]", "an object"),
        (
            part(r#"{"text":[]}"#),
            "messages[1].content[1].text",
            "a string",
        ),
        (
            part(r#"{"file":{"filename":7}}"#),
            "messages[1].content[1].file",
            "a string",
        ),
        (
            message(r#"{"tool_calls":7}"#),
            "messages[1].tool_calls",
            "an array",
        ),
        (
            message(r#"{"is_error":"yes"}"#),
            "messages[1].is_error",
            "a boolean",
        ),
        (
            tool(r#"{"function":{"name":7}}"#),
            "tools[1].function.name",
            "a string",
        ),
        (r#"{"messages":7}"#.to_owned(), "messages", "an array"),
    ] {
        let (param, said) = fault(&body);
        assert_eq!(param.as_deref(), Some(place), "{body}");
        assert_eq!(
            said,
            format!("`{place}` is of the wrong type, expected {expected}")
        );
    }
}
