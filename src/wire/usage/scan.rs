//! Where does a JSON answer say its usage? Found as its pieces pass, however they are cut; nothing else is kept.
//!
//! Only the object itself may say it: what a model wrote within its answer is deeper, or a string.

use memchr::memchr2;

use super::UsageSaid;

/// Gemini's name, of which all others' is the beginning.
const NAME: &[u8] = b"usageMetadata";
const NAMES: [Option<usize>; 2] = [Some("usage".len()), Some(NAME.len())];
/// No provider's is longer.
const LONGEST: usize = 4096;
/// Few are longer.
const USUAL: usize = 512;
/// So many bytes at once are looked through for one that matters: arrays of numbers can be long.
const BLOCK: usize = 32;

/// Looks for the `usage` of a JSON object.
#[derive(Default)]
pub struct UsageScan {
    /// It may stand in an object of that object, too.
    nested: bool,
    place: Place,
    depth: u32,
    /// How much of the name the string under way has matched; `None`: it is another one.
    matched: Option<usize>,
    /// The last token was the name.
    named: bool,
    /// The object under way, while it is the one that is looked for, and the depth at which it stands.
    taken: Option<(u32, Vec<u8>)>,
    said: Option<UsageSaid>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Between,
    String,
    /// After a backslash.
    Escape,
    /// Nothing more is looked for.
    Over,
}

impl UsageScan {
    /// For the data of a streamed event, where `usage` may stand in its `message` or `response`.
    pub fn of_event() -> Self {
        Self {
            nested: true,
            ..Self::default()
        }
    }

    /// Takes note of a piece on its way.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.place != Place::Over {
            let step = self.step(bytes);
            let (passed, rest) = bytes.split_at(step.min(bytes.len()));
            self.take(passed);
            self.mark(passed);
            bytes = rest;
        }
    }

    /// What the answer has said.
    pub fn said(&self) -> Option<UsageSaid> {
        self.said
    }

    /// How many bytes there are up to the next one that matters, with it.
    fn step(&self, bytes: &[u8]) -> usize {
        let at = match self.place {
            Place::Between => next_mark(bytes),
            Place::String => memchr2(b'"', b'\\', bytes),
            Place::Escape | Place::Over => Some(0),
        };
        at.map_or(bytes.len(), |at| at + 1)
    }

    /// Keeps what belongs to the object that is looked for.
    fn take(&mut self, passed: &[u8]) {
        let Some((_, taken)) = &mut self.taken else {
            return;
        };
        if taken.len() + passed.len() > LONGEST {
            self.taken = None;
        } else {
            taken.extend_from_slice(passed);
        }
    }

    /// Goes on by what ends these bytes, if it matters.
    fn mark(&mut self, passed: &[u8]) {
        let last = passed.last().copied().unwrap_or_default();
        match self.place {
            Place::Escape => self.place = Place::String,
            Place::String => self.within_string(passed, last),
            Place::Between => self.between(last),
            Place::Over => {}
        }
    }

    fn within_string(&mut self, passed: &[u8], last: u8) {
        self.matched = self.matched.and_then(|at| {
            let content = match last {
                b'"' | b'\\' => passed.get(..passed.len() - 1)?,
                _ => passed,
            };
            let rest = NAME.get(at..)?;
            rest.starts_with(content).then_some(at + content.len())
        });
        if last == b'\\' {
            self.matched = None;
            self.place = Place::Escape;
        } else if last == b'"' {
            self.named = NAMES.contains(&self.matched);
            self.place = Place::Between;
        }
    }

    fn between(&mut self, last: u8) {
        let named = std::mem::take(&mut self.named);
        match last {
            b'"' if self.depth == 0 => self.place = Place::Over,
            b'"' => {
                let looked_at = self.depth == 1 || self.nested && self.depth == 2;
                self.matched = looked_at.then_some(0);
                self.place = Place::String;
            }
            b'[' if self.depth == 0 => self.place = Place::Over,
            b'{' if named && self.taken.is_none() => {
                let mut taken = Vec::with_capacity(USUAL);
                taken.push(last);
                self.taken = Some((self.depth, taken));
                self.depth += 1;
            }
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.close(),
            // No token ended here.
            _ => self.named = named,
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.place = Place::Over;
        }
        if let Some((_, taken)) = self.taken.take_if(|(depth, _)| *depth == self.depth) {
            self.said = UsageSaid::of(&taken).or(self.said);
        }
    }
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')
}

fn next_mark(bytes: &[u8]) -> Option<usize> {
    let (near, far) = bytes.split_at(bytes.len().min(BLOCK));
    if let Some(at) = near.iter().position(|byte| is_mark(*byte)) {
        return Some(at);
    }
    // Without an early exit in the block, so that the compiler makes vector code of it.
    let has_mark = |block: &&[u8]| block.iter().fold(false, |has, byte| has | is_mark(*byte));
    let block = far.chunks(BLOCK).position(|block| has_mark(&block))?;
    let start = block * BLOCK;
    let within = far.get(start..)?.iter().position(|byte| is_mark(*byte))?;
    Some(near.len() + start + within)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_usage_of_the_answer_itself_is_found() {
        for json in [
            r#"{"usage":{"output_tokens":7}}"#,
            "{ \"id\" : \"m\",\n \"usage\" : {\n \"output_tokens\" : 7, \"a\": {\"b\": []} } , \"x\": 1}",
            r#"{"content":[{"text":"\"usage\":{\"output_tokens\":1}"}],"usage":{"output_tokens":7}}"#,
            r#"{"a":"usage","b":{"output_tokens":1},"usage":{"output_tokens":7}}"#,
            r#"{"usage":null,"usage":{"output_tokens":7}}"#,
        ] {
            assert_eq!(output(json), Some(7), "{json}");
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
        ] {
            assert_eq!(output(json), None, "{json}");
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
}
