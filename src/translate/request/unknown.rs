//! Which of the parameters are no chat completion's, and may they be left out?

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::super::Unsupported;
use super::super::openai::{Request, Text};
use super::extensions::is_token;

/// They change the answer, and this dialect has other words for them.
const INSTEAD: &[(&str, &str)] = &[
    ("system", "send a message of the role system"),
    ("instructions", "send a message of the role system"),
    ("reasoning", "use `reasoning_effort`"),
    ("enable_thinking", "use `reasoning_effort` or `thinking`"),
    ("thinking_budget", "use `reasoning_effort` or `thinking`"),
    ("stop_sequences", "use `stop`"),
    ("max_output_tokens", "use `max_completion_tokens`"),
    ("max_tokens_to_sample", "use `max_completion_tokens`"),
    ("response_schema", "use `response_format`"),
    ("output_format", "use `response_format`"),
];

/// Known, and nothing is lost without them.
const HARMLESS: &[&str] = &[
    "model",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "store",
    "prediction",
    "verbosity",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
];

/// What is told of them in a log is bounded.
const MOST: usize = 16;
const LONGEST: usize = 64;

/// A chat completion, and the names of members that are none of its own and not null: found in one reading.
pub(super) fn parse(text: &str) -> serde_json::Result<(Request<'_>, Vec<Text<'_>>)> {
    let (mut json, mut unknown) = (serde_json::Deserializer::from_str(text), Vec::new());
    let request = Request::deserialize(Noting {
        inner: &mut json,
        fields: &[],
        unknown: &mut unknown,
    })?;
    json.end()?;
    Ok((request, unknown))
}

/// The names of those that are left out, for the log.
pub(super) fn check(names: &[Text<'_>]) -> Result<Vec<Cow<'static, str>>, Unsupported> {
    let replaced = |(unknown, _): &&(&str, &str)| names.iter().any(|name| &**name == *unknown);
    if let Some((name, instead)) = INSTEAD.iter().find(replaced) {
        let message = format!("`{name}` is no parameter of a chat completion, {instead}");
        return Err(Unsupported::new(*name, message));
    }
    let told = |name: &Text<'_>| match is_token(name) && name.len() <= LONGEST {
        true => Cow::Owned(name.to_string()),
        false => Cow::Borrowed("a parameter with an odd name"),
    };
    let lost = names.iter().filter(|name| !HARMLESS.contains(&&***name));
    Ok(lost.take(MOST).map(told).collect())
}

/// What stands between the parser and a structure, and keeps the members from it that are none of its fields.
struct Noting<'n, 'de, T> {
    inner: T,
    fields: &'static [&'static str],
    unknown: &'n mut Vec<Text<'de>>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Noting<'_, 'de, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Noting {
            inner: visitor,
            fields,
            unknown: self.unknown,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Noting<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Noting {
            inner: map,
            fields: self.fields,
            unknown: self.unknown,
        })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Noting<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.inner.next_key::<Text<'_>>()? {
            if self.fields.contains(&&*name) {
                return seed.deserialize((*name).into_deserializer()).map(Some);
            }
            if self.inner.next_value::<Option<IgnoredAny>>()?.is_some() {
                self.unknown.push(name);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(text: &str) -> Result<Vec<Cow<'static, str>>, Unsupported> {
        check(&parse(text).unwrap().1)
    }

    #[test]
    fn no_parameter_that_is_honoured_or_harmless_counts_as_unknown() {
        let honoured = r#"{"messages": [], "\u006e": 1, "audio": {}, "anthropic_beta": "x"}"#;
        let (request, unknown) = parse(honoured).unwrap();
        assert!(request.n == Some(1) && request.audio.is_some() && unknown.is_empty());
        for name in HARMLESS {
            assert_eq!(
                left_out(&format!("{{\"{name}\": 1}}")),
                Ok(Vec::new()),
                "{name}"
            );
        }
    }

    #[test]
    fn what_changes_the_answer_is_refused_with_what_to_say_instead() {
        for (name, instead) in INSTEAD {
            let fault = left_out(&format!("{{\"{name}\": {{}}}}")).unwrap_err();

            assert_eq!(fault.param.as_deref(), Some(*name));
            assert!(fault.message.ends_with(instead), "{}", fault.message);
            assert_eq!(left_out(&format!("{{\"{name}\": null}}")), Ok(Vec::new()));
        }
    }

    #[test]
    fn what_is_left_out_is_named_as_far_as_a_log_can_bear_it() {
        let long = "x".repeat(LONGEST + 1);
        let body = format!(r#"{{"top_n": 1, "a\nb": [[]], "{long}": {{}}, "nothing": null}}"#);
        let many: Vec<String> = (0..99).map(|n| format!("\"p{n}\": {n}")).collect();

        let odd = "a parameter with an odd name";
        assert_eq!(
            left_out(&body),
            Ok(["top_n", odd, odd].map(Cow::from).to_vec())
        );
        assert_eq!(
            left_out(&format!("{{{}}}", many.join(","))).unwrap().len(),
            MOST
        );
    }

    #[test]
    fn what_is_no_object_or_more_than_one_is_no_chat_completion() {
        for text in ["[]", "[[]]", "7", "\"messages\"", "{} {}", "{", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
