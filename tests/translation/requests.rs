//! Does each `openai_request.json` become its `anthropic_request.json`, or is it refused as `refused.json` says?

use std::fs;
use std::path::Path;

use memgate::config::Translation;
use memgate::translate::{self, Capabilities, Defaults, Model, Translated, Unsupported};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cases;

/// `case.json`: the model and the operator's words, and what comes out beside the body.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    /// The provider's id, where it is not the usual one.
    model: Option<String>,
    defaults: Map<String, Value>,
    lenient: bool,
    strict_tools: bool,
    dummy_tool: bool,
    betas: Vec<String>,
    dropped: Vec<String>,
    /// By the name that is sent.
    names: Map<String, Value>,
}

/// `refused.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    param: Option<String>,
    message: String,
}

const MODEL: &str = "claude-sonnet-4-5";

impl Case {
    fn of(folder: &Path) -> Self {
        match fs::read(folder.join("case.json")) {
            Ok(text) => serde_json::from_slice(&text).unwrap(),
            Err(_) => Self::default(),
        }
    }

    fn translate(&self, body: &[u8]) -> Result<Translated, Unsupported> {
        let id = self.model.as_deref().unwrap_or(MODEL);
        let choices = Translation {
            lenient: self.lenient,
            strict_tools: self.strict_tools,
            dummy_tool: self.dummy_tool,
            ..Translation::default()
        };
        let model = Model {
            id,
            alias: "alias",
            capabilities: &Capabilities::of(id, None),
            defaults: &Defaults::parse(&self.defaults).unwrap(),
            choices: &choices,
        };
        translate::request(body, &model, 1)
    }

    fn check(&self, folder: &Path, translated: &Translated) {
        let name = folder.display();
        let expected = fs::read(folder.join("anthropic_request.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let body: Value = serde_json::from_slice(&translated.body).unwrap();
        assert_eq!(body, expected, "{name}\ncame out as\n{body:#}");
        assert_eq!(translated.betas, self.betas, "{name}");
        assert_eq!(translated.dropped, self.dropped, "{name}");
        for (sent, original) in &self.names {
            assert_eq!(translated.reply.names.original(sent), original, "{name}");
        }
    }
}

#[test]
fn every_request_comes_out_as_its_case_says() {
    let folders = cases("openai_request.json");
    assert!(folders.len() > 100, "the cases were found");

    for folder in folders {
        let body = fs::read(folder.join("openai_request.json")).unwrap();
        let case = Case::of(&folder);
        let refused = fs::read(folder.join("refused.json")).ok();

        match (case.translate(&body), refused) {
            (Ok(translated), None) => case.check(&folder, &translated),
            (Err(fault), Some(refused)) => {
                let refused: Refused = serde_json::from_slice(&refused).unwrap();
                assert_eq!(fault.param, refused.param, "{}", folder.display());
                assert_eq!(fault.message, refused.message, "{}", folder.display());
            }
            (Ok(_), Some(_)) => panic!("{} was not refused", folder.display()),
            (Err(fault), None) => panic!("{}: {fault}", folder.display()),
        }
    }
}
