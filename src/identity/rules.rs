//! How do a request's headers tell the memory user? `user_id_mappings`, in their order.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use regex::Regex;
use serde::Serialize;

use crate::config::{HeaderPattern, Identity};

use super::MemoryUser;

/// The custom header, then the key's own user, then the patterns in order, then the default.
pub struct IdentityRules {
    custom_header: Option<HeaderName>,
    patterns: Vec<Pattern>,
    default: Option<MemoryUser>,
}

struct Pattern {
    header: HeaderName,
    regex: Regex,
    user: Option<MemoryUser>,
}

/// Whom a key stands for, and what of its clients' headers is believed.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'k> {
    pub user: Option<&'k str>,
    /// The custom header may name another user.
    pub impersonates: bool,
    /// Patterns may tell which of many it is.
    pub shared: bool,
}

impl Standing<'_> {
    /// Nobody proved anything, and everything said is believed.
    pub const ANYBODY: Self = Self {
        user: None,
        impersonates: true,
        shared: true,
    };
}

/// A memory user, and what told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub user: MemoryUser,
    pub by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    CustomHeader,
    Key,
    Pattern,
    Default,
}

impl By {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomHeader => "custom_header",
            Self::Key => "key",
            Self::Pattern => "header_pattern",
            Self::Default => "default",
        }
    }
}

/// The answer of `GET /memory-routing/info`, in the words its users know.
#[derive(Debug, Serialize)]
pub struct Info {
    pub user_id: Option<String>,
    /// The first pattern found, also where the custom header or the key overrides it.
    pub matched_pattern: Option<MatchedPattern>,
    pub custom_header_present: bool,
    pub is_default: bool,
}

#[derive(Debug, Serialize)]
pub struct MatchedPattern {
    pub header: String,
    /// What the caller sent; `null` where that may be a key.
    pub value: Option<String>,
    pub pattern: String,
    pub user_id: Option<String>,
}

impl IdentityRules {
    pub fn new(identity: &Identity) -> Self {
        Self {
            custom_header: identity.custom_header.clone(),
            patterns: identity.header_patterns.iter().map(Pattern::new).collect(),
            default: identity
                .default_user_id
                .as_deref()
                .and_then(MemoryUser::new),
        }
    }

    /// `None` also for a custom header or a key that names what cannot be a user: whoever names a memory must not
    /// end up in another one.
    pub fn resolve(&self, headers: &HeaderMap, key: Standing<'_>) -> Option<Resolved> {
        let custom = || self.custom(headers).filter(|_| key.impersonates);
        let matched = || self.matched(headers).filter(|_| key.shared);
        let (user, by) = if let Some(id) = custom() {
            let id = str::from_utf8(id.as_bytes()).ok();
            (id.and_then(MemoryUser::new), By::CustomHeader)
        } else if let Some(id) = key.user {
            (MemoryUser::new(id), By::Key)
        } else if let Some((pattern, _)) = matched() {
            (pattern.user.clone(), By::Pattern)
        } else {
            (self.default.clone(), By::Default)
        };
        user.map(|user| Resolved { user, by })
    }

    /// The header in which clients name a user themselves: nobody else's business.
    pub fn custom_header(&self) -> Option<&HeaderName> {
        self.custom_header.as_ref()
    }

    pub fn info(&self, headers: &HeaderMap, key: Standing<'_>) -> Info {
        let resolved = self.resolve(headers, key);
        Info {
            matched_pattern: self
                .matched(headers)
                .map(|(pattern, value)| pattern.shown(&value)),
            custom_header_present: self.custom(headers).is_some(),
            is_default: resolved.as_ref().is_some_and(|r| r.by == By::Default),
            user_id: resolved.map(|resolved| resolved.user.as_str().to_owned()),
        }
    }

    /// The custom header's value; an empty one says nothing.
    fn custom<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let value = headers.get(self.custom_header.as_ref()?)?;
        Some(value).filter(|id| !id.as_bytes().trim_ascii().is_empty())
    }

    fn matched<'h>(&self, headers: &'h HeaderMap) -> Option<(&Pattern, Cow<'h, str>)> {
        self.patterns.iter().find_map(|pattern| {
            let mut values = headers.get_all(&pattern.header).iter().map(text);
            let value = values.find(|value| pattern.regex.is_match(value))?;
            Some((pattern, value))
        })
    }
}

impl Pattern {
    fn new(pattern: &HeaderPattern) -> Self {
        Self {
            header: pattern.header.clone(),
            regex: pattern.pattern.clone(),
            user: MemoryUser::new(&pattern.user_id),
        }
    }

    fn shown(&self, value: &str) -> MatchedPattern {
        let header = self.header.as_str();
        let maybe_key = ["auth", "key", "cookie", "token"];
        let secret = maybe_key.iter().any(|word| header.contains(word));
        MatchedPattern {
            header: header.to_owned(),
            value: (!secret).then(|| value.to_owned()),
            pattern: self.regex.as_str().to_owned(),
            user_id: self.user.as_ref().map(|user| user.as_str().to_owned()),
        }
    }
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> IdentityRules {
        let pattern = |header, pattern, user_id: &str| HeaderPattern {
            header: HeaderName::from_static(header),
            pattern: Regex::new(pattern).unwrap(),
            user_id: user_id.into(),
        };
        IdentityRules::new(&Identity {
            custom_header: Some(HeaderName::from_static("x-sm-user-id")),
            header_patterns: vec![
                pattern("user-agent", "OpenAIClientImpl/Java", "pycharm"),
                pattern("user-agent", "Java", "java"),
                pattern("authorization", "^Bearer sk-", "keyed"),
            ],
            default_user_id: Some("everybody".into()),
        })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    fn user(pairs: &[(&'static str, &str)]) -> Option<(String, By)> {
        let resolved = rules().resolve(&headers(pairs), Standing::ANYBODY)?;
        Some((resolved.user.as_str().to_owned(), resolved.by))
    }

    fn told(user: &str, by: By) -> Option<(String, By)> {
        Some((user.to_owned(), by))
    }

    #[test]
    fn the_custom_header_comes_before_patterns_and_default() {
        let java = ("user-agent", "OpenAIClientImpl/Java unknown");

        assert_eq!(
            user(&[("x-sm-user-id", "alice"), java]),
            told("alice", By::CustomHeader)
        );
        assert_eq!(user(&[java]), told("pycharm", By::Pattern));
        assert_eq!(
            user(&[("user-agent", "some Java client")]),
            told("java", By::Pattern),
            "patterns are searched for, in order"
        );
        assert_eq!(user(&[]), told("everybody", By::Default));
    }

    #[test]
    fn an_empty_custom_header_says_nothing_and_an_unusable_one_resolves_to_nobody() {
        let long = "u".repeat(300);

        assert_eq!(
            user(&[("x-sm-user-id", "  ")]),
            told("everybody", By::Default)
        );
        assert_eq!(
            user(&[("x-sm-user-id", &long)]),
            None,
            "who names a memory must not end up in the default one"
        );
    }

    #[test]
    fn two_names_that_are_no_text_are_not_one_user() {
        for name in [b"anna\xff".as_slice(), b"anna\xfe"] {
            let mut said = HeaderMap::new();
            let name = HeaderValue::from_bytes(name).unwrap();
            said.insert("x-sm-user-id", name);

            assert_eq!(rules().resolve(&said, Standing::ANYBODY), None);
        }
    }

    #[test]
    fn nobody_is_resolved_where_no_rule_applies() {
        let rules = IdentityRules::new(&Identity::default());
        let info = rules.info(&headers(&[("x-sm-user-id", "alice")]), Standing::ANYBODY);

        assert_eq!(rules.resolve(&HeaderMap::new(), Standing::ANYBODY), None);
        assert_eq!(info.user_id, None);
        assert!(!info.custom_header_present && !info.is_default);
    }

    #[test]
    fn info_answers_in_the_words_its_users_know() {
        let java = ("user-agent", "Java/1");
        let info = rules().info(
            &headers(&[("x-sm-user-id", "alice"), java]),
            Standing::ANYBODY,
        );

        assert_eq!(
            serde_json::to_value(info).unwrap(),
            serde_json::json!({
                "user_id": "alice",
                "matched_pattern": {
                    "header": "user-agent", "value": "Java/1", "pattern": "Java", "user_id": "java"
                },
                "custom_header_present": true,
                "is_default": false,
            })
        );
        assert!(
            rules()
                .info(&HeaderMap::new(), Standing::ANYBODY)
                .is_default
        );
    }

    #[test]
    fn info_never_repeats_a_key() {
        let info = rules().info(
            &headers(&[("authorization", "Bearer sk-secret")]),
            Standing::ANYBODY,
        );

        assert_eq!(info.user_id.as_deref(), Some("keyed"));
        assert!(!serde_json::to_string(&info).unwrap().contains("sk-secret"));
    }

    #[test]
    fn a_key_of_somebodys_means_that_one_whatever_its_clients_say() {
        let said = headers(&[("x-sm-user-id", "bob"), ("user-agent", "Java/1")]);
        let resolve = |key| {
            let resolved = rules().resolve(&said, key).unwrap();
            (resolved.user.as_str().to_owned(), resolved.by)
        };
        let key = |user, impersonates, shared| Standing {
            user,
            impersonates,
            shared,
        };

        for (key, user, by) in [
            (key(Some("anna"), false, false), "anna", By::Key),
            (key(Some("anna"), false, true), "anna", By::Key),
            (key(Some("anna"), true, false), "bob", By::CustomHeader),
            (key(None, false, true), "java", By::Pattern),
            (key(None, false, false), "everybody", By::Default),
        ] {
            assert_eq!(resolve(key), (user.to_owned(), by), "{key:?}");
        }
    }

    #[test]
    fn a_key_whose_user_cannot_be_one_resolves_to_nobody() {
        let key = Standing {
            user: Some("a\nb"),
            ..Standing::ANYBODY
        };

        assert_eq!(rules().resolve(&HeaderMap::new(), key), None);
    }

    proptest! {
        #[test]
        fn no_headers_change_the_user_of_a_key_that_may_not_impersonate(
            user in prop::option::of("[a-z]{1,8}"),
            said in prop::collection::vec((any_name(), "[ -~]{0,24}"), 0..12),
        ) {
            let key = Standing { user: user.as_deref(), impersonates: false, shared: false };
            let said: HeaderMap = said
                .into_iter()
                .map(|(name, value)| (name, HeaderValue::from_str(&value).unwrap()))
                .collect();

            let silent = rules().resolve(&HeaderMap::new(), key);

            prop_assert_eq!(rules().resolve(&said, key), silent);
        }
    }

    /// Those that the rules read, in all the ways that clients write them, and others.
    fn any_name() -> impl Strategy<Value = HeaderName> {
        let known = prop::sample::select(vec![
            "x-sm-user-id",
            "X-SM-User-ID",
            "user-agent",
            "authorization",
            "x-api-key",
            "x-memory-user-id",
        ]);
        let any = prop_oneof![known.prop_map(str::to_owned), "x-[a-z-]{1,12}"];
        any.prop_map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap())
    }
}
