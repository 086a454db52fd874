//! Whose memory was used, by whose key, and why?

use std::time::SystemTime;

use serde::Serialize;

use super::record::as_stamp;

/// One request that went up in a memory user's name. No key and no word of a prompt.
#[derive(Serialize)]
pub struct AuditRecord<'a> {
    #[serde(serialize_with = "as_stamp")]
    pub time: SystemTime,
    /// The request's.
    pub id: &'a str,
    /// The key's name.
    pub caller: &'a str,
    pub user: &'a str,
    /// What told the user: `key`, `custom_header`, `header_pattern`, `default`.
    pub by: &'static str,
    /// As the client wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
}

impl AuditRecord<'_> {
    /// Writes the record as one line of JSON, target `memgate::audit`.
    pub fn write(&self) {
        if !log::log_enabled!(target: "memgate::audit", log::Level::Info) {
            return;
        }
        match serde_json::to_string(self) {
            Ok(line) => log::info!(target: "memgate::audit", "{line}"),
            Err(error) => {
                log::error!(target: "memgate::log", "audit record of {} cannot be written: {error}", self.id)
            }
        }
    }
}
