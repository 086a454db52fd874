//! What a test holds of a running simulator: its script to write, its record to read and wait on.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Answer;
use super::anthropic::TokenRule;
use super::cloudflare::{CookieGate, RateGate, Room, Schedule};
use super::control::Orders;
use super::pace::Tempo;
use super::record::{SeenRequest, Stats, TimelineView};
use super::script::Rule;
use super::server::Server;

/// Reached through [`super::Edge`] and [`super::LiteLlm`], which deref to it.
pub struct Console(Arc<Server>);

impl Console {
    pub(super) fn of(server: &Arc<Server>) -> Self {
        Self(Arc::clone(server))
    }

    /// Each answer is taken by one POST, in order (or by as many as its `times` says).
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.script.extend(answers);
    }

    /// Rules go before the queue of answers; the first that matches counts.
    pub fn rule(&self, rule: Rule) {
        self.0.script.add_rule(rule);
    }

    /// Answers and rules as `POST /__script` takes them, in JSON.
    pub fn script_json(&self, orders: &[u8]) -> Result<(), serde_json::Error> {
        serde_json::from_slice::<Orders>(orders)?.give(&self.0);
        Ok(())
    }

    /// What was seen, oldest first, as far as the ring reaches.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.0.recorder.requests()
    }

    pub fn stats(&self) -> Stats {
        self.0.recorder.stats()
    }

    /// Scripted answers that no POST has taken yet.
    pub fn script_waiting(&self) -> usize {
        self.0.script.waiting()
    }

    /// Time since the start, to compare with the times in [`SeenRequest`].
    pub fn clock(&self) -> Duration {
        self.0.recorder.clock()
    }

    /// True as soon as the stats satisfy the condition, false when the deadline came first.
    pub async fn wait_until(&self, condition: impl Fn(&Stats) -> bool, deadline: Duration) -> bool {
        let recorder = &self.0.recorder;
        let look = || condition(&recorder.stats()).then_some(());
        recorder.until(deadline, look).await.is_some()
    }

    /// The first request in the ring that satisfies the condition, once there is one.
    pub async fn wait_for(
        &self,
        condition: impl Fn(&SeenRequest) -> bool,
        deadline: Duration,
    ) -> Option<SeenRequest> {
        let recorder = &self.0.recorder;
        let look = || recorder.requests().into_iter().find(&condition);
        recorder.until(deadline, look).await
    }

    /// What counts against the capacity now.
    pub fn room(&self) -> Room {
        self.0.door.capacity.room()
    }

    /// Room for so many from now on; `None` is no limit. Who is inside stays.
    pub fn set_capacity(&self, limit: Option<usize>) {
        self.set_schedule(Schedule::always(limit));
    }

    /// A capacity that changes over time, which begins now.
    pub fn set_schedule(&self, schedule: Schedule) {
        self.0.door.capacity.follow(schedule);
    }

    /// What those are told from now on for whom there is no room.
    pub fn set_refusal(&self, refusal: Answer) {
        self.0.door.set_refusal(refusal);
    }

    /// Another cookie gate, or none; the cookies of the one before are worthless.
    pub fn set_cookie_gate(&self, gate: Option<CookieGate>) {
        self.0.door.set_cookies(gate);
    }

    pub fn set_rate(&self, gate: Option<RateGate>) {
        self.0.door.set_rate(gate);
    }

    /// The provider's own limit; the hosts in front of one provider share it.
    pub fn set_tokens(&self, rule: Option<TokenRule>) {
        self.0.site.tokens().set(rule);
    }

    /// The pace of the host's own answers from now on.
    pub fn set_tempo(&self, tempo: Tempo) {
        *self.0.tempo.lock() = tempo;
    }

    /// How full the host was over time, since the start or the last reset.
    pub fn timeline(&self) -> TimelineView {
        self.0.door.capacity.timeline()
    }

    /// Makes every cookie issued so far worthless.
    pub fn expire_cookies(&self) {
        self.0.door.expire_cookies();
    }

    /// Clears script and record; the gates stay as they are.
    pub fn reset(&self) {
        self.0.reset();
    }
}
