//! Which models can a client ask for? The gateway's and LiteLLM's names as one list, in both dialects' shapes.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::clock::{parse_stamp, stamp};

use super::ListedModel;

/// What LiteLLM says of every model, for want of a real date: 2023-02-28.
const CREATED: u64 = 1_677_610_602;
const LONGEST_PAGE: usize = 1000;

/// The models one caller may see.
pub struct ModelList(Vec<Model>);

/// One model, with whatever LiteLLM says of it.
pub struct Model {
    id: String,
    created: u64,
    said: Map<String, Value>,
}

/// Which part of the list is asked for, in Anthropic's words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    limit: Option<usize>,
    after: Option<String>,
    before: Option<String>,
}

impl ModelList {
    /// LiteLLM's list and our direct models that it does not name; everything we know if it does not
    /// answer with a list. LiteLLM shows each caller its own list; `known` must be the caller's, too.
    pub fn merge<'m>(
        known: impl IntoIterator<Item = &'m ListedModel>,
        litellm: Option<&[u8]>,
    ) -> Self {
        let listed = litellm.and_then(parse);
        let asked = listed.is_some();
        let mut models = listed.unwrap_or_default();
        let named: HashSet<String> = models.iter().map(|model| model.id.clone()).collect();
        let ours = known
            .into_iter()
            .filter(|model| (model.direct || !asked) && !named.contains(&*model.name));
        models.extend(ours.map(|model| Model::ours(&model.name)));
        Self(models)
    }

    /// `segment`: the last part of `/v1/models/{id}` as it stands in the path.
    pub fn one(&self, segment: &str) -> Option<&Model> {
        let decoded = decoded(segment);
        self.0
            .iter()
            .find(|model| model.id == segment || Some(&model.id) == decoded.as_ref())
    }

    pub fn openai(&self) -> Value {
        let data: Vec<Value> = self.0.iter().map(Model::openai).collect();
        json!({"object": "list", "data": data})
    }

    pub fn anthropic(&self, page: &Page) -> Value {
        let (models, has_more) = page.of(&self.0);
        let data: Vec<Value> = models.iter().map(Model::anthropic).collect();
        json!({
            "data": data,
            "has_more": has_more,
            "first_id": models.first().map(|model| &model.id),
            "last_id": models.last().map(|model| &model.id),
        })
    }
}

impl Model {
    fn ours(name: &str) -> Self {
        let mut said = Map::new();
        said.insert("owned_by".into(), "memgate".into());
        Self {
            id: name.to_owned(),
            created: CREATED,
            said,
        }
    }

    /// From an entry in either shape.
    fn said(entry: Value) -> Option<Self> {
        let Value::Object(said) = entry else {
            return None;
        };
        let id = said.get("id")?.as_str()?.to_owned();
        let dated = said.get("created_at").and_then(Value::as_str);
        let created = said
            .get("created")
            .and_then(Value::as_u64)
            .or_else(|| seconds(parse_stamp(dated?)?))
            .unwrap_or(CREATED);
        Some(Self { id, created, said })
    }

    pub fn openai(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("id".into(), self.id.as_str().into());
        entry.insert("object".into(), "model".into());
        entry.insert("created".into(), self.created.into());
        entry.insert("owned_by".into(), "litellm".into());
        entry.insert("display_name".into(), self.display_name().into());
        let said = self.said.iter().filter(|(key, _)| {
            !matches!(
                key.as_str(),
                "id" | "object" | "created" | "type" | "created_at"
            )
        });
        entry.extend(said.map(|(key, value)| (key.clone(), value.clone())));
        Value::Object(entry)
    }

    pub fn anthropic(&self) -> Value {
        let created = SystemTime::UNIX_EPOCH + Duration::from_secs(self.created);
        let mut entry = json!({
            "type": "model",
            "id": self.id,
            "display_name": self.display_name(),
            "created": self.created,
            "created_at": stamp(created),
        });
        let limits = [
            ("max_input_tokens", "max_input_tokens"),
            ("max_output_tokens", "max_tokens"),
            ("max_tokens", "max_tokens"),
        ];
        for (theirs, ours) in limits {
            if let (Some(limit), Some(entry)) = (self.said.get(theirs), entry.as_object_mut()) {
                entry.insert(ours.to_owned(), limit.clone());
            }
        }
        entry
    }

    fn display_name(&self) -> &str {
        let said = self.said.get("display_name").and_then(Value::as_str);
        said.unwrap_or(&self.id)
    }
}

impl Page {
    pub fn of_query(query: Option<&str>) -> Self {
        let mut page = Self::default();
        for pair in query.unwrap_or_default().split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value).filter(|value| !value.is_empty());
            match (key, value) {
                ("limit", Some(value)) => page.limit = value.parse().ok(),
                ("after_id", value) => page.after = value,
                ("before_id", value) => page.before = value,
                _ => {}
            }
        }
        page
    }

    /// The models of the page, and whether more follow in its direction. An id that is not in the list has
    /// nothing behind or before it.
    fn of<'m>(&self, models: &'m [Model]) -> (&'m [Model], bool) {
        let limit = self.limit.unwrap_or(models.len()).clamp(1, LONGEST_PAGE);
        let place = |id: &String| models.iter().position(|model| model.id == *id);
        if let Some(id) = &self.before {
            let before = place(id).and_then(|at| models.get(..at)).unwrap_or(&[]);
            let start = before.len().saturating_sub(limit);
            return (before.get(start..).unwrap_or(&[]), start > 0);
        }
        let rest = match &self.after {
            Some(id) => place(id).and_then(|at| models.get(at + 1..)).unwrap_or(&[]),
            None => models,
        };
        match rest.get(..limit) {
            Some(page) => (page, rest.len() > limit),
            None => (rest, false),
        }
    }
}

fn parse(list: &[u8]) -> Option<Vec<Model>> {
    let mut list: Value = serde_json::from_slice(list).ok()?;
    let Value::Array(entries) = list.get_mut("data")?.take() else {
        return None;
    };
    Some(entries.into_iter().filter_map(Model::said).collect())
}

fn seconds(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// Percent-decoded; `None` where that is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = |hex: &&[u8]| byte == b'%' && hex.iter().all(u8::is_ascii_hexdigit);
        let hex = tail.get(..2).filter(escape);
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LITELLM: &[u8] = br#"{"data":[
        {"id":"gpt","object":"model","created":1700000000,"owned_by":"openai","max_output_tokens":4096},
        {"id":"sonnet","object":"model","created":1677610602,"owned_by":"openai"},
        {"no":"id"}
    ],"object":"list"}"#;

    fn known() -> Vec<ListedModel> {
        [("sonnet", true), ("anthropic/opus", true), ("gone", false)]
            .map(|(name, direct)| ListedModel {
                name: Arc::from(name),
                direct,
            })
            .to_vec()
    }

    fn ids(list: &Value) -> Vec<&str> {
        let data = list["data"].as_array().unwrap();
        data.iter().map(|m| m["id"].as_str().unwrap()).collect()
    }

    fn page(query: &str) -> (Vec<String>, bool) {
        let known: Vec<ListedModel> = ["a", "b", "c", "d"]
            .map(|name| ListedModel {
                name: Arc::from(name),
                direct: true,
            })
            .to_vec();
        let list = ModelList::merge(&known, None).anthropic(&Page::of_query(Some(query)));
        let ids = ids(&list).iter().map(|id| (*id).to_owned()).collect();
        (ids, list["has_more"].as_bool().unwrap())
    }

    #[test]
    fn litellms_list_and_our_direct_models_are_one() {
        let merged = ModelList::merge(&known(), Some(LITELLM)).openai();

        assert_eq!(
            ids(&merged),
            ["gpt", "sonnet", "anthropic/opus"],
            "what LiteLLM serves and does not show this caller stays hidden"
        );
    }

    #[test]
    fn without_litellm_we_show_what_we_know() {
        for answer in [
            None,
            Some(&b"<html>"[..]),
            Some(b"{}"),
            Some(b"{\"data\":1}"),
        ] {
            let list = ModelList::merge(&known(), answer).openai();
            assert_eq!(ids(&list), ["sonnet", "anthropic/opus", "gone"]);
        }
    }

    #[test]
    fn each_shape_says_when_a_model_was_made_and_what_to_call_it() {
        let list = ModelList::merge(&known(), Some(LITELLM));
        let gpt = list.one("gpt").unwrap();

        assert_eq!(
            gpt.openai(),
            json!({
                "id": "gpt", "object": "model", "created": 1_700_000_000, "owned_by": "openai",
                "display_name": "gpt", "max_output_tokens": 4096,
            })
        );
        assert_eq!(
            gpt.anthropic(),
            json!({
                "type": "model", "id": "gpt", "display_name": "gpt",
                "created": 1_700_000_000, "created_at": "2023-11-14T22:13:20Z", "max_tokens": 4096,
            })
        );
    }

    #[test]
    fn a_list_in_anthropics_shape_is_understood_too() {
        let anthropic = br#"{"data":[{"type":"model","id":"m","display_name":"Model M",
            "created_at":"2023-11-14T22:13:20Z"}],"has_more":false}"#;
        let list = ModelList::merge(&[], Some(anthropic)).openai();

        assert_eq!(list["data"][0]["created"], 1_700_000_000);
        assert_eq!(list["data"][0]["display_name"], "Model M");
        assert_eq!(list["data"][0]["object"], "model");
        assert_eq!(list["data"][0].get("type"), None);
    }

    #[test]
    fn a_model_is_found_by_its_id_escaped_or_not() {
        let list = ModelList::merge(&known(), None);

        assert!(list.one("anthropic%2Fopus").is_some());
        assert!(list.one("anthropic/opus").is_some());
        assert!(list.one("anthropic%2fopu%").is_none());
        assert!(list.one("%ff").is_none());
        assert!(list.one("anthropic%+2opus").is_none());
    }

    #[test]
    fn pages_are_cut_as_anthropic_cuts_them() {
        let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();

        assert_eq!(page(""), (own(&["a", "b", "c", "d"]), false));
        assert_eq!(page("limit=1000"), (own(&["a", "b", "c", "d"]), false));
        assert_eq!(page("limit=2"), (own(&["a", "b"]), true));
        assert_eq!(page("limit=2&after_id=b"), (own(&["c", "d"]), false));
        assert_eq!(page("after_id=d"), (own(&[]), false));
        assert_eq!(page("limit=2&before_id=d"), (own(&["b", "c"]), true));
        assert_eq!(page("before_id=%62"), (own(&["a"]), false));
        assert_eq!(page("after_id=nobody"), (own(&[]), false));
        assert_eq!(page("limit=0"), (own(&["a"]), true));
        assert_eq!(page("limit=many"), (own(&["a", "b", "c", "d"]), false));
    }

    #[test]
    fn an_empty_page_has_neither_first_nor_last() {
        let list = ModelList::merge(&[], None).anthropic(&Page::default());

        assert_eq!(list["first_id"], Value::Null);
        assert_eq!(list["last_id"], Value::Null);
    }
}
