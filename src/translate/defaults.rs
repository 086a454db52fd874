//! What does the operator's file say for a model where the client is silent?

use serde_json::{Map, Value};
use thiserror::Error;

use super::openai::Request;

/// Parameters of LiteLLM's file for one model, in OpenAI's words; the client's own come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// A JSON object, or nothing where there are none.
    json: Box<str>,
}

/// A default that no request could carry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{param}` is not what a chat completion takes there")]
pub struct Unusable {
    pub param: String,
}

/// What may stand for a model in LiteLLM's file and goes into the body of its requests.
macro_rules! params {
    ($($param:ident)*) => {
        const PARAMS: &[&str] = &[$(stringify!($param)),*];

        fn fill_each<'a>(asked: &mut Request<'a>, ours: Request<'a>) {
            $(if asked.$param.is_none() {
                asked.$param = ours.$param;
            })*
        }
    };
}

params! {
    tools tool_choice parallel_tool_calls max_completion_tokens max_tokens temperature top_p stop
    response_format reasoning_effort user safety_identifier service_tier thinking top_k output_config
    cache_control context_management mcp_servers container speed inference_geo anthropic_beta
}

impl Defaults {
    /// Takes what concerns a request's body from a model's `litellm_params`, and leaves the rest.
    pub fn parse(params: &Map<String, Value>) -> Result<Self, Unusable> {
        let mut known = Map::new();
        for (name, value) in params {
            if !PARAMS.contains(&name.as_str()) || value.is_null() {
                continue;
            }
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            let alone = Value::Object(alone).to_string();
            if serde_json::from_str::<Request<'_>>(&alone).is_err() {
                return Err(Unusable {
                    param: name.clone(),
                });
            }
            known.insert(name.clone(), value.clone());
        }
        let json = match known.is_empty() {
            true => Box::default(),
            false => Value::Object(known).to_string().into(),
        };
        Ok(Self { json })
    }

    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// Sets what the client left unsaid. What it says of one parameter silences the defaults of those
    /// that mean the same or stand against it.
    pub(super) fn fill<'a>(&'a self, asked: &mut Request<'a>) {
        if self.is_empty() {
            return;
        }
        // It was parsed once already.
        let Ok(mut ours) = serde_json::from_str::<Request<'a>>(&self.json) else {
            return;
        };
        if asked.max_tokens.is_some() || asked.max_completion_tokens.is_some() {
            (ours.max_tokens, ours.max_completion_tokens) = (None, None);
        }
        if asked.temperature.is_some() || asked.top_p.is_some() {
            (ours.temperature, ours.top_p) = (None, None);
        }
        if asked.thinking.is_some() || asked.reasoning_effort.is_some() {
            (ours.thinking, ours.reasoning_effort) = (None, None);
        }
        if asked.user.is_some() || asked.safety_identifier.is_some() {
            (ours.user, ours.safety_identifier) = (None, None);
        }
        asked.default_thinking = ours.thinking.is_some();
        fill_each(asked, ours);
    }
}
