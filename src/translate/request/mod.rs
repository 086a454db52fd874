//! What is Anthropic asked when a client asks a chat completion?

mod blame;
mod calls;
mod choice;
mod extensions;
mod files;
mod format;
mod parts;
mod place;
mod refused;
mod sampling;
mod schema;
mod thinking;
mod tools;
mod turns;
mod unknown;
mod user;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::anthropic::{self, OutputConfig};
use super::names::Renamed;
use super::openai;
use super::{Model, Reply, Translated, Unsupported};
use place::Place;
use thinking::Conflicts;
use turns::Conversation;

/// A chat completion as a request for a message. `created` is the time in Unix seconds.
pub fn request(body: &[u8], model: &Model<'_>, created: u64) -> Result<Translated, Unsupported> {
    let text = std::str::from_utf8(body).map_err(|error| Unsupported {
        param: None,
        message: format!("the body is not UTF-8 (byte {})", error.valid_up_to()),
    })?;
    let (mut asked, unknown) = unknown::parse(text).map_err(|error| blame::of(text, &error))?;
    let dropped = unknown::check(&unknown)?;
    model.defaults.fill(&mut asked);
    refused::check(&asked, model.choices.lenient)?;
    let reply = Reply {
        alias: Arc::from(model.alias),
        names: super::ToolNames::default(),
        stream: asked.stream.unwrap_or(false),
        include_usage: asked
            .stream_options
            .and_then(|options| options.include_usage)
            .unwrap_or(false),
        created,
    };
    Ask { model, dropped }.translate(asked, reply)
}

/// One request on its way, and what it had to leave behind.
struct Ask<'m> {
    model: &'m Model<'m>,
    dropped: Vec<Cow<'static, str>>,
}

impl Ask<'_> {
    fn translate(
        mut self,
        mut asked: openai::Request<'_>,
        mut reply: Reply,
    ) -> Result<Translated, Unsupported> {
        let names = Names::of(&asked);
        let mut betas = extensions::betas(asked.anthropic_beta.take())?;
        let Conversation {
            mut system,
            messages,
            files,
        } = Conversation::of(
            std::mem::take(&mut asked.messages),
            &names,
            self.model.capabilities,
        )?;
        if files && !betas.iter().any(|beta| beta.starts_with("files-api-")) {
            betas.push(files::BETA.to_owned());
        }
        let (tools, tool_choice) = self.tools(&mut asked, &names, &messages)?;
        let max_tokens = self.max_tokens(&asked);
        let conflicts = Conflicts::of(&messages, tool_choice.as_ref());
        let thought = self.thinking(&asked, max_tokens, &conflicts)?;
        let sampling = self.sampling(&asked, thought.active);
        let answer_format = self.answer_format(asked.response_format.take(), &mut system)?;
        reply.names = names.tools.back();

        let request = anthropic::Request {
            model: self.model.id,
            max_tokens,
            system,
            messages,
            tools,
            tool_choice,
            thinking: thought.thinking,
            output_config: OutputConfig {
                given: extensions::members(asked.output_config, "output_config")?,
                effort: thought.effort,
                format: answer_format,
            },
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            stop_sequences: sampling::stop_sequences(asked.stop),
            metadata: user::metadata(asked.safety_identifier, asked.user),
            service_tier: user::service_tier(asked.service_tier.as_deref())?,
            stream: asked.stream,
            cache_control: asked.cache_control,
            context_management: asked.context_management,
            mcp_servers: asked.mcp_servers,
            container: asked.container,
            speed: asked.speed,
            inference_geo: asked.inference_geo,
        };
        let body = serde_json::to_vec(&request).map_err(|error| Unsupported {
            param: None,
            message: format!("the request cannot be written: {error}"),
        })?;
        Ok(Translated {
            body: Bytes::from(body),
            betas,
            dropped: self.dropped,
            reply,
        })
    }

    /// The client's limit, else the operator's, else all that the model can write: OpenAI's own
    /// default is no limit, and a low one cuts answers short.
    fn max_tokens(&self, asked: &openai::Request<'_>) -> u64 {
        asked
            .max_completion_tokens
            .or(asked.max_tokens)
            .unwrap_or(u64::from(self.model.capabilities.max_tokens))
    }
}

/// What is called otherwise upstream.
struct Names {
    tools: Renamed,
    calls: Renamed,
}

impl Names {
    fn of(asked: &openai::Request<'_>) -> Self {
        let offered = asked
            .tools
            .iter()
            .flatten()
            .filter_map(|tool| tool.known.name());
        let calls = asked
            .messages
            .iter()
            .flat_map(|message| message.tool_calls.iter().flatten());
        let called = calls
            .clone()
            .filter_map(|call| call.function.as_ref())
            .map(|function| &*function.name);
        let ids = calls.filter_map(|call| call.id.as_deref());
        let results = asked
            .messages
            .iter()
            .filter_map(|message| message.tool_call_id.as_deref());
        Self {
            tools: Renamed::tools(offered.chain(called)),
            calls: Renamed::calls(ids.chain(results)),
        }
    }
}

#[cfg(test)]
mod tests;
