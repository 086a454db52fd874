//! How are the client's functions offered?

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::Unsupported;
use super::super::anthropic::{Block, Function, Schema, Tool, ToolChoice, Turn};
use super::super::openai;
use super::choice::Choice;
use super::schema::tool as schema;
use super::{Ask, Names};

/// Offered where the history holds calls and the operator wants a tool to stand there.
const DUMMY: &str = "dummy_tool";

type Offered<'a> = (Vec<Tool<'a>>, Option<ToolChoice<'a>>);

impl Ask<'_> {
    /// The tools, and which of them to call.
    pub(super) fn tools<'a>(
        &mut self,
        asked: &mut openai::Request<'a>,
        names: &Names,
        messages: &[Turn<'a>],
    ) -> Result<Offered<'a>, Unsupported> {
        let offered = asked.tools.take().unwrap_or_default();
        let choice = Choice::of(asked.tool_choice.take(), &offered)?;
        let dummy_helps = self.model.choices.dummy_tool && offered.is_empty();
        let mut tools = Vec::with_capacity(offered.len());
        for (at, tool) in offered.into_iter().enumerate() {
            if choice.allows(&tool) {
                tools.push(self.tool(tool, names, at)?);
            }
        }
        if dummy_helps && tells_of_tools(messages) {
            tools.push(dummy());
        }
        let parallel = asked.parallel_tool_calls.unwrap_or(true);
        let choice = choice.settle(!tools.is_empty(), parallel, names)?;
        Ok((tools, self.unforced(choice)))
    }

    fn tool<'a>(
        &self,
        tool: openai::Tool<'a>,
        names: &Names,
        at: usize,
    ) -> Result<Tool<'a>, Unsupported> {
        let fault = |field: &str, message: &str| {
            Err(Unsupported::new(format!("tools[{at}]{field}"), message))
        };
        let known = tool.known;
        let kind = known.kind.as_deref().unwrap_or("function");
        if known.input_schema.is_some() || is_anthropics(kind) {
            return match known.name {
                Some(name) if names.tools.renames(&name) => {
                    let name = names.tools.sent(name);
                    renamed(tool.raw, &name).map_or_else(
                        || fault("", "the tool must be a JSON object, not nested too deeply"),
                        Ok,
                    )
                }
                _ => Ok(Tool::Given(tool.raw)),
            };
        }
        let function = match known.function {
            Some(function) if kind == "function" => function,
            None if kind == "function" => {
                return fault(".function", "a tool of type `function` needs a `function`");
            }
            _ => return fault(".type", "the tool must be of type `function`"),
        };
        if function.name.is_empty() {
            return fault(".function.name", "a function needs a name");
        }
        let Ok(input_schema) = schema::input(function.parameters) else {
            return fault(
                ".function.parameters",
                "the parameters must be a JSON schema of an object, not nested too deeply",
            );
        };
        let strict = self.model.choices.strict_tools
            && self.model.capabilities.accepts.structured_outputs
            && function.strict == Some(true);
        Ok(Tool::Function(Function {
            name: names.tools.sent(function.name),
            description: function.description.filter(|text| !text.is_empty()),
            input_schema,
            strict: strict.then_some(true),
            cache_control: known.cache_control.or(function.cache_control),
        }))
    }

    /// Models that refuse to be forced are left to choose.
    fn unforced<'a>(&mut self, choice: Option<ToolChoice<'a>>) -> Option<ToolChoice<'a>> {
        match choice {
            Some(
                ToolChoice::Any {
                    disable_parallel_tool_use,
                }
                | ToolChoice::Tool {
                    disable_parallel_tool_use,
                    ..
                },
            ) if !self.model.capabilities.accepts.forced_tool_choice => {
                self.dropped.push("tool_choice".into());
                Some(ToolChoice::Auto {
                    disable_parallel_tool_use,
                })
            }
            choice => choice,
        }
    }
}

fn renamed<'a>(tool: &RawValue, name: &str) -> Option<Tool<'a>> {
    let mut tool: Map<String, Value> = serde_json::from_str(tool.get()).ok()?;
    tool.insert("name".to_owned(), Value::from(name));
    Some(Tool::Renamed(tool))
}

/// Its tools carry their date, such as `bash_20250124`.
fn is_anthropics(kind: &str) -> bool {
    let dated = kind
        .rsplit_once('_')
        .is_some_and(|(_, date)| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()));
    dated || kind == "mcp_toolset"
}

fn tells_of_tools(messages: &[Turn<'_>]) -> bool {
    let mut blocks = messages.iter().flat_map(|turn| &turn.content);
    blocks.any(|block| matches!(block, Block::ToolUse { .. } | Block::ToolResult { .. }))
}

fn dummy<'a>() -> Tool<'a> {
    Tool::Function(Function {
        name: DUMMY.into(),
        description: Some("This tool does nothing.".into()),
        input_schema: Schema::Changed(schema::empty()),
        strict: None,
        cache_control: None,
    })
}
