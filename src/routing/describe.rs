//! How a name resolves, for people: `memgate check --resolve` and `/explain`.

use std::fmt;

use serde::Serialize;

use crate::config::{Bypass, ProviderDialect};

use super::name::Asked;
use super::route::Rule;
use super::table::{Found, Group, RouteTable};

/// Which rule places a name, and every way its requests may go. Holds no secrets.
#[derive(Debug, Serialize)]
pub struct Description {
    pub requested: String,
    pub rule: &'static str,
    /// The public name that matched.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
    pub betas: Vec<String>,
    pub ways: Vec<Way>,
}

/// One way a request may go, with its share of the requests.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    pub share: f64,
    /// What is called; `None` is LiteLLM.
    pub url: Option<String>,
    pub dialect: Option<&'static str>,
    /// The model name sent there.
    pub model: String,
    /// Where it goes while that way is closed; `None`: it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass: Option<String>,
}

impl RouteTable {
    pub fn describe(&self, model: &str, bypass: Bypass) -> Description {
        let found =
            Asked::parse(model).and_then(|asked| Some((self.find(asked.name)?, asked.betas)));
        let Some((found, betas)) = found else {
            return Description {
                requested: model.to_owned(),
                rule: Rule::Unknown.as_str(),
                name: model.to_owned(),
                alias_of: None,
                betas: Vec::new(),
                ways: vec![Way::litellm(1.0, model)],
            };
        };
        Description {
            requested: model.to_owned(),
            rule: found.rule.as_str(),
            name: found.name.to_string(),
            alias_of: found.target.as_deref().map(str::to_owned),
            betas,
            ways: ways(&found, bypass),
        }
    }
}

fn ways(found: &Found<'_>, bypass: Bypass) -> Vec<Way> {
    let Some(group) = found.group.filter(|group| group.is_direct()) else {
        return vec![Way::litellm(1.0, &found.name)];
    };
    let total: f64 = group.members.iter().map(|m| group.weight(m)).sum();
    let mut ways = direct_ways(found, group, total, bypass);
    let direct: f64 = ways.iter().map(|way| way.share).sum();
    if group.members.iter().any(|member| member.direct.is_none()) {
        ways.push(Way::litellm(1.0 - direct, &found.name));
    }
    ways
}

fn direct_ways(found: &Found<'_>, group: &Group, total: f64, bypass: Bypass) -> Vec<Way> {
    group
        .members
        .iter()
        .filter_map(|member| {
            let target = &member.direct.as_ref()?.target;
            Some(Way {
                share: group.weight(member) / total,
                url: Some(target.base.to_string()),
                dialect: Some(match target.dialect {
                    ProviderDialect::Anthropic => "anthropic",
                    ProviderDialect::OpenAi => "openai",
                }),
                model: found.sent(member),
                bypass: match bypass {
                    Bypass::Provider => {
                        target.bypass.as_ref().map(|target| target.base.to_string())
                    }
                    Bypass::LiteLlm => Some("LiteLLM".to_owned()),
                    Bypass::None => None,
                },
            })
        })
        .collect()
}

impl Way {
    fn litellm(share: f64, model: &str) -> Self {
        Self {
            share,
            url: None,
            dialect: None,
            model: model.to_owned(),
            bypass: None,
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.requested, self.rule)?;
        if self.name != self.requested {
            write!(f, " `{}`", self.name)?;
        }
        if let Some(target) = &self.alias_of {
            write!(f, ", alias of `{target}`")?;
        }
        if !self.betas.is_empty() {
            write!(f, ", anthropic-beta + {}", self.betas.join(","))?;
        }
        for way in &self.ways {
            write!(f, "\n  ")?;
            if self.ways.len() > 1 {
                write!(f, "{:.0} % ", way.share * 100.0)?;
            }
            match (&way.url, way.dialect) {
                (Some(url), Some(dialect)) => write!(f, "direct to {url} ({dialect})")?,
                _ => write!(f, "to LiteLLM")?,
            }
            write!(f, ", model `{}`", way.model)?;
            match &way.bypass {
                Some(bypass) => write!(f, ", bypass to {bypass}")?,
                None if way.url.is_some() => write!(f, ", no bypass: it waits in the queue")?,
                None => {}
            }
        }
        Ok(())
    }
}
