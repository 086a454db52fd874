//! What do LiteLLM's answers about a key mean?

use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;

use crate::clock::parse_stamp;
use crate::config::Secret;

use super::Refusal;
use super::allowed::Allowed;
use super::caller::Key;
use super::litellm::{LiteLlmApi, Reply};
use super::presented::Fingerprint;

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
}

#[derive(Deserialize)]
struct TeamInfo {
    team_info: Team,
}

#[derive(Deserialize)]
struct Team {
    models: Option<Vec<String>>,
    blocked: Option<bool>,
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
        Some(id) => Some(team_models(litellm, id, key).await?),
        None => None,
    };
    info.key(fingerprint, team.as_deref()).map(Arc::new)
}

/// A team that does not tell its models grants none.
async fn team_models(
    litellm: &dyn LiteLlmApi,
    id: &str,
    key: &Secret,
) -> Result<Vec<String>, Refusal> {
    let path = format!("/team/info?team_id={}", percent_encoded(id));
    let info: TeamInfo = read(litellm, &path, key, |_| Refusal::CannotAsk).await?;
    if info.team_info.blocked == Some(true) {
        return Err(Refusal::Blocked);
    }
    Ok(info.team_info.models.unwrap_or_default())
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
        400 | 401 | 403 | 404 => Err(refused(&reply)),
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
        (400, Some("no_db_connection")) => Refusal::Unknown,
        (400, _) => Refusal::CannotAsk,
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

    fn key(self, fingerprint: &Fingerprint, team: Option<&[String]>) -> Result<Key, Refusal> {
        let own = self.models.unwrap_or_default();
        let as_the_team = own.iter().any(|model| model == ALL_TEAM_MODELS);
        let models = match team {
            Some(team) if as_the_team => Allowed::new(team),
            _ => Allowed::new(&own),
        };
        Ok(Key {
            name: name(self.key_alias.as_deref(), fingerprint),
            models,
            team: team.map(Allowed::new),
            expires: self.expires.as_deref().map(moment).transpose()?,
            user: self
                .user_id
                .filter(|user| !user.is_empty() && user != NOBODY),
        })
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
        return format!("litellm:{alias}");
    }
    let start = fingerprint.iter().take(4);
    start.fold("litellm:".to_owned(), |name, byte| {
        format!("{name}{byte:02x}")
    })
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
