//! Is there a body of which the scan reads something else than JSON says, or of which a splice changes more than the model?
#![no_main]

use std::fmt;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use memgate::body::{Envelope, Glance, MAX_MODEL, ScanError};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

const OTHERS: [&str; 4] = [
    "m",
    "claude-sonnet-4-5-20250929",
    "quo\"te\\\n",
    "zażółć \u{1f600}",
];
/// Deeper ones may be refused.
const DEPTH: usize = 512;

/// The members of an object as another parser finds them; `None` for a name that is no text.
struct Members<'a>(Vec<(Option<String>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Objects;

        impl<'de> Visitor<'de> for Objects {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<Key, &RawValue>()? {
                    members.push((member.0.0, member.1));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Objects)
    }
}

/// Half of a surrogate pair is bytes that are no UTF-8.
struct Key(Option<String>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl Visitor<'_> for Names {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Key, E> {
                Ok(Key(String::from_utf8(name.to_vec()).ok()))
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(Key(Some(name.to_owned())))
            }
        }

        deserializer.deserialize_bytes(Names)
    }
}

/// What the scan must come to, by another parser of JSON; `None` where that has a fault to find.
fn expected(text: &str) -> Option<Envelope> {
    // Bytes are read with less care than strings are skipped.
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let Members(members) = serde_json::from_str(text).ok()?;
    let text_of = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
    let mut found = Envelope {
        model: String::new(),
        model_at: 0..0,
        stream: false,
        user: None,
        other_models: false,
    };
    let mut models = 0;
    for (name, value) in members {
        match name?.as_str() {
            "model" => {
                models += 1;
                found.model = text_of(value)?;
                let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
                found.model_at = start..start + value.get().len();
            }
            "stream" => found.stream = value.get() == "true",
            "user" => found.user = text_of(value),
            "fallbacks"
            | "context_window_fallbacks"
            | "context_window_fallback_dict"
            | "content_policy_fallbacks"
            | "model_list"
            | "user_config"
            | "extra_body"
            | "prompt_id" => found.other_models = true,
            _ => {}
        }
    }
    (models == 1 && (1..=MAX_MODEL).contains(&found.model.len())).then_some(found)
}

fn assert_same_but_the_model(body: &Bytes, envelope: &Envelope) {
    let same = envelope.splice(body, &envelope.model);
    assert_eq!(
        same.as_ptr(),
        body.as_ptr(),
        "nothing is copied for nothing"
    );
    let around = |body: &Bytes, envelope: &Envelope| {
        let at = &envelope.model_at;
        (body.slice(..at.start), body.slice(at.end..))
    };
    for other in OTHERS {
        let spliced = envelope.splice(body, other);
        let again = Envelope::scan(&spliced).expect("a splice breaks nothing");
        assert_eq!(
            (again.model.as_str(), again.stream),
            (other, envelope.stream)
        );
        assert_eq!(again.user, envelope.user);
        assert_eq!(around(&spliced, &again), around(body, envelope));

        let back = again.splice(&spliced, &envelope.model);
        let there = Envelope::scan(&back).expect("a splice breaks nothing");
        assert_eq!(there.model, envelope.model);
        assert_eq!(around(&back, &there), around(body, envelope));
    }
}

fn assert_glances(body: &[u8], envelope: &Envelope) {
    let whole = Glance::at(body);
    assert_eq!(whole.model.as_ref(), Some(&envelope.model));
    assert_eq!(whole.stream, envelope.stream);
    let step = (body.len() / 32).max(1);
    for end in (0..body.len()).step_by(step) {
        let seen = Glance::at(&body[..end]).model;
        assert!(seen.is_none_or(|model| model == envelope.model));
    }
}

fuzz_target!(|data: &[u8]| {
    let scanned = Envelope::scan(data);
    let _ = Glance::at(data);
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(matches!(
            scanned,
            Err(ScanError::NotUtf8 { .. } | ScanError::ByteOrderMark)
        ));
        return;
    };
    let deep = data.iter().filter(|byte| b"[{".contains(byte)).count() > DEPTH;
    match scanned {
        Ok(envelope) => {
            assert_eq!(Some(&envelope), expected(text).as_ref());
            assert_same_but_the_model(&Bytes::copy_from_slice(data), &envelope);
            assert_glances(data, &envelope);
        }
        Err(ScanError::TooDeep) => assert!(deep),
        Err(error) => {
            assert_eq!(expected(text), None, "{error}");
            let sound = serde_json::from_str::<IgnoredAny>(text).is_ok();
            let of_form = matches!(error, ScanError::Syntax { .. } | ScanError::ByteOrderMark);
            assert!(!(sound && of_form), "{error}");
        }
    }
});
