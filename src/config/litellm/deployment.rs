//! One entry of `model_list`: what is the model called upstream, and who calls it?

use super::values::Values;
use super::{Node, Place, direct, provider};
use crate::config::models::Deployment;
use crate::config::settings::BaseUrl;
use crate::config::yaml::Value;

/// A deployment whose share of its group is not known yet.
pub(super) struct Draft {
    pub place: Place,
    pub deployment: Deployment,
    /// Where LiteLLM itself calls it, if a URL says so.
    pub called: Option<BaseUrl>,
    /// `weight`, `rpm` and `tpm`, zero where absent.
    pub shares: [f64; 3],
}

/// `litellm_params` and the credential they name, which fills in what they leave out.
#[derive(Clone, Copy)]
pub(super) struct Params<'a> {
    params: &'a Node,
    credential: Option<&'a Node>,
}

impl<'a> Params<'a> {
    pub fn get(self, key: &str) -> Option<&'a Node> {
        self.params.present(key).or_else(|| {
            self.credential
                .and_then(|credential| credential.present(key))
        })
    }

    /// `litellm_params` alone.
    pub fn own(self) -> &'a Node {
        self.params
    }

    /// LiteLLM lets `base_url` win where both are set.
    pub fn base(self) -> Option<&'a Node> {
        self.get("base_url").or_else(|| self.get("api_base"))
    }

    pub fn text(self, key: &str, values: &mut Values) -> Option<String> {
        self.get(key).and_then(|node| values.text(node, key))
    }
}

pub(super) fn read(
    entry: &Node,
    params: &Node,
    root: &Node,
    domains: &[String],
    values: &mut Values,
) -> Option<Draft> {
    let credential = credential(params, root, values);
    let fields = Params { params, credential };
    let Some(model_node) = params.present("model") else {
        values.notes.fault(
            &params.place,
            "`litellm_params` without `model`, add it, such as `anthropic/NAME`",
        );
        return None;
    };
    let shares = ["weight", "rpm", "tpm"].map(|key| share(params, key, values));
    let id = id(entry, values);
    let model = values.text(model_node, "model")?;
    let custom = fields.text("custom_llm_provider", values);
    let (provider, model) = provider::split(&model, custom.as_deref());
    let direct = direct::target(fields, provider, model, domains, values)
        .map_err(|direct::Unusable| ())
        .ok()?;
    let called = fields
        .base()
        .filter(|_| direct.is_none())
        .and_then(|node| BaseUrl::parse(&values.quietly(node)?).ok());
    let deployment = Deployment {
        id,
        model: model.to_owned(),
        weight: 0,
        direct,
    };
    Some(Draft {
        place: entry.place.clone(),
        deployment,
        called,
        shares,
    })
}

/// `credential_values` of the entry of `credential_list` that `litellm_credential_name` names.
fn credential<'a>(params: &Node, root: &'a Node, values: &mut Values) -> Option<&'a Node> {
    let name_node = params.present("litellm_credential_name")?;
    let name = values.text(name_node, "litellm_credential_name")?;
    let list = root
        .present("credential_list")
        .map(Node::items)
        .unwrap_or_default();
    let found = list
        .iter()
        .find(|item| item.present("credential_name").and_then(Node::as_str) == Some(name.as_str()));
    if found.is_none() {
        values.notes.warn(
            &name_node.place,
            "`litellm_credential_name` names none of `credential_list`, add it or correct the name",
        );
    }
    found?.present("credential_values")
}

fn share(params: &Node, key: &str, values: &mut Values) -> f64 {
    let Some(node) = params.present(key) else {
        return 0.0;
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of requests needs no more"
    )]
    let number = match node.value {
        Value::Int(n) => n as f64,
        Value::Float(n) => n,
        _ => -1.0,
    };
    if number.is_finite() && number >= 0.0 {
        return number;
    }
    values.notes.fault(
        &node.place,
        format!("`{key}` is no share of the requests, it takes a number from 0 upwards"),
    );
    0.0
}

/// `model_info.id`, of which LiteLLM makes a string.
fn id(entry: &Node, values: &mut Values) -> Option<String> {
    let node = entry.present("model_info")?.present("id")?;
    match &node.value {
        Value::Int(n) => Some(n.to_string()),
        _ => values.text(node, "model_info.id"),
    }
}
