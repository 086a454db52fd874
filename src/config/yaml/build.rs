//! The meaning's half of reading YAML: events in, a tree with places out.

use std::collections::HashMap;
use std::sync::Arc;

use libyaml_safer::{Event, EventData};

use super::events::{self, MAX_NODES};
use super::mapping::{Mapping, without_values};
use super::node::{Entry, Node, Value};
use super::scalar::{self, Plain};
use crate::config::{Finding, Place};

/// How YAML's own tags begin.
const TAGS: &str = "tag:yaml.org,2002:";

pub(in crate::config) struct Document {
    pub root: Node,
    /// Keys written twice in one mapping. PyYAML silently takes the last; the reader of a file judges.
    pub duplicates: Vec<Finding>,
}

/// Reads one document; every fault that does not end the reading is reported with the others.
pub(in crate::config) fn parse(bytes: &[u8], file: &Arc<str>) -> Result<Document, Vec<Finding>> {
    let events = events::read(bytes, file).map_err(|finding| vec![finding])?;
    let mut builder = Builder {
        file,
        events: events.into_iter(),
        anchors: HashMap::new(),
        budget: MAX_NODES,
        faults: Vec::new(),
        duplicates: Vec::new(),
    };
    let root = builder.document();
    if builder.faults.is_empty() {
        Ok(Document {
            root: root.unwrap_or_else(|| Node::new(Place::top(file), Value::Null)),
            duplicates: builder.duplicates,
        })
    } else {
        Err(builder.faults)
    }
}

struct Builder<'f> {
    file: &'f Arc<str>,
    events: std::vec::IntoIter<Event>,
    /// `None` while the anchored node is still being read.
    anchors: HashMap<String, Option<Anchored>>,
    /// Values that may still be made; an alias costs what it repeats.
    budget: usize,
    faults: Vec<Finding>,
    duplicates: Vec<Finding>,
}

struct Anchored {
    node: Node,
    size: usize,
}

impl Builder<'_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        while let Some(event) = self.events.next() {
            let place = events::place(self.file, event.start_mark);
            match event.data {
                EventData::DocumentStart { .. } if root.is_some() => {
                    self.fault(
                        &place,
                        "a second document begins here, keep one document in a file",
                    );
                    return root;
                }
                EventData::DocumentStart {
                    version_directive: Some(version),
                    ..
                } if version.major != 1 => {
                    self.fault(&place, "an unknown YAML version, remove the line");
                }
                EventData::StreamStart { .. }
                | EventData::DocumentStart { .. }
                | EventData::DocumentEnd { .. } => {}
                _ => root = Some(self.node(event)),
            }
        }
        root
    }

    fn node(&mut self, event: Event) -> Node {
        let place = events::place(self.file, event.start_mark);
        let before = self.budget;
        if !self.spend(1, &place) {
            return Node::new(place, Value::Null);
        }
        let anchor = match &event.data {
            EventData::Alias { anchor } => return self.alias(anchor, place),
            EventData::Scalar { anchor, .. }
            | EventData::SequenceStart { anchor, .. }
            | EventData::MappingStart { anchor, .. } => anchor.clone(),
            _ => None,
        };
        if let Some(anchor) = &anchor {
            self.open_anchor(anchor, &place);
        }
        let value = match event.data {
            EventData::Scalar {
                tag,
                value,
                plain_implicit,
                ..
            } => self.scalar(tag.as_deref(), value, plain_implicit, &place),
            EventData::SequenceStart { tag, .. } => {
                let tag = self.check_tag(tag.as_deref(), &["seq", "omap", "pairs"], &place);
                let items = self.sequence();
                if tag.is_some_and(|tag| tag != "seq") {
                    self.check_pairs(&items);
                }
                Value::Seq(items)
            }
            EventData::MappingStart { tag, .. } => {
                let tag = self.check_tag(tag.as_deref(), &["map", "set"], &place);
                match (self.mapping(), tag) {
                    (Value::Map(entries), Some("set")) => Value::Map(without_values(entries)),
                    (mapping, _) => mapping,
                }
            }
            _ => Value::Null,
        };
        let node = Node::new(place, value);
        if let Some(anchor) = anchor {
            let anchored = Anchored {
                node: node.clone(),
                size: before - self.budget,
            };
            self.anchors.insert(anchor, Some(anchored));
        }
        node
    }

    fn open_anchor(&mut self, anchor: &str, place: &Place) {
        if self.anchors.insert(anchor.to_owned(), None).is_some() {
            self.fault(
                place,
                format!("the anchor `&{anchor}` is there already, give this one another name"),
            );
        }
    }

    fn alias(&mut self, anchor: &str, place: Place) -> Node {
        let problem = match self.anchors.get(anchor) {
            Some(Some(Anchored { node, size })) => {
                let (node, size) = (node.clone(), *size);
                self.spend(size, &place);
                return node;
            }
            Some(None) => format!("`*{anchor}` stands inside what it repeats, take it out"),
            None => format!("no anchor `&{anchor}` before this `*{anchor}`, define it first"),
        };
        self.fault(&place, problem);
        Node::new(place, Value::Null)
    }

    fn scalar(&mut self, tag: Option<&str>, text: String, plain: bool, place: &Place) -> Value {
        let core = tag.map(|tag| tag.strip_prefix(TAGS).unwrap_or(tag));
        let value = match core {
            _ if plain || core == Some("!") => return self.plain(&text, place),
            None => return Value::Str(text),
            Some(tag) => scalar::tagged(tag, text),
        };
        value.unwrap_or_else(|| {
            let tag = core.unwrap_or_default();
            self.fault(
                place,
                format!("the tag `{tag}` cannot be used for this value, remove it"),
            );
            Value::Null
        })
    }

    fn plain(&mut self, text: &str, place: &Place) -> Value {
        let problem = match scalar::resolve(text) {
            Plain::Value(value) => return value,
            Plain::Merge => "`<<` is only a key, put it in quotes to mean the text".to_owned(),
            Plain::Default => "`=` alone has no value in YAML, put it in quotes".to_owned(),
            Plain::Impossible(what) => {
                format!("`{text}` looks like {what} but is none, put it in quotes to mean the text")
            }
        };
        self.fault(place, problem);
        Value::Null
    }

    fn sequence(&mut self) -> Vec<Node> {
        let mut items = Vec::new();
        while let Some(event) = self.events.next() {
            if matches!(event.data, EventData::SequenceEnd) {
                break;
            }
            items.push(self.node(event));
        }
        items
    }

    fn mapping(&mut self) -> Value {
        let mut merged = Mapping::default();
        let mut own = Mapping::default();
        while let Some(event) = self.events.next() {
            let key_place = events::place(self.file, event.start_mark);
            let key = match event.data {
                EventData::MappingEnd => break,
                EventData::Scalar {
                    plain_implicit: true,
                    ref value,
                    anchor: None,
                    ..
                } if value == "<<" => None,
                EventData::Scalar {
                    plain_implicit: true,
                    value,
                    anchor: None,
                    ..
                } if value == "=" => Some(Node::new(key_place.clone(), Value::Str(value))),
                _ => Some(self.node(event)),
            };
            let Some(event) = self.events.next() else {
                break;
            };
            let value = self.node(event);
            match key {
                None => self.merge(&mut merged, value),
                Some(key) => self.insert(&mut own, Entry { key, value }, &key_place),
            }
        }
        for entry in own.entries {
            merged.put(entry);
        }
        Value::Map(merged.entries)
    }

    /// Takes over the entries of what stands behind `<<`; in a list, an earlier mapping wins.
    fn merge(&mut self, merged: &mut Mapping, source: Node) {
        match source.value {
            Value::Map(entries) => entries.into_iter().for_each(|entry| {
                merged.put(entry);
            }),
            Value::Seq(sources) if sources.iter().all(|s| matches!(s.value, Value::Map(_))) => {
                for source in sources.into_iter().rev() {
                    self.merge(merged, source);
                }
            }
            _ => self.fault(
                &source.place,
                "`<<` takes a mapping or a list of mappings, such as `*name`",
            ),
        }
    }

    fn insert(&mut self, own: &mut Mapping, entry: Entry, place: &Place) {
        if entry.key.key_identity().is_none() {
            self.fault(
                place,
                format!("{} cannot be a key, use a string", entry.key.kind()),
            );
            return;
        }
        let name = entry.key.as_str().map(|key| format!("`{key}`"));
        if own.put(entry) {
            self.duplicates.push(Finding {
                place: place.clone(),
                message: format!(
                    "{} is set twice in one mapping, keep one of them",
                    name.unwrap_or_else(|| "the key".to_owned())
                ),
            });
        }
    }

    /// The tag, where it is one of these.
    fn check_tag<'t>(
        &mut self,
        tag: Option<&'t str>,
        expected: &[&str],
        place: &Place,
    ) -> Option<&'t str> {
        let tag = tag.filter(|tag| *tag != "!")?;
        let known = tag.strip_prefix(TAGS).filter(|tag| expected.contains(tag));
        if known.is_none() {
            self.fault(
                place,
                format!("the tag `{tag}` cannot be used here, remove it"),
            );
        }
        known
    }

    /// `!!omap` and `!!pairs` are lists of pairs.
    fn check_pairs(&mut self, items: &[Node]) {
        for item in items {
            if !matches!(&item.value, Value::Map(entries) if entries.len() == 1) {
                self.fault(&item.place, "a pair is one key and its value".to_owned());
            }
        }
    }

    fn spend(&mut self, count: usize, place: &Place) -> bool {
        if let Some(left) = self.budget.checked_sub(count) {
            self.budget = left;
            return true;
        }
        self.budget = 0;
        if !self
            .faults
            .iter()
            .any(|fault| fault.message.starts_with("too many values"))
        {
            self.fault(
                place,
                format!("too many values, aliases repeat more than {MAX_NODES} of them"),
            );
        }
        false
    }

    fn fault(&mut self, place: &Place, message: impl Into<String>) {
        self.faults.push(Finding {
            place: place.clone(),
            message: message.into(),
        });
    }
}
