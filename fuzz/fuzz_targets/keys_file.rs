//! Is there a keys file that lets in what it should not, or whose faults repeat what may be a key?
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use memgate::clock::parse_stamp;
use memgate::config::{KeysFile, ListedKey, yaml_as_json};
use serde_json::Value;

/// What a key would be, where somebody put it in the place of its digest.
const SHORTEST_KEY: usize = 8;

fn parts(key: &ListedKey) -> impl PartialEq + use<'_> {
    let flags = [key.disabled, key.impersonate, key.shared];
    let texts = [
        Some(&*key.name),
        key.user.as_deref(),
        key.expires.as_deref(),
    ];
    (texts, key.sha256, &key.models, key.limits, flags)
}

fn assert_sound(keys: &[ListedKey]) {
    let names: HashSet<&str> = keys.iter().map(|key| &*key.name).collect();
    let digests: HashSet<[u8; 32]> = keys.iter().map(|key| key.sha256).collect();
    assert_eq!((names.len(), digests.len()), (keys.len(), keys.len()));
    for key in keys {
        assert!(
            (1..=64).contains(&key.name.len()) && key.name.bytes().all(|b| b.is_ascii_graphic())
        );
        assert!(!["master", "anonymous"].contains(&&*key.name));
        let fits = |user: &str| (1..=256).contains(&user.len()) && !user.contains(char::is_control);
        assert!(key.user.as_deref().is_none_or(fits));
        assert!(!key.shared || key.user.is_none());
        // What cannot be read counts as past, and is.
        let readable = |end: &str| parse_stamp(end).is_some() || end < "1970-01-02";
        assert!(
            key.expires.as_deref().is_none_or(readable),
            "{:?}",
            key.expires
        );
        let dollars = key.limits.usd_per_day;
        assert!(dollars.is_none_or(|dollars| dollars > 0.0 && dollars.is_finite()));
    }
}

/// The keys that stand in the place of digests and nowhere else.
fn digests(text: &[u8]) -> Vec<String> {
    let Ok(Value::Object(root)) = yaml_as_json(text, "f") else {
        return Vec::new();
    };
    let keys = root.get("keys").and_then(Value::as_array);
    let said = keys
        .into_iter()
        .flatten()
        .filter_map(|key| key.get("sha256")?.as_str());
    let alone = |digest: &&str| {
        let times = text
            .windows(digest.len())
            .filter(|part| *part == digest.as_bytes());
        digest.len() >= SHORTEST_KEY && digest.starts_with("sk-") && times.count() == 1
    };
    said.filter(alone).map(str::to_owned).collect()
}

fuzz_target!(init: memgate_fuzz::let_the_yaml_parser_panic(), |text: &[u8]| {
    let keys = match KeysFile::parse(text, "keys.yaml") {
        Ok(keys) => keys,
        Err(faults) => {
            let digests = digests(text);
            assert!(faults.iter().len() > 0);
            for fault in faults.iter().map(ToString::to_string) {
                assert!(!fault.contains(char::is_control), "{fault:?} is no one line");
                assert!(!digests.iter().any(|digest| fault.contains(digest)), "{fault}");
            }
            return;
        }
    };

    assert_sound(&keys);
    if !text.contains(&b'\r') {
        let other = String::from_utf8_lossy(text).replace('\n', "\r\n");
        let other = KeysFile::parse(other.as_bytes(), "keys.yaml").expect("line ends do not matter");
        assert_eq!(other.len(), keys.len());
        assert!(keys.iter().map(parts).eq(other.iter().map(parts)));
    }
});
