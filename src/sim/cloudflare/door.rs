//! The way into a host through its edge: cookies first, then the rate, then the capacity.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::capacity::{Capacity, CapacityGate, Slot};
use super::gate::{CookieGate, Gate};
use super::rate::{Rate, RateGate};
use crate::sim::answer::Answer;
use crate::sim::head::Head;

/// The gates of one host; the default lets everybody pass.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    pub cookies: Option<CookieGate>,
    pub rate: Option<RateGate>,
    pub capacity: Option<CapacityGate>,
}

/// Which gate refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Guard {
    Cookies,
    Rate,
    Capacity,
}

/// The gates at work; each may be changed while it is.
pub(in crate::sim) struct Door {
    cookies: Mutex<Option<Arc<Gate>>>,
    rate: Mutex<Option<Rate>>,
    refusal: Mutex<Answer>,
    pub(in crate::sim) capacity: Arc<Capacity>,
}

impl Door {
    pub(in crate::sim) fn new(gates: Gates) -> Self {
        let CapacityGate { capacity, refusal } = gates.capacity.unwrap_or_default();
        Self {
            cookies: Mutex::new(gates.cookies.map(Gate::new).map(Arc::new)),
            rate: Mutex::new(gates.rate.map(Rate::new)),
            refusal: Mutex::new(refusal),
            capacity: Capacity::new(capacity),
        }
    }

    /// A slot, or what the gate that refused it says.
    pub(in crate::sim) fn enter(&self, head: &Head) -> Result<Slot, (Guard, Box<Answer>)> {
        let refused = |guard| move |answer| (guard, Box::new(answer));
        let cookies = self.cookies.lock().clone();
        if let Some(answer) = cookies.and_then(|gate| gate.refuse(head)) {
            return Err(refused(Guard::Cookies)(answer));
        }
        let late = |rate: &mut Rate| rate.refuse(Instant::now());
        if let Some(answer) = self.rate.lock().as_mut().and_then(late) {
            return Err(refused(Guard::Rate)(answer));
        }
        let slot = self.capacity.enter();
        slot.ok_or_else(|| refused(Guard::Capacity)(self.refusal.lock().clone()))
    }

    pub(in crate::sim) fn set_cookies(&self, gate: Option<CookieGate>) {
        *self.cookies.lock() = gate.map(Gate::new).map(Arc::new);
    }

    pub(in crate::sim) fn set_rate(&self, gate: Option<RateGate>) {
        *self.rate.lock() = gate.map(Rate::new);
    }

    /// What the capacity gate says from now on.
    pub(in crate::sim) fn set_refusal(&self, refusal: Answer) {
        *self.refusal.lock() = refusal;
    }

    /// Makes every cookie issued so far worthless.
    pub(in crate::sim) fn expire_cookies(&self) {
        if let Some(gate) = self.cookies.lock().as_ref() {
            gate.expire();
        }
    }
}
