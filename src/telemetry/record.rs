//! What is there to say about a finished request?

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::trace_context::TraceContext;
use crate::clock;

/// Room for most lines, so that they need not grow.
const LINE: usize = 1024;

/// Everything about one finished request; its log line and its counts are made from this, once.
/// Names of cookies, never their values; no key and no word of a prompt.
#[derive(Serialize)]
pub struct AccessRecord<'a> {
    /// When the answer ended.
    #[serde(serialize_with = "as_stamp")]
    pub time: SystemTime,
    pub id: &'a str,
    /// Under which tracing systems know it; shown is the trace's id.
    #[serde(rename = "trace_id", skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    #[serde(flatten)]
    pub asked: Asked<'a>,
    #[serde(flatten)]
    pub person: Person<'a>,
    #[serde(flatten)]
    pub answer: Answer<'a>,
    #[serde(flatten)]
    pub upstream: Upstreamed<'a>,
    #[serde(flatten)]
    pub spent: Spent,
}

/// The request line, so to speak.
#[derive(Clone, Copy, Serialize)]
pub struct Asked<'a> {
    pub method: &'a str,
    /// Without the query, which may hold keys.
    pub path: &'a str,
    /// `HTTP/1.1`, `HTTP/2`.
    pub protocol: &'a str,
    /// `anthropic` or `openai`.
    pub dialect: &'static str,
    /// As the client wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    pub stream: bool,
}

/// Who asked, for whose memory.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Person<'a> {
    /// The caller's name, never the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// `on`, `unchanged`, `error`, `off`, `bypassed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<&'a str>,
}

/// What the client got.
#[derive(Clone, Copy, Serialize)]
pub struct Answer<'a> {
    pub route: RouteLabel,
    pub status: u16,
    /// One of few words: `ok`, `refused`, `failed`, `client_gone` …
    pub outcome: &'static str,
    /// Why, where there is a why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// `identical`, `spliced`, `decoded`, `translated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<&'a str>,
}

/// What was done upstream.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Upstreamed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'a str>,
    pub attempts: u32,
    /// Why it went round its usual lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypassed: Option<&'a str>,
    /// The last attempt rode on a connection that was already open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused: Option<bool>,
    /// Names of the jar's cookies that were sent.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub cookies: &'a [&'a str],
}

/// What it cost.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Spent {
    pub bytes_in: u64,
    pub bytes_out: u64,
    #[serde(rename = "total_ms", serialize_with = "as_millis")]
    pub total: Duration,
    #[serde(
        rename = "first_byte_ms",
        serialize_with = "as_some_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub first_byte: Option<Duration>,
    /// The part of the time to the first byte that was ours, neither the upstream's nor the queue's.
    #[serde(
        rename = "overhead_ms",
        serialize_with = "as_some_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub overhead: Option<Duration>,
    /// Until the last attempt had its connection.
    #[serde(
        rename = "connect_ms",
        serialize_with = "as_some_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub connect: Option<Duration>,
    /// How long it waited for its lane, where it had to.
    #[serde(
        rename = "queue_ms",
        serialize_with = "as_some_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub queue_wait: Option<Duration>,
    /// What the answer said it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// Tokens by kind, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// What no cache gave or took.
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub output: u64,
}

/// Who answered: the value of `x-memgate-route`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteLabel {
    Direct,
    LiteLlm,
    /// A provider, on LiteLLM's own errand.
    Egress,
    /// The provider or LiteLLM in place of the router.
    Bypass,
    /// The gateway itself.
    Local,
}

impl RouteLabel {
    pub const ALL: [Self; 5] = [
        Self::Direct,
        Self::LiteLlm,
        Self::Egress,
        Self::Bypass,
        Self::Local,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::LiteLlm => "litellm",
            Self::Egress => "egress",
            Self::Bypass => "bypass",
            Self::Local => "local",
        }
    }
}

impl AccessRecord<'_> {
    /// As JSON.
    pub(super) fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = Vec::with_capacity(LINE);
        serde_json::to_writer(&mut line, self)?;
        Ok(line)
    }

    /// Where its time went.
    pub(super) fn phases(&self) -> String {
        let (asked, answer, spent) = (&self.asked, &self.answer, &self.spent);
        let seconds = |time: Option<Duration>| match time {
            Some(time) => format!("{:.3} s", time.as_secs_f64()),
            None => "none".to_owned(),
        };
        format!(
            "slow request {}: queue {}, connect {}, first byte {}, whole {}; {} {:?}, model {:?}, route {}, attempts {}, status {}, outcome {}",
            self.id,
            seconds(spent.queue_wait),
            seconds(spent.connect),
            seconds(spent.first_byte),
            seconds(Some(spent.total)),
            asked.method,
            asked.path,
            asked.model.unwrap_or_default(),
            answer.route.as_str(),
            self.upstream.attempts,
            answer.status,
            answer.outcome,
        )
    }
}

pub(super) fn as_stamp<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clock::stamp(*time))
}

pub(super) fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_micros() as f64 / 1000.0)
}

fn as_some_millis<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    as_millis(&time.unwrap_or_default(), serializer)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    pub fn record() -> AccessRecord<'static> {
        AccessRecord {
            time: UNIX_EPOCH + Duration::from_secs(1_677_610_602),
            id: "r-1",
            trace: Some(TraceContext::example()),
            asked: Asked {
                method: "POST",
                path: "/v1/messages",
                protocol: "HTTP/2",
                dialect: "anthropic",
                model: Some("claude\"\n"),
                stream: true,
            },
            person: Person {
                caller: Some("master"),
                user: Some("team"),
                memory: None,
            },
            answer: Answer {
                route: RouteLabel::Direct,
                status: 200,
                outcome: "ok",
                reason: None,
                body: Some("spliced"),
            },
            upstream: Upstreamed {
                upstream: Some("api.supermemory.ai"),
                attempts: 2,
                bypassed: Some("paused"),
                reused: Some(true),
                cookies: &["__cf_bm", "_cfuvid"],
            },
            spent: Spent {
                bytes_in: 1024,
                bytes_out: 4096,
                total: Duration::from_micros(12_345),
                first_byte: Some(Duration::from_millis(3)),
                overhead: None,
                connect: Some(Duration::from_micros(1500)),
                queue_wait: Some(Duration::from_millis(250)),
                tokens: Some(Tokens {
                    input: 3,
                    cache_read: 20,
                    cache_write: 1,
                    output: 9,
                }),
            },
        }
    }

    #[test]
    fn a_record_is_one_line_of_json_whatever_the_client_wrote() {
        let line = record().line().unwrap();

        assert!(!line.contains(&b'\n'));
        let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read["time"], "2023-02-28T18:56:42Z");
        assert_eq!(read["model"], "claude\"\n");
        assert_eq!(read["route"], "direct");
        assert_eq!(read["dialect"], "anthropic");
        assert_eq!(read["attempts"], 2);
        assert_eq!(read["total_ms"], 12.345);
        assert_eq!(read["first_byte_ms"], 3.0);
        assert_eq!(read["queue_ms"], 250.0);
        assert_eq!(read["connect_ms"], 1.5);
        assert_eq!(read["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(read["bypassed"], "paused");
        let tokens =
            serde_json::json!({"input": 3, "cache_read": 20, "cache_write": 1, "output": 9});
        assert_eq!(read["tokens"], tokens);
        assert_eq!(read["cookies"], serde_json::json!(["__cf_bm", "_cfuvid"]));
    }

    #[test]
    fn the_phases_of_a_slow_request_are_one_line_whatever_the_client_wrote() {
        let line = record().phases();

        let times = "queue 0.250 s, connect 0.002 s, first byte 0.003 s, whole 0.012 s";
        assert!(line.contains(times), "{line}");
        assert!(
            line.contains("r-1") && line.contains("attempts 2"),
            "{line}"
        );
        assert!(!line.contains('\n'), "{line}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let line = String::from_utf8(record().line().unwrap()).unwrap();

        for absent in ["\"reason\"", "\"memory\"", "overhead"] {
            assert!(!line.contains(absent), "{absent}");
        }
    }
}
