//! Which kinds of edge errors are there, and what can be done about each?

use std::time::Duration;

/// Kinds of edge errors, by what can be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EdgeClass {
    /// 1200: too many requests wait at the edge for one origin.
    QueueFull,
    /// 1015: the owner's rate limit.
    RateLimited,
    /// 1025, 1027: the owner's Workers plan is used up until midnight UTC.
    PlanUsedUp,
    /// A ban or a firewall rule.
    Blocked,
    Challenge,
    /// 1000, 1003, 1013: the request was addressed wrongly, which is our mistake.
    Misaddressed,
    /// DNS or a tunnel behind the edge fails.
    Unreachable,
    /// 1101, 1102: the owner's Worker failed, perhaps half-way.
    WorkerFailed,
    /// 521, 523: the origin never got the request.
    OriginDown,
    /// The origin may have got the request.
    OriginFailed,
    /// 525, 526: no TLS between edge and origin.
    OriginTls,
    Other,
}

impl EdgeClass {
    pub(super) fn of_code(code: u16) -> Self {
        match code {
            1200 => Self::QueueFull,
            1015 => Self::RateLimited,
            1025 | 1027 => Self::PlanUsedUp,
            1005..=1010 | 1012 | 1020 | 1106 => Self::Blocked,
            1000 | 1003 | 1013 => Self::Misaddressed,
            1001 | 1016 | 1033 | 530 => Self::Unreachable,
            1101 | 1102 => Self::WorkerFailed,
            521 | 523 => Self::OriginDown,
            500 | 502 | 504 | 520 | 522 | 524 => Self::OriginFailed,
            525 | 526 => Self::OriginTls,
            _ => Self::Other,
        }
    }

    /// The request was turned away before the server that the error is about saw it.
    pub fn turned_away(self) -> bool {
        matches!(
            self,
            Self::QueueFull
                | Self::RateLimited
                | Self::PlanUsedUp
                | Self::Unreachable
                | Self::OriginDown
        )
    }

    /// What Cloudflare asks for with these errors since 2026, for pages that lack it.
    pub(super) fn usual_pause(self) -> Duration {
        Duration::from_secs(match self {
            Self::QueueFull => 60,
            Self::RateLimited => 30,
            _ => 0,
        })
    }

    /// The label in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "edge_queue_full",
            Self::RateLimited => "edge_rate_limited",
            Self::PlanUsedUp => "edge_plan_used_up",
            Self::Blocked => "edge_blocked",
            Self::Challenge => "edge_challenge",
            Self::Misaddressed => "edge_misaddressed",
            Self::Unreachable => "edge_unreachable",
            Self::WorkerFailed => "edge_worker_failed",
            Self::OriginDown => "edge_origin_down",
            Self::OriginFailed => "edge_origin_failed",
            Self::OriginTls => "edge_origin_tls",
            Self::Other => "edge_other",
        }
    }

    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::QueueFull => "too many requests are waiting at its edge for that server",
            Self::RateLimited => {
                "the site's owner limits the rate of requests, and asking sooner makes it longer"
            }
            Self::PlanUsedUp => "the site's daily plan for Workers is used up until midnight UTC",
            Self::Blocked => {
                "a rule of the site's owner bans this gateway, and trying again will not help"
            }
            Self::Challenge => {
                "it wants to see a browser, which this gateway is not; the site's owner must let it in"
            }
            Self::Misaddressed => {
                "it refuses how the request was addressed, which is a fault of this gateway"
            }
            Self::Unreachable => "it cannot find the server behind it",
            Self::WorkerFailed => {
                "the site's own program at the edge failed, perhaps after it began to work on the request"
            }
            Self::OriginDown => "the server behind it is down, and the request did not reach it",
            Self::OriginFailed => {
                "the server behind it failed or was too slow, perhaps after it got the request"
            }
            Self::OriginTls => "it has no secure connection to the server behind it",
            Self::Other => "an error page took the place of the answer",
        }
    }
}
