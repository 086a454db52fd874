//! When does the process stop? Idle at once, busy after the requests in flight, at the latest at the deadline.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::logs;
use crate::gateway::Gateway;

/// How long the requests in flight may go on after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// Waits for the word to stop, closes the listeners, and lets the process end when it is idle.
pub(super) struct Lifecycle {
    pub gateway: Arc<Gateway>,
    /// Closes the data listeners when it turns true.
    pub listeners: watch::Sender<bool>,
    /// Stops the server from inside the process (demo and tests).
    pub asked: watch::Receiver<bool>,
    pub signals: bool,
}

#[async_trait]
impl ShutdownSignalWatch for Lifecycle {
    async fn recv(&self) -> ShutdownSignal {
        let mut signals = if self.signals { Signals::new() } else { None };
        let traffic = &self.gateway.traffic;
        let mut asked = self.asked.clone();
        tokio::select! {
            () = stop_signal(signals.as_mut(), &self.gateway) => {}
            Ok(_) = asked.wait_for(|stop| *stop) => {}
        }
        traffic.begin_drain();
        // Nobody listening any more is no reason not to stop.
        let _ = self.listeners.send(true);
        log::info!(target: "memgate::server", "stopping; {} requests in flight", traffic.in_flight());
        tokio::select! {
            () = traffic.idle() => log::info!(target: "memgate::server", "idle: stopped"),
            () = tokio::time::sleep(DRAIN) => {
                log::warn!(target: "memgate::server", "stopped with {} requests in flight", traffic.in_flight());
            }
            () = stop_signal(signals.as_mut(), &self.gateway) => log::warn!(target: "memgate::server", "asked again: stopped"),
        }
        ShutdownSignal::FastShutdown
    }
}

async fn stop_signal(signals: Option<&mut Signals>, gateway: &Gateway) {
    match signals {
        Some(signals) => signals.stop(gateway).await,
        None => std::future::pending().await,
    }
}

/// From now on the signals that ask for what we do not do yet do not kill, not even before there is a
/// server to answer them.
pub fn outlive_harmless_signals() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _context = runtime.enter();
    // Once taken over, a signal's default action does not come back.
    drop(signal(SignalKind::user_defined1())?);
    Signals::harmless().map(drop)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Log files were moved away.
    user: Signal,
    /// Signals whose default would kill the process and that ask for something we do not do yet.
    harmless: [(Signal, &'static str); 2],
}

impl Signals {
    fn new() -> Option<Self> {
        let open = || -> std::io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                user: signal(SignalKind::user_defined1())?,
                harmless: Self::harmless()?,
            })
        };
        open()
            .inspect_err(
                |error| log::error!(target: "memgate::server", "no signal handlers: {error}"),
            )
            .ok()
    }

    fn harmless() -> std::io::Result<[(Signal, &'static str); 2]> {
        Ok([
            (
                signal(SignalKind::hangup())?,
                "SIGHUP: reloading is not supported in this version",
            ),
            (
                signal(SignalKind::quit())?,
                "SIGQUIT: handing over is not supported in this version",
            ),
        ])
    }

    async fn stop(&mut self, gateway: &Gateway) {
        let [(hangup, hangup_says), (quit, quit_says)] = &mut self.harmless;
        loop {
            let ignored: &str = tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = hangup.recv() => hangup_says,
                _ = self.user.recv() => {
                    logs::reopen(gateway);
                    continue;
                }
                _ = quit.recv() => quit_says,
            };
            log::warn!(target: "memgate::server", "{ignored}; nothing changed");
        }
    }
}
