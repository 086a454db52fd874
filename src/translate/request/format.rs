//! In which form shall the answer be?

use serde_json::Value;

use super::super::Unsupported;
use super::super::anthropic::{Block, Format};
use super::super::openai::ResponseFormat;
use super::Ask;
use super::schema::output;

const SCHEMA: &str = "response_format.json_schema.schema";

/// There is no such mode upstream, so the model is told.
const ONE_OBJECT: &str = "Answer with one JSON object only, no code fence.";

impl Ask<'_> {
    /// A schema that is enforced, or a last word in the system prompt.
    pub(super) fn answer_format<'a>(
        &self,
        asked: Option<ResponseFormat<'a>>,
        system: &mut Vec<Block<'a>>,
    ) -> Result<Option<Format>, Unsupported> {
        let Some(asked) = asked else { return Ok(None) };
        match &*asked.kind {
            "text" => Ok(None),
            "json_object" => {
                system.push(Block::text(ONE_OBJECT));
                Ok(None)
            }
            "json_schema" => self.structured(asked).map(Some),
            _ => Err(Unsupported::new(
                "response_format.type",
                "`response_format.type` must be text, json_object or json_schema",
            )),
        }
    }

    fn structured(&self, asked: ResponseFormat<'_>) -> Result<Format, Unsupported> {
        if !self.model.capabilities.accepts.structured_outputs {
            return Err(Unsupported::new(
                "response_format",
                "this model keeps to no JSON schema, offer a tool with that schema instead",
            ));
        }
        let asked = asked.json_schema.unwrap_or_default();
        let schema = asked
            .schema
            .and_then(|schema| serde_json::from_str::<Value>(schema.get()).ok())
            .filter(Value::is_object);
        let Some(mut schema) = schema else {
            return Err(Unsupported::new(
                SCHEMA,
                "the answer's form must be a JSON schema, not nested too deeply",
            ));
        };
        output::clean(&mut schema)
            .map_err(|unnamed| Unsupported::new(SCHEMA, unnamed.to_string()))?;
        if let (Value::Object(schema), Some(text)) = (&mut schema, asked.description) {
            schema
                .entry("description")
                .or_insert_with(|| Value::from(&*text));
        }
        Ok(Format { schema })
    }
}
