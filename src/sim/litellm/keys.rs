//! Who LiteLLM's stand-in lets in, and what `/key/info` says of a key.

use serde_json::{Value, json};

use crate::sim::head::Head;
use crate::sim::reply::Reply;

/// A virtual key as LiteLLM's database would hold it.
#[derive(Clone, Debug, Default)]
pub struct VirtualKey {
    pub key: String,
    /// Empty: every model.
    pub models: Vec<String>,
    /// As LiteLLM writes it: `2030-01-01T00:00:00Z`.
    pub expires: Option<String>,
    pub blocked: bool,
    pub user_id: Option<String>,
    pub rpm_limit: Option<u64>,
    pub tpm_limit: Option<u64>,
    pub max_parallel_requests: Option<u64>,
    pub max_budget: Option<f64>,
    pub spend: f64,
}

impl VirtualKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }
}

pub(super) struct Ring {
    master: Option<String>,
    keys: Vec<VirtualKey>,
}

pub(super) enum Holder<'k> {
    Anybody,
    Master,
    Key(&'k VirtualKey),
}

impl Ring {
    pub(super) fn new(master: Option<String>, keys: Vec<VirtualKey>) -> Self {
        Self { master, keys }
    }

    /// Who asks, by the fields LiteLLM reads keys from, in its order.
    pub(super) fn holder(&self, head: &Head) -> Result<Holder<'_>, Reply> {
        if self.master.is_none() && self.keys.is_empty() {
            return Ok(Holder::Anybody);
        }
        let presented = head
            .header("x-litellm-api-key")
            .map(|value| value.strip_prefix("Bearer ").unwrap_or(value))
            .or_else(|| head.bearer())
            .or_else(|| head.header("api-key"))
            .or_else(|| head.header("x-api-key"));
        let Some(presented) = presented else {
            return Err(refusal("No api key passed in."));
        };
        if self.master.as_deref() == Some(presented) {
            return Ok(Holder::Master);
        }
        match self.keys.iter().find(|known| known.key == presented) {
            None => Err(refusal("Invalid proxy server token passed.")),
            Some(key) if key.blocked => Err(refusal("Key is blocked.")),
            Some(key) if key.has_expired() => Err(refusal("Expired Key.")),
            Some(key) => Ok(Holder::Key(key)),
        }
    }

    /// `GET /key/info`, asked with the key itself, or by the master for another.
    pub(super) fn info(&self, head: &Head) -> Reply {
        let holder = match self.holder(head) {
            Ok(holder) => holder,
            Err(refusal) => return refusal,
        };
        let named = head.query("key");
        let key = match holder {
            Holder::Key(key) => Some(key),
            _ => self.keys.iter().find(|key| Some(key.key.as_str()) == named),
        };
        match key {
            Some(key) => Reply::json(200, &key.info()),
            None => Reply::json(404, &json!({"detail": {"message": "No key found"}})),
        }
    }
}

impl VirtualKey {
    fn has_expired(&self) -> bool {
        let now = rfc3339(super::super::openai::now());
        // Both in UTC and of one form, so their order is the order of time.
        self.expires.as_ref().is_some_and(|expires| *expires < now)
    }

    fn info(&self) -> Value {
        let tail = self.key.get(self.key.len().saturating_sub(4)..);
        json!({
            "key": self.key,
            "info": {
                "key_name": format!("sk-...{}", tail.unwrap_or_default()),
                "key_alias": null,
                "spend": self.spend,
                "expires": self.expires,
                "models": self.models,
                "aliases": {},
                "config": {},
                "user_id": self.user_id,
                "team_id": null,
                "max_parallel_requests": self.max_parallel_requests,
                "metadata": {},
                "tpm_limit": self.tpm_limit,
                "rpm_limit": self.rpm_limit,
                "max_budget": self.max_budget,
                "budget_duration": null,
                "blocked": self.blocked,
            },
        })
    }
}

fn refusal(message: &str) -> Reply {
    let body = json!({
        "error": {
            "message": format!("Authentication Error, {message}"),
            "type": "auth_error",
            "param": "None",
            "code": "401",
        },
    });
    Reply::json(401, &body)
}

/// Seconds since 1970 as `YYYY-MM-DDTHH:MM:SSZ`.
fn rfc3339(seconds: u64) -> String {
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days: years begin in March, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn dates_are_written_as_litellm_writes_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(rfc3339(1_893_456_000), "2030-01-01T00:00:00Z");
    }
}
