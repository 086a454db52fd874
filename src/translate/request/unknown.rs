//! Which of the parameters are no chat completion's, and may they be left out?

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
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

/// The names of those that are left out, for the log.
pub(super) fn check(text: &str) -> Result<Vec<Cow<'static, str>>, Unsupported> {
    // It was parsed once already.
    let Unknown(names) = serde_json::from_str(text).unwrap_or_default();
    let replaced = |(unknown, _): &&(&str, &str)| names.iter().any(|name| &**name == *unknown);
    if let Some((name, instead)) = INSTEAD.iter().find(replaced) {
        let message = format!("`{name}` is no parameter of a chat completion, {instead}");
        return Err(Unsupported::new(*name, message));
    }
    let told = |name: &Text<'_>| match is_token(name) && name.len() <= LONGEST {
        true => Cow::Owned(name.to_string()),
        false => Cow::Borrowed("a parameter with an odd name"),
    };
    Ok(names.iter().take(MOST).map(told).collect())
}

/// The names of members that we do not know and that are not null.
#[derive(Default)]
struct Unknown<'a>(Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Unknown<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Unknown<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut unknown = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'_>, Option<IgnoredAny>>()? {
                    if value.is_some() && !KNOWN.contains(&&*name) && !HARMLESS.contains(&&*name) {
                        unknown.push(name);
                    }
                }
                Ok(Unknown(unknown))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// The fields of a request, which its own deserializer names.
static KNOWN: LazyLock<&'static [&'static str]> = LazyLock::new(|| {
    let mut fields: &'static [&'static str] = &[];
    // It is asked for the fields alone, and so never done.
    let _ = Request::deserialize(Fields(&mut fields));
    fields
});

struct Fields<'f>(&'f mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no structure"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("no values"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_that_is_honoured_or_harmless_counts_as_unknown() {
        assert!(KNOWN.contains(&"messages") && KNOWN.contains(&"anthropic_beta"));
        for name in KNOWN.iter().chain(HARMLESS) {
            assert_eq!(
                check(&format!("{{\"{name}\": 1}}")),
                Ok(Vec::new()),
                "{name}"
            );
        }
    }

    #[test]
    fn what_changes_the_answer_is_refused_with_what_to_say_instead() {
        for (name, instead) in INSTEAD {
            let fault = check(&format!("{{\"{name}\": {{}}}}")).unwrap_err();

            assert_eq!(fault.param.as_deref(), Some(*name));
            assert!(fault.message.ends_with(instead), "{}", fault.message);
            assert_eq!(check(&format!("{{\"{name}\": null}}")), Ok(Vec::new()));
        }
    }

    #[test]
    fn what_is_left_out_is_named_as_far_as_a_log_can_bear_it() {
        let long = "x".repeat(LONGEST + 1);
        let body = format!(r#"{{"top_n": 1, "a\nb": [[]], "{long}": {{}}, "nothing": null}}"#);
        let many: Vec<String> = (0..99).map(|n| format!("\"p{n}\": {n}")).collect();

        let odd = "a parameter with an odd name";
        assert_eq!(
            check(&body),
            Ok(["top_n", odd, odd].map(Cow::from).to_vec())
        );
        assert_eq!(
            check(&format!("{{{}}}", many.join(","))).unwrap().len(),
            MOST
        );
    }
}
