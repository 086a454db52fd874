//! Is there a body that breaks the translator, or becomes a request that Anthropic's rules of form refuse?
#![no_main]

use libfuzzer_sys::fuzz_target;
use memgate::config::Translation;
use memgate::translate::{Capabilities, Defaults, Model, request};
use serde::Deserialize;

const MODELS: [&str; 6] = [
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-4-8",
    "claude-fable-5-1",
    "claude-3-5-haiku",
    "stranger",
];

#[derive(Deserialize)]
struct Sent {
    messages: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    id: Option<String>,
    tool_use_id: Option<String>,
    name: Option<String>,
}

fn fits(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.bytes().all(allowed)
}

fn assert_turns(turns: &[Turn], in_place: bool) {
    assert!(!turns.is_empty());
    assert_ne!(turns[0].role, "system");
    for pair in turns.windows(2) {
        let ordered = match (pair[0].role.as_str(), pair[1].role.as_str()) {
            ("user", "system") | ("system", "assistant") => in_place,
            (before, after) => before != after && after != "system" && before != "system",
        };
        assert!(ordered);
    }
    for turn in turns {
        assert!(!turn.content.is_empty());
        let result = |block: &&Block| block.kind == "tool_result";
        let leading = turn.content.iter().take_while(result).count();
        assert_eq!(leading, turn.content.iter().filter(result).count());
        for block in &turn.content {
            assert!(
                block
                    .text
                    .as_ref()
                    .is_none_or(|text| !text.trim().is_empty())
            );
            assert!(block.id.as_deref().is_none_or(fits));
            assert!(block.tool_use_id.as_deref().is_none_or(fits));
            assert!(
                block
                    .name
                    .as_deref()
                    .is_none_or(|name| fits(name) && name.len() <= 128)
            );
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let id = MODELS[usize::from(choice) % MODELS.len()];
    let capabilities = Capabilities::of(id, None);
    let switch = |bit: u8| choice >> bit & 1 == 1;
    let choices = Translation {
        lenient: switch(5),
        strict_tools: switch(6),
        dummy_tool: switch(7),
        ..Translation::default()
    };
    let model = Model {
        id,
        alias: "alias",
        capabilities: &capabilities,
        defaults: &Defaults::default(),
        choices: &choices,
    };

    let Ok(translated) = request(body, &model, 1) else {
        return;
    };

    let sent: Sent = serde_json::from_slice(&translated.body).expect("a request");
    assert_turns(&sent.messages, capabilities.accepts.system_in_messages);
    for beta in &translated.betas {
        assert!(
            beta.bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b',')
        );
    }
});
