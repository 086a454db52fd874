//! Which scripted answer a request gets: rules first, then the queue, one POST at a time.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Deserialize;

use super::answer::Answer;
use super::head::{Asked, Head};

/// An answer for every request that matches, or for the first few.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    method: Option<String>,
    /// What path and query must contain.
    path: Option<String>,
    /// What the body, decoded, must contain.
    body: Option<String>,
    /// Requests it still applies to; none means all.
    first: Option<u32>,
    answer: Answer,
}

impl Rule {
    /// A rule for every request.
    pub fn new(answer: impl Into<Answer>) -> Self {
        Self {
            answer: answer.into(),
            ..Self::default()
        }
    }

    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only where path and query contain this.
    pub fn path(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// Only where the body contains this; the body is then read before anything is answered.
    pub fn body(mut self, part: impl Into<String>) -> Self {
        self.body = Some(part.into());
        self
    }

    /// Only for the first `n` requests that match.
    pub fn first(mut self, n: u32) -> Self {
        self.first = Some(n);
        self
    }

    fn matches_head(&self, head: &Head) -> bool {
        let method = self.method.as_ref();
        let path = self.path.as_ref();
        self.first != Some(0)
            && method.is_none_or(|method| head.method.eq_ignore_ascii_case(method))
            && path.is_none_or(|part| head.target.contains(part.as_str()))
    }

    fn matches_body(&self, asked: &Asked) -> bool {
        self.body.as_ref().is_none_or(|part| {
            let body = asked.decoded.as_ref().unwrap_or(&asked.body);
            memchr::memmem::find(body, part.as_bytes()).is_some()
        })
    }

    fn spend(&mut self) -> Answer {
        if let Some(left) = &mut self.first {
            *left = left.saturating_sub(1);
        }
        self.answer.clone()
    }
}

pub(super) enum Planned {
    Answer(Box<Answer>),
    /// A rule wants to see the body first.
    NeedsBody,
    Nothing,
}

#[derive(Default)]
pub(super) struct Script(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    rules: Vec<Rule>,
    queue: VecDeque<Answer>,
}

impl Script {
    pub(super) fn extend(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.lock().queue.extend(answers);
    }

    pub(super) fn add_rule(&self, rule: Rule) {
        self.0.lock().rules.push(rule);
    }

    pub(super) fn clear(&self) {
        *self.0.lock() = Lines::default();
    }

    /// Answers of the queue that no POST has taken yet.
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().queue.len()
    }

    pub(super) fn at_head(&self, head: &Head) -> Planned {
        let mut lines = self.0.lock();
        let lines = &mut *lines;
        match lines.rules.iter_mut().find(|rule| rule.matches_head(head)) {
            Some(rule) if rule.body.is_some() => Planned::NeedsBody,
            Some(rule) => Planned::Answer(Box::new(rule.spend())),
            None => lines
                .next(head)
                .map_or(Planned::Nothing, |answer| Planned::Answer(Box::new(answer))),
        }
    }

    pub(super) fn at_body(&self, asked: &Asked) -> Option<Answer> {
        let mut lines = self.0.lock();
        let lines = &mut *lines;
        let rule = lines
            .rules
            .iter_mut()
            .find(|rule| rule.matches_head(&asked.head) && rule.matches_body(asked));
        match rule {
            Some(rule) => Some(rule.spend()),
            None => lines.next(&asked.head),
        }
    }
}

impl Lines {
    fn next(&mut self, head: &Head) -> Option<Answer> {
        let front = self.queue.front_mut().filter(|_| head.method == "POST")?;
        if front.times > 1 {
            front.times -= 1;
            return Some(front.clone());
        }
        self.queue.pop_front()
    }
}
