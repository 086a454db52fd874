//! Does the model think, how much, and what rules that out?

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::Unsupported;
use super::super::anthropic::{Block, Role, Thinking, ThinkingMode, ToolChoice, Turn};
use super::super::openai::{self, Text};
use super::Ask;
use crate::config::{Effort, ThinkingKind};

/// The least budget that is accepted; a smaller `max_tokens` leaves no room to think.
const LEAST_BUDGET: u64 = 1_024;

/// How the model is asked to think.
#[derive(Default)]
pub(super) struct Thought<'a> {
    pub thinking: Option<Thinking<'a>>,
    pub effort: Option<Effort>,
    /// It thinks because we asked for it, which binds the sampling.
    pub active: bool,
    /// Within a budget, which binds the history.
    budgeted: bool,
}

/// What in the rest of the request is a 400 together with thinking.
pub(super) struct Conflicts {
    forced: bool,
    /// A call of the turn at work came without the thoughts before it: clients of this dialect do not
    /// keep them.
    thoughtless_call: bool,
    prefill: bool,
}

impl Conflicts {
    pub fn of(messages: &[Turn<'_>], choice: Option<&ToolChoice<'_>>) -> Self {
        Self {
            forced: matches!(
                choice,
                Some(ToolChoice::Any { .. } | ToolChoice::Tool { .. })
            ),
            thoughtless_call: thoughtless_call(messages),
            prefill: messages
                .last()
                .is_some_and(|turn| turn.role == Role::Assistant),
        }
    }
}

/// Back to where the user spoke last, as that is where the model's turn began.
fn thoughtless_call(messages: &[Turn<'_>]) -> bool {
    let is_result = |block: &Block<'_>| matches!(block, Block::ToolResult { .. });
    messages
        .iter()
        .rev()
        .take_while(|turn| turn.role != Role::User || turn.content.iter().any(is_result))
        .filter(|turn| turn.role == Role::Assistant)
        .any(|turn| {
            let called = |block: &Block<'_>| matches!(block, Block::ToolUse { .. });
            turn.content.iter().any(called) && !turn.content.first().is_some_and(Block::is_thought)
        })
}

/// `thinking` as a client writes it, as far as we must understand it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Given<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    budget_tokens: Option<u64>,
}

/// `reasoning_effort`: as a level, and as a budget for models that have no levels. None is off.
#[derive(Clone, Copy)]
struct Wish(Option<(Effort, u64)>);

impl Wish {
    fn of(word: &str) -> Result<Self, Unsupported> {
        Ok(Self(match word {
            "none" => None,
            "minimal" | "low" => Some((Effort::Low, 1_024)),
            "medium" => Some((Effort::Medium, 2_048)),
            "high" => Some((Effort::High, 4_096)),
            "xhigh" => Some((Effort::XHigh, 8_192)),
            "max" => Some((Effort::Max, 16_384)),
            _ => {
                return Err(Unsupported::new(
                    "reasoning_effort",
                    "`reasoning_effort` must be none, minimal, low, medium, high, xhigh or max",
                ));
            }
        }))
    }
}

impl Ask<'_> {
    /// `thinking` in Anthropic's words wins over `reasoning_effort`.
    pub(super) fn thinking<'a>(
        &mut self,
        asked: &openai::Request<'a>,
        max_tokens: u64,
        conflicts: &Conflicts,
    ) -> Result<Thought<'a>, Unsupported> {
        let wish = asked.reasoning_effort.as_deref().map(Wish::of);
        let wish = wish.transpose()?;
        let thought = match (asked.thinking, wish) {
            (Some(raw), wish) => {
                let given: Given<'_> = serde_json::from_str(raw.get()).map_err(|_e| {
                    Unsupported::new("thinking", "`thinking` must be an object with a `type`")
                })?;
                let newer = asked.default_thinking && self.model.capabilities.outgrew(&given.kind);
                let effort = wish.and_then(|Wish(wish)| wish);
                let effort = effort.filter(|_| newer || &*given.kind == "adaptive");
                let thought = match newer {
                    true => Thought::adaptive(),
                    false => given.thought(raw, max_tokens, asked.default_thinking),
                };
                Thought {
                    effort: effort.and_then(|(effort, _)| self.model.capabilities.effort(effort)),
                    ..thought
                }
            }
            (None, Some(wish)) => self.wished(wish, max_tokens),
            (None, None) => Thought::default(),
        };
        Ok(self.without_conflict(thought, conflicts))
    }

    fn wished<'a>(&mut self, Wish(wish): Wish, max_tokens: u64) -> Thought<'a> {
        let capabilities = self.model.capabilities;
        match (capabilities.thinking, wish) {
            (ThinkingKind::Budget, Some((_, budget))) => Thought::within(budget, max_tokens),
            (ThinkingKind::Adaptive | ThinkingKind::Always, Some((effort, _))) => Thought {
                effort: capabilities.effort(effort),
                ..Thought::adaptive()
            },
            (ThinkingKind::Adaptive, None) => Thought {
                thinking: Some(Thinking::Mode(ThinkingMode::Disabled)),
                ..Thought::default()
            },
            // As near to nothing as it comes.
            (ThinkingKind::Always, None) => Thought {
                effort: capabilities.effort(Effort::Low),
                ..Thought::default()
            },
            (ThinkingKind::None, Some(_)) => {
                self.dropped.push("reasoning_effort".into());
                Thought::default()
            }
            (ThinkingKind::Budget | ThinkingKind::None, None) => Thought::default(),
        }
    }

    fn without_conflict<'a>(&mut self, thought: Thought<'a>, conflicts: &Conflicts) -> Thought<'a> {
        let thoughtless = thought.budgeted && conflicts.thoughtless_call;
        let conflict = conflicts.forced || conflicts.prefill || thoughtless;
        if !(thought.active && conflict) {
            return thought;
        }
        self.dropped.push("thinking".into());
        Thought {
            effort: thought.effort,
            ..Thought::default()
        }
    }
}

impl Given<'_> {
    fn thought<'a>(&self, raw: &'a RawValue, max_tokens: u64, by_default: bool) -> Thought<'a> {
        let budgeted = &*self.kind == "enabled";
        match self.budget_tokens {
            // The operator could not know how short this answer shall be; a client can.
            Some(budget) if by_default && budgeted && budget >= max_tokens => {
                Thought::within(budget, max_tokens)
            }
            _ => Thought {
                thinking: Some(Thinking::Given(raw)),
                active: &*self.kind != "disabled",
                budgeted,
                effort: None,
            },
        }
    }
}

impl Thought<'_> {
    fn adaptive() -> Self {
        Self {
            thinking: Some(Thinking::Mode(ThinkingMode::Adaptive {
                display: "summarized",
            })),
            active: true,
            ..Self::default()
        }
    }

    /// The budget must stay below the limit of the whole answer.
    fn within(budget: u64, max_tokens: u64) -> Self {
        if max_tokens <= LEAST_BUDGET {
            return Self::default();
        }
        Self {
            thinking: Some(Thinking::Mode(ThinkingMode::Enabled {
                budget_tokens: budget.min(max_tokens - 1),
            })),
            active: true,
            budgeted: true,
            effort: None,
        }
    }
}
