//! What do LiteLLM's answers about a key mean?

use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;

use crate::clock::parse_stamp;
use crate::config::{KeyLimits, Secret};

use super::allowance::Allowance;
use super::allowed::Allowed;
use super::caller::{Key, LITELLMS, Memory};
use super::litellm::{LiteLlmApi, Reply};
use super::{Fingerprint, Refusal};

/// The user LiteLLM writes into keys that the master key made for nobody in particular.
const NOBODY: &str = "default_user_id";
const ALL_TEAM_MODELS: &str = "all-team-models";
const LONGEST_ALIAS: usize = 64;

#[derive(Deserialize)]
struct KeyInfo {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    models: Option<Vec<String>>,
    key_alias: Option<String>,
    expires: Option<String>,
    blocked: Option<bool>,
    user_id: Option<String>,
    team_id: Option<String>,
    /// `active`, `expired`, `revoked`, `deleted`; younger versions say it.
    status: Option<String>,
    #[serde(flatten)]
    allowance: Allowance,
    /// Of the budget that the key was given by name: holds where the key itself says nothing.
    litellm_budget_table: Option<Allowance>,
}

#[derive(Deserialize)]
struct TeamInfo {
    team_info: Team,
}

#[derive(Deserialize)]
struct Team {
    models: Option<Vec<String>>,
    blocked: Option<bool>,
    #[serde(flatten)]
    allowance: Allowance,
}

/// Asks with the key itself about the key, and about its team where it has one.
pub(super) async fn ask(
    litellm: &dyn LiteLlmApi,
    fingerprint: &Fingerprint,
    key: &Secret,
) -> Result<Arc<Key>, Refusal> {
    let info: KeyInfo = read(litellm, "/key/info", key, refused).await?;
    let info = info.info;
    info.standing()?;
    let team = match info.team_id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => Some(ask_team(litellm, id, key).await?),
        None => None,
    };
    info.key(fingerprint, team.as_ref()).map(Arc::new)
}

/// A team that does not tell its models grants none.
async fn ask_team(litellm: &dyn LiteLlmApi, id: &str, key: &Secret) -> Result<Team, Refusal> {
    let path = format!("/team/info?team_id={}", percent_encoded(id));
    let info: TeamInfo = read(litellm, &path, key, |_| Refusal::CannotAsk).await?;
    if info.team_info.blocked == Some(true) {
        return Err(Refusal::Blocked);
    }
    Ok(info.team_info)
}

async fn read<T: for<'de> Deserialize<'de>>(
    litellm: &dyn LiteLlmApi,
    path: &str,
    key: &Secret,
    refused: fn(&Reply) -> Refusal,
) -> Result<T, Refusal> {
    let Ok(reply) = litellm.get(path, key).await else {
        return Err(Refusal::CannotAsk);
    };
    match reply.status {
        200 => serde_json::from_slice(&reply.body).or(Err(Refusal::CannotAsk)),
        400 | 401 | 403 | 404 | 422 | 429 => Err(refused(&reply)),
        _ => Err(Refusal::CannotAsk),
    }
}

/// LiteLLM's refusal of the key, in our words. Without a database it knows its master key only, and answers
/// 400 `no_db_connection` to every other.
fn refused(reply: &Reply) -> Refusal {
    let error: Option<serde_json::Value> = serde_json::from_slice(&reply.body).ok();
    let kind = error
        .as_ref()
        .and_then(|error| error.pointer("/error/type")?.as_str());
    match (reply.status, kind) {
        (_, Some("expired_key")) => Refusal::Expired,
        (_, Some("budget_exceeded")) => Refusal::OverBudget,
        (400, Some("no_db_connection")) => Refusal::Unknown,
        (400 | 422 | 429, _) => Refusal::CannotAsk,
        _ => Refusal::Unknown,
    }
}

impl Info {
    fn standing(&self) -> Result<(), Refusal> {
        match (self.blocked, self.status.as_deref()) {
            (Some(true), _) | (_, Some("revoked" | "deleted")) => Err(Refusal::Blocked),
            (_, Some("expired")) => Err(Refusal::Expired),
            _ => Ok(()),
        }
    }

    fn key(self, fingerprint: &Fingerprint, team: Option<&Team>) -> Result<Key, Refusal> {
        let limits = self.limits(team)?;
        let own = self.models.unwrap_or_default();
        let as_the_team = own.iter().any(|model| model == ALL_TEAM_MODELS);
        let of_team = team.map(|team| team.models.as_deref().unwrap_or_default());
        let models = match of_team {
            Some(team) if as_the_team => Allowed::new(team),
            _ => Allowed::new(&own),
        };
        let user = self
            .user_id
            .filter(|user| !user.is_empty() && user != NOBODY);
        Ok(Key {
            id: fingerprint.id(),
            name: name(self.key_alias.as_deref(), fingerprint).into(),
            models,
            team: of_team.map(Allowed::new),
            expires: self.expires.as_deref().map(moment).transpose()?,
            limits,
            // A key that is nobody's has always been told apart by what its clients say.
            memory: Memory {
                impersonate: user.is_none(),
                shared: user.is_none(),
                user,
            },
        })
    }

    /// What the key and its team have both left.
    fn limits(&self, team: Option<&Team>) -> Result<KeyLimits, Refusal> {
        let own = self.allowance.or(self.litellm_budget_table);
        if own.is_spent() || team.is_some_and(|team| team.allowance.is_overspent()) {
            return Err(Refusal::OverBudget);
        }
        let team = team.map(|team| team.allowance).unwrap_or_default();
        own.and(team).limits()
    }
}

/// A date we cannot read might be in the past.
fn moment(text: &str) -> Result<SystemTime, Refusal> {
    parse_stamp(text).ok_or(Refusal::Expired)
}

fn name(alias: Option<&str>, fingerprint: &Fingerprint) -> String {
    let alias: String = alias
        .unwrap_or_default()
        .chars()
        .filter(|char| !char.is_control())
        .take(LONGEST_ALIAS)
        .collect();
    if !alias.is_empty() {
        return format!("{LITELLMS}{alias}");
    }
    let mut start = fingerprint.to_string();
    start.truncate(8);
    format!("{LITELLMS}{start}")
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
