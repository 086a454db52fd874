//! When does the process stop? Idle soon, busy after the requests in flight, at the latest at the deadline.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::answering::Roll;
use super::connection::LAST_CALL;
use super::reload::Reload;
use super::signals::{Signals, Word};
use super::{logs, systemd, watchdog};
use crate::config::Drain;
use crate::gateway::Gateway;

/// A connection may have been accepted that nobody counts yet.
const SETTLED: Duration = Duration::from_millis(50);
/// Between two looks at who is still connected.
const LOOK: Duration = Duration::from_millis(10);
/// How long those may take to say so whose time is up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Waits for the word to stop, closes the listeners, and lets the process end when it is idle.
pub(super) struct Lifecycle {
    pub gateway: Arc<Gateway>,
    /// Closes the data listeners when it turns true.
    pub listeners: watch::Sender<bool>,
    pub stops: Stops,
    pub reload: Reload,
    pub roll: Roll,
}

/// Who may stop it.
pub(super) struct Stops {
    /// Somebody inside the process, who says true.
    pub stop: watch::Sender<bool>,
    pub asked: watch::Receiver<bool>,
    /// Whoever sends the process a signal; `None`: the signals are not ours.
    pub signals: Mutex<Option<Signals>>,
}

#[async_trait]
impl ShutdownSignalWatch for Lifecycle {
    async fn recv(&self) -> ShutdownSignal {
        let signals = self.stops.signals.lock().take();
        if let Some(signals) = signals {
            tokio::select! {
                () = self.live_as_process(signals) => {}
                () = watchdog::keep_told(&self.gateway) => {}
            }
        } else {
            self.serve(None).await;
            self.stop(None).await;
        }
        ShutdownSignal::FastShutdown
    }
}

impl Lifecycle {
    async fn live_as_process(&self, mut signals: Signals) {
        if let Err(error) = signals.take_ends() {
            log::error!(target: "memgate::server", "no signal handlers: {error}");
        }
        let mut asked = self.stops.asked.clone();
        let ready = tokio::select! {
            () = self.roll.all_answer(&self.gateway) => true,
            () = signals.end() => false,
            Ok(_) = asked.wait_for(|stop| *stop) => false,
        };
        if ready {
            log::info!(target: "memgate::server", "ready");
            systemd::ready();
            self.serve(Some(&mut signals)).await;
        }
        systemd::stopping();
        self.stop(Some(&mut signals)).await;
    }

    async fn stop(&self, signals: Option<&mut Signals>) {
        let drain = self.gateway.snapshot().config.drain;
        let insisted = tokio::select! {
            () = self.drain(drain) => false,
            () = self.until_insisted(signals) => true,
        };
        if insisted {
            log::warn!(target: "memgate::server", "interrupted again");
        }
        self.end().await;
    }

    /// Until somebody wants it to stop.
    async fn serve(&self, mut signals: Option<&mut Signals>) {
        let mut asked = self.stops.asked.clone();
        loop {
            let word = tokio::select! {
                word = next(signals.as_deref_mut()) => word,
                Ok(_) = asked.wait_for(|stop| *stop) => Word::Stop,
            };
            match word {
                Word::Stop | Word::Interrupt => return,
                Word::Reload => self.reload(),
                Word::Reopen => logs::reopen(&self.gateway),
                Word::Unheard(what) => {
                    log::warn!(target: "memgate::server", "{what}; nothing changed");
                }
            }
        }
    }

    /// Meanwhile a signal may say something else.
    fn reload(&self) {
        log::info!(target: "memgate::server", "SIGHUP: reading the configuration again");
        let reload = self.reload.clone();
        tokio::spawn(async move {
            systemd::reloading();
            // Whoever carries it out says what came of it.
            let _ = reload.now().await;
            systemd::ready();
        });
    }

    /// Turns new work away step by step, and waits for what there is.
    async fn drain(&self, drain: Drain) {
        let traffic = &self.gateway.traffic;
        traffic.begin_drain();
        let in_flight = traffic.in_flight();
        log::info!(target: "memgate::server", "stopping; {in_flight} requests in flight");
        if !drain.grace.is_zero() {
            log::info!(target: "memgate::server", "still accepting for {:?}", drain.grace);
            sleep(drain.grace).await;
        }
        self.close();
        let deadline = Instant::now() + drain.timeout;
        tokio::select! {
            () = self.settled() => {}
            () = sleep_until(deadline) => {}
        }
    }

    fn close(&self) {
        // Nobody listening any more is no reason not to stop.
        let _ = self.listeners.send(true);
        for listener in self.roll.listeners.borrow().iter() {
            listener.close();
        }
    }

    /// Ends what is left.
    async fn end(&self) {
        let traffic = &self.gateway.traffic;
        self.close();
        let left = traffic.in_flight();
        if left > 0 {
            log::warn!(target: "memgate::server", "ending {left} requests that are still in flight");
            traffic.end_all();
            tokio::select! {
                () = self.settled() => {}
                () = sleep(LAST_WORDS) => {}
            }
        }
        match traffic.in_flight() {
            0 => log::info!(target: "memgate::server", "idle: stopped"),
            cut => log::warn!(target: "memgate::server", "stopped with {cut} requests in flight"),
        }
    }

    /// Idle, and whoever is connected had time to ask for something more.
    async fn settled(&self) {
        let traffic = &self.gateway.traffic;
        loop {
            traffic.idle().await;
            let last_call = Instant::now() + LAST_CALL;
            sleep(SETTLED).await;
            while !self.gateway.doorway.is_empty() && Instant::now() < last_call {
                sleep(LOOK).await;
            }
            if traffic.in_flight() == 0 {
                return;
            }
        }
    }

    /// A second SIGTERM may be a service manager's habit; a second SIGINT is a person's.
    async fn until_insisted(&self, mut signals: Option<&mut Signals>) {
        loop {
            match next(signals.as_deref_mut()).await {
                Word::Interrupt => return,
                Word::Stop => log::warn!(target: "memgate::server", "SIGTERM: already stopping"),
                Word::Reload => {
                    log::warn!(target: "memgate::server", "SIGHUP: it goes on stopping")
                }
                Word::Reopen => logs::reopen(&self.gateway),
                Word::Unheard(what) => {
                    log::warn!(target: "memgate::server", "{what}; it goes on stopping");
                }
            }
        }
    }
}

async fn next(signals: Option<&mut Signals>) -> Word {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}
