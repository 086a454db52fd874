//! Which tool shall the model call, and may it call several?

use std::collections::BTreeSet;

use super::super::Unsupported;
use super::super::anthropic::ToolChoice;
use super::super::openai::{ChoiceObject, StringOr, Text, Tool};
use super::Names;

/// What the client said, checked against what it offered.
pub(super) struct Choice<'a> {
    mode: Mode<'a>,
    /// The names of those that may be called; `None` is all.
    allowed: Option<BTreeSet<Text<'a>>>,
}

enum Mode<'a> {
    Unsaid,
    Auto,
    Required,
    None,
    Named(Text<'a>),
}

impl<'a> Choice<'a> {
    pub fn of(
        said: Option<StringOr<'a, ChoiceObject<'a>>>,
        offered: &[Tool<'a>],
    ) -> Result<Self, Unsupported> {
        let mut allowed = None;
        let mode = match said {
            None => Mode::Unsaid,
            Some(StringOr::Text(word)) => Mode::of(&word, "tool_choice")?,
            Some(StringOr::Other(choice)) => match &*choice.kind {
                "function" => {
                    let name = choice.function.unwrap_or_default().name;
                    if !offered.iter().any(|tool| tool.known.name() == Some(&*name)) {
                        return Err(Unsupported::new(
                            "tool_choice.function.name",
                            "`tool_choice` names no tool of `tools`",
                        ));
                    }
                    Mode::Named(name)
                }
                "allowed_tools" => {
                    let list = choice.allowed_tools.unwrap_or_default();
                    let names = list.tools.into_iter().map(|tool| tool.function.name);
                    allowed = Some(names.collect());
                    Mode::of(&list.mode, "tool_choice.allowed_tools.mode")?
                }
                _ => {
                    return Err(Unsupported::new(
                        "tool_choice.type",
                        "the type of `tool_choice` must be function or allowed_tools",
                    ));
                }
            },
        };
        Ok(Self { mode, allowed })
    }

    /// It may be called at all.
    pub fn allows(&self, tool: &Tool<'_>) -> bool {
        let named = |allowed: &BTreeSet<Text<'a>>| {
            let name = tool.known.name();
            name.is_some_and(|name| allowed.contains(name))
        };
        self.allowed.as_ref().is_none_or(named)
    }

    /// In Anthropic's words, which are an error where there are no tools.
    pub fn settle(
        self,
        any_tools: bool,
        parallel: bool,
        names: &Names,
    ) -> Result<Option<ToolChoice<'a>>, Unsupported> {
        let disable_parallel_tool_use = !parallel;
        Ok(match self.mode {
            _ if !any_tools && self.allowed.is_some() => {
                return Err(Unsupported::new(
                    "tool_choice.allowed_tools.tools",
                    "`allowed_tools` names no tool of `tools`",
                ));
            }
            Mode::Required if !any_tools => {
                return Err(Unsupported::new(
                    "tool_choice",
                    "`tool_choice` requires a call and there are no `tools`",
                ));
            }
            _ if !any_tools => None,
            Mode::Unsaid if parallel => None,
            Mode::Unsaid | Mode::Auto => Some(ToolChoice::Auto {
                disable_parallel_tool_use,
            }),
            Mode::Required => Some(ToolChoice::Any {
                disable_parallel_tool_use,
            }),
            Mode::Named(name) => Some(ToolChoice::Tool {
                name: names.tools.sent(name),
                disable_parallel_tool_use,
            }),
            Mode::None => Some(ToolChoice::None),
        })
    }
}

impl Mode<'_> {
    fn of(word: &str, param: &str) -> Result<Self, Unsupported> {
        match word {
            "auto" => Ok(Self::Auto),
            "required" => Ok(Self::Required),
            "none" => Ok(Self::None),
            _ => Err(Unsupported::new(
                param,
                format!("`{param}` must be auto, required or none, or name a function"),
            )),
        }
    }
}
