//! Does any valid conversation become one that keeps Anthropic's rules of turns?

use std::collections::BTreeSet;

use memgate::config::Translation;
use memgate::translate::{self, Capabilities, Defaults, Model, Translated};
use proptest::prelude::{Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest, sample};
use serde_json::{Value, json};

const MODELS: [&str; 4] = [
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-4-8",
    "claude-fable-5-1",
];
const NAMES: [&str; 7] = ["f", "g", "fs.read", "fs/read", "fs_read", "größe", "a b"];

/// What happens between two answers: the calls' results and what else is said, in any order.
#[derive(Clone, Debug)]
enum Said {
    User(String),
    Parts(Vec<String>),
    System(String),
}

/// One answer of the assistant's, and what is said after it.
#[derive(Clone, Debug)]
struct Round {
    text: Option<String>,
    thinks: bool,
    calls: Vec<(String, &'static str)>,
    after: Vec<Said>,
    /// Moves the results among what is said.
    shuffle: u64,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~äß\u{1F600}]{0,12}",
        1 => sample::select(vec![String::new(), " \n".to_owned(), "\u{a0}".to_owned()]),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        text().prop_map(Said::User),
        prop::collection::vec(text(), 0..3).prop_map(Said::Parts),
        text().prop_map(Said::System),
    ]
}

fn round() -> impl Strategy<Value = Round> {
    (
        prop::option::of(text()),
        any::<bool>(),
        prop::collection::vec(("[a-z.:/_-]{0,3}", sample::select(NAMES.to_vec())), 0..4),
        prop::collection::vec(said(), 0..4),
        any::<u64>(),
    )
        .prop_map(|(text, thinks, calls, after, shuffle)| Round {
            text,
            thinks,
            calls,
            after,
            shuffle,
        })
}

impl Said {
    fn message(&self) -> Value {
        match self {
            Self::User(text) => json!({"role": "user", "content": text}),
            Self::Parts(texts) => {
                let parts = texts
                    .iter()
                    .map(|text| json!({"type": "text", "text": text}));
                json!({"role": "user", "content": parts.collect::<Vec<_>>()})
            }
            Self::System(text) => json!({"role": "system", "content": text}),
        }
    }
}

impl Round {
    /// Each id is used once in a conversation, however odd it is.
    fn messages(&self, at: usize) -> Vec<Value> {
        let id = |call: usize, odd: &str| format!("{odd}.{at}_{call}");
        let calls: Vec<Value> = self
            .calls
            .iter()
            .enumerate()
            .map(|(call, (odd, name))| {
                json!({"id": id(call, odd), "type": "function",
                    "function": {"name": name, "arguments": "{\"n\": 1.0}"}})
            })
            .collect();
        let mut answer = json!({"role": "assistant", "content": self.text});
        if !calls.is_empty() {
            answer["tool_calls"] = Value::from(calls);
        }
        if self.thinks {
            answer["thinking_blocks"] =
                json!([{"type": "thinking", "thinking": "hm", "signature": "c2ln"}]);
        }
        let results = self.calls.iter().enumerate().map(|(call, (odd, _))| {
            json!({"role": "tool", "tool_call_id": id(call, odd), "content": "1"})
        });
        let mut after: Vec<Value> = self
            .after
            .iter()
            .map(Said::message)
            .chain(results)
            .collect();
        let turn = usize::try_from(self.shuffle % 7).unwrap();
        let length = after.len().max(1);
        after.rotate_left(turn % length);
        [vec![answer], after].concat()
    }
}

fn ask(model: &str, rounds: &[Round]) -> Translated {
    let mut messages = vec![
        json!({"role": "system", "content": "Sys"}),
        json!({"role": "user", "content": "Hi"}),
    ];
    for (at, round) in rounds.iter().enumerate() {
        messages.extend(round.messages(at));
    }
    messages.push(json!({"role": "user", "content": "Bye"}));
    let tools: Vec<Value> = NAMES
        .iter()
        .map(|name| json!({"type": "function", "function": {"name": name}}))
        .collect();
    let body = json!({"model": "alias", "messages": messages, "tools": tools});
    let model = Model {
        id: model,
        alias: "alias",
        capabilities: &Capabilities::of(model, None),
        defaults: &Defaults::default(),
        choices: &Translation::default(),
    };
    translate::request(body.to_string().as_bytes(), &model, 1).unwrap()
}

fn fits(name: &Value) -> bool {
    let name = name.as_str().unwrap();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}

fn blocks(turn: &Value) -> &Vec<Value> {
    turn["content"].as_array().unwrap()
}

fn ids<'t>(turn: &'t Value, kind: &str, id: &str) -> Vec<&'t str> {
    let of_kind = blocks(turn).iter().filter(|block| block["type"] == kind);
    of_kind.map(|block| block[id].as_str().unwrap()).collect()
}

/// Users and assistants take turns; the system speaks after a user and before an assistant.
fn order_is_kept(turns: &[Value], in_place: bool) -> bool {
    let roles: Vec<&str> = turns
        .iter()
        .map(|turn| turn["role"].as_str().unwrap())
        .collect();
    roles.windows(2).all(|pair| match pair {
        ["user", "system"] | ["system", "assistant"] => in_place,
        ["user", "assistant"] | ["assistant", "user"] => true,
        _ => false,
    })
}

/// Each call has its result in the user's turn that follows, before anything else there.
fn results_come_first(turns: &[Value]) -> bool {
    turns.windows(2).all(|pair| {
        let called: BTreeSet<&str> = ids(&pair[0], "tool_use", "id").into_iter().collect();
        let given = ids(&pair[1], "tool_result", "tool_use_id");
        let leading = blocks(&pair[1])
            .iter()
            .take_while(|block| block["type"] == "tool_result")
            .count();
        leading == given.len()
            && (pair[0]["role"] != "assistant" || called == given.into_iter().collect())
    })
}

proptest! {
    #[test]
    fn any_valid_conversation_keeps_the_rules_of_turns(
        rounds in prop::collection::vec(round(), 0..5),
        model in sample::select(MODELS.to_vec()),
    ) {
        let translated = ask(model, &rounds);

        let body: Value = serde_json::from_slice(&translated.body).unwrap();
        let turns = body["messages"].as_array().unwrap();
        let in_place = Capabilities::of(model, None).accepts.system_in_messages;
        prop_assert_eq!(&turns[0]["role"], "user");
        prop_assert!(order_is_kept(turns, in_place), "{body:#}");
        prop_assert!(results_come_first(turns), "{body:#}");
        let system = body["system"].as_array().unwrap();
        for block in turns.iter().flat_map(blocks).chain(system) {
            let text = block["text"].as_str().unwrap_or("x");
            prop_assert!(!text.trim().is_empty(), "no block is blank: {body:#}");
        }
        prop_assert!(turns.iter().all(|turn| !blocks(turn).is_empty()), "{body:#}");
    }

    #[test]
    fn any_id_and_name_fits_and_every_name_finds_back(
        rounds in prop::collection::vec(round(), 1..5),
    ) {
        let translated = ask(MODELS[0], &rounds);

        let body: Value = serde_json::from_slice(&translated.body).unwrap();
        let called = body["messages"].as_array().unwrap().iter().flat_map(blocks);
        let called: Vec<&Value> = called.filter(|block| block["type"] == "tool_use").collect();
        let distinct: BTreeSet<&str> = called.iter().map(|call| call["id"].as_str().unwrap()).collect();
        prop_assert_eq!(distinct.len(), called.len(), "two calls never share an id");
        prop_assert!(called.iter().all(|call| fits(&call["id"]) && fits(&call["name"])));
        let asked = rounds.iter().flat_map(|round| &round.calls).map(|(_, name)| *name);
        let back = called.iter().map(|call| translated.reply.names.original(call["name"].as_str().unwrap()));
        prop_assert!(asked.eq(back), "{body:#}");
        let offered = body["tools"].as_array().unwrap().iter();
        let offered: Vec<&str> = offered.map(|tool| translated.reply.names.original(tool["name"].as_str().unwrap())).collect();
        prop_assert_eq!(offered, NAMES);
    }
}
