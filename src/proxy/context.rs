//! What is known of one request, phase by phase.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Uri};
use parking_lot::Mutex;

use super::detour::Detour;
use super::errand::Errand;
use super::judge::Finding;
use super::passage::Fairness;
use super::relay::{Custody, SharedFeed};
use super::stream::Tail;
use super::translation::Translation;
use crate::auth::Caller;
use crate::body::Budget;
use crate::cookies::CookieHeader;
use crate::gateway::{DirectUpstream, Failure, Gateway, Guest, InFlight, Snapshot};
use crate::identity::{MemoryUser, Resolved};
use crate::limits::{Admission, Standing};
use crate::telemetry::{InFlight as LaneInFlight, RequestId, TraceContext, UpstreamMetrics};
use crate::upstream::backends::Replica;
use crate::upstream::lane::Permit;
use crate::upstream::peer::Opener;
use crate::wire::Dialect;
use crate::wire::usage::UsageScan;

/// One request's life; made when its head was read, dropped when its answer was flushed.
pub struct RequestCtx {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) started: Instant,
    pub(super) request_id: RequestId,
    pub(super) trace: TraceContext,
    pub(super) dialect: Dialect,
    /// Where the client's session is while Pingora does not have it.
    pub(super) custody: Custody,
    /// Whose connection it came by.
    pub(super) guest: Option<Arc<Guest>>,
    pub(super) admitted: Option<Admitted>,
    pub(super) attempt: Attempt,
    pub(super) answered: Answered,
    /// Dropped last: what a drain waits for has given everything back.
    pub(super) in_flight: InFlight,
}

/// Where an admitted request goes, and with what.
pub(super) struct Admitted {
    pub way: Way,
    pub caller: Option<Caller>,
    /// By the caller's limits; held for its drop too, which gives its place back.
    pub admission: Option<Admission>,
    pub memory: Memory,
    /// The model as the client named it.
    pub model: Option<String>,
    pub stream: bool,
    pub betas: Vec<String>,
    /// What the relay goes by; `None` where a connection is upgraded and so no answer awaited.
    pub feed: Option<SharedFeed>,
    /// `None`: the body is streamed through, not held.
    pub held: Option<Held>,
    /// Client and provider speak two dialects.
    pub translation: Option<Translation>,
}

/// Whose memory a request is for.
pub(super) enum Memory {
    /// The memory router is not on its way.
    None,
    /// The client wants none.
    Off,
    Of(Resolved),
}

impl Memory {
    pub(super) fn user(&self) -> Option<&MemoryUser> {
        match self {
            Self::Of(meant) => Some(&meant.user),
            Self::None | Self::Off => None,
        }
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "one to a request, which is boxed whole"
)]
pub(super) enum Way {
    Direct(DirectWay),
    LiteLlm {
        tried: Vec<SocketAddr>,
        /// Held for its drop: LiteLLM has no lane that would count.
        _under_way: LaneInFlight,
    },
}

impl Way {
    pub(super) fn litellm(snapshot: &Snapshot) -> Self {
        Self::LiteLlm {
            tried: Vec::new(),
            _under_way: snapshot.litellm.metrics.enter(),
        }
    }
}

pub(super) struct DirectWay {
    pub errand: Errand,
    pub upstream: Arc<DirectUpstream>,
    /// Path and query towards the upstream: `//` inside stays.
    pub uri: Uri,
    pub fairness: Fairness,
    /// Where it may go instead, until it has gone there.
    pub detour: Option<Detour>,
    /// It goes past the router, to the provider itself.
    pub bypassed: bool,
    /// Attempts made by it: what another way refused is no retry here.
    pub attempts: u32,
}

/// A body in our hands, on its way to the upstream.
pub(super) struct Held {
    pub length: usize,
    pub mode: BodyMode,
}

/// What became of the body's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyMode {
    Identical,
    Spliced,
    /// Decompressed, because its model had to change.
    Decoded,
    /// In the provider's dialect.
    Translated,
}

impl BodyMode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Spliced => "spliced",
            Self::Decoded => "decoded",
            Self::Translated => "translated",
        }
    }
}

/// One try at the upstream; replaced by the next.
#[derive(Default)]
pub(super) struct Attempt {
    /// From 1.
    pub number: u32,
    pub address: Option<SocketAddr>,
    pub replica: Option<Replica>,
    pub opener: Option<Arc<Opener>>,
    /// How often it went back to the pool because others had opened connections.
    pub looks: u32,
    /// When its server was chosen, and how long it took from there to a connection.
    pub chosen_at: Option<Instant>,
    pub connect: Option<Duration>,
    pub reused: Option<bool>,
    pub http2: bool,
    pub cookies_sent: Option<CookieHeader>,
    /// Its head went up.
    pub sent: bool,
    /// Of the lane that it goes by; shared with the judge of its answer.
    pub permit: Option<Arc<Permit>>,
    /// Informational answers seen.
    pub informational: u32,
}

/// What happened on the way to the final answer, over all attempts.
#[derive(Default)]
pub(super) struct Answered {
    /// Wait before the next attempt.
    pub wait: Option<Duration>,
    /// Names of the cookies that the last answer set and that its attempt had not sent.
    pub fresh_cookies: Vec<String>,
    pub retried_for_cookies: bool,
    /// An attempt was turned away behind the router, which may have noted it.
    pub may_have_been_written: bool,
    /// Waited for the lane, over all attempts.
    pub queued: Duration,
    /// The lane did not let it pass.
    pub turned_away: Option<TurnedAway>,
    /// Why it went round its lane.
    pub bypassed: Option<&'static str>,
    pub head_at: Option<Instant>,
    /// What went by before the first head went up, and was ours: neither the lane's queue nor the connection.
    pub overhead: Option<Duration>,
    pub failure: Option<Failure>,
    pub refused: Option<&'static str>,
    /// What is left to a key one of whose limits is reached.
    pub limited: Option<Standing>,
    pub outcome: Option<&'static str>,
    pub client_left: bool,
    /// The answer ended as an answer should, although the attempt failed.
    pub told: bool,
    pub memory: Option<&'static str>,
    /// It was said whose memory it went up for.
    pub audited: bool,
    /// Set while an event stream that we could end with an error event passes.
    pub stream: Option<Tail>,
    /// Looks for what a whole answer took.
    pub scan: Option<Box<UsageScan>>,
    pub broken_stream: Option<&'static str>,
    /// What the judge of a kept answer found.
    pub finding: Arc<Mutex<Finding>>,
}

/// What a client is told whom no lane takes.
#[derive(Clone, Copy)]
pub(super) struct TurnedAway {
    pub retry_after: Duration,
    /// Nothing of the request was certainly ever processed.
    pub certain: bool,
}

impl RequestCtx {
    pub(super) fn new(gateway: &Gateway) -> Self {
        let snapshot = gateway.snapshot();
        Self {
            started: snapshot.clock.now(),
            snapshot,
            request_id: RequestId::new(None),
            trace: TraceContext::new(false),
            dialect: Dialect::OpenAi,
            custody: Custody::of_connection(),
            guest: Guest::here(),
            admitted: None,
            attempt: Attempt::default(),
            answered: Answered::default(),
            in_flight: gateway.traffic.enter(),
        }
    }

    /// Notes what the request's head says about itself.
    pub(super) fn hello(&mut self, headers: &HeaderMap, dialect: Dialect) {
        self.started = self.snapshot.clock.now();
        if let Some(id) = headers.get(names::REQUEST_ID) {
            self.request_id = RequestId::new(Some(id));
        }
        self.trace = TraceContext::of(headers, || self.snapshot.traces.samples());
        self.dialect = dialect;
    }

    /// No valid key has come by its connection.
    pub(super) fn is_strangers(&self) -> bool {
        self.guest.as_ref().is_some_and(|guest| !guest.is_known())
    }

    /// The room for its body.
    pub(super) fn bodies(&self) -> &Budget {
        if self.is_strangers() {
            &self.snapshot.strangers_bodies
        } else {
            &self.snapshot.bodies
        }
    }

    /// A valid key came with it.
    pub(super) fn vouch(&self) {
        if let Some(guest) = &self.guest {
            guest.vouch();
        }
    }

    pub(super) fn upstream_metrics(&self) -> Option<&UpstreamMetrics> {
        match &self.admitted.as_ref()?.way {
            Way::Direct(way) => Some(&way.upstream.metrics),
            Way::LiteLlm { .. } => Some(&self.snapshot.litellm.metrics),
        }
    }

    pub(super) fn direct(&self) -> Option<&DirectWay> {
        match &self.admitted.as_ref()?.way {
            Way::Direct(way) => Some(way),
            Way::LiteLlm { .. } => None,
        }
    }

    pub(super) fn direct_mut(&mut self) -> Option<&mut DirectWay> {
        match &mut self.admitted.as_mut()?.way {
            Way::Direct(way) => Some(way),
            Way::LiteLlm { .. } => None,
        }
    }

    /// The answer is final: the body that another way would have needed is let go.
    pub(super) fn forget_detour(&mut self) {
        if let Some(way) = self.direct_mut() {
            way.detour = None;
        }
    }

    pub(super) fn feed(&self) -> Option<&SharedFeed> {
        self.admitted.as_ref()?.feed.as_ref()
    }

    pub(super) fn translation(&self) -> Option<&Translation> {
        self.admitted.as_ref()?.translation.as_ref()
    }

    pub(super) fn translation_mut(&mut self) -> Option<&mut Translation> {
        self.admitted.as_mut()?.translation.as_mut()
    }

    pub(super) fn route(&self) -> &'static str {
        if self.answered.bypassed.is_some() {
            return "bypass";
        }
        match self.admitted.as_ref().map(|admitted| &admitted.way) {
            Some(Way::Direct(way)) if way.errand.is_litellms() => "egress",
            Some(Way::Direct(_)) => "direct",
            Some(Way::LiteLlm { .. }) => "litellm",
            None => "local",
        }
    }
}

/// `x-memgate-…` names of the contract.
pub(super) mod names {
    use super::HeaderName;

    pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    pub const ROUTE: HeaderName = HeaderName::from_static("x-memgate-route");
    pub const ATTEMPTS: HeaderName = HeaderName::from_static("x-memgate-attempts");
    pub const BODY: HeaderName = HeaderName::from_static("x-memgate-body");
    pub const MEMORY: HeaderName = HeaderName::from_static("x-memgate-memory");
    /// What we say of every answer.
    pub const STAMPED: [HeaderName; 5] = [REQUEST_ID, ROUTE, ATTEMPTS, BODY, MEMORY];
    pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
    pub const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
    pub const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
    pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
    pub const USER_ID: HeaderName = HeaderName::from_static("x-sm-user-id");
}
