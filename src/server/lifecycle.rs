//! When does the process stop? Idle soon, busy after the requests in flight, at the latest at the deadline.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::reload::Reload;
use super::{logs, systemd};
use crate::config::Drain;
use crate::gateway::{Gateway, Traffic};

/// A request may be on its way by a connection that is about to close, and the end of an answer not written yet.
const SETTLED: Duration = Duration::from_millis(50);
/// How long those may take to say so whose time is up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Waits for the word to stop, closes the listeners, and lets the process end when it is idle.
pub(super) struct Lifecycle {
    pub gateway: Arc<Gateway>,
    /// Closes the data listeners when it turns true.
    pub listeners: watch::Sender<bool>,
    pub stops: Stops,
    pub reload: Reload,
}

/// Who may stop it.
pub(super) struct Stops {
    /// Somebody inside the process, who says true.
    pub stop: watch::Sender<bool>,
    pub asked: watch::Receiver<bool>,
    /// Whoever sends the process a signal.
    pub signals: bool,
}

#[async_trait]
impl ShutdownSignalWatch for Lifecycle {
    async fn recv(&self) -> ShutdownSignal {
        let mut signals = if self.stops.signals {
            Signals::new()
        } else {
            None
        };
        if self.stops.signals {
            log::info!(target: "memgate::server", "ready");
            systemd::ready();
        }
        self.serve(signals.as_mut()).await;
        if self.stops.signals {
            systemd::stopping();
        }
        let drain = self.gateway.snapshot().config.drain;
        let insisted = tokio::select! {
            () = self.drain(drain) => false,
            () = self.until_insisted(signals.as_mut()) => true,
        };
        if insisted {
            log::warn!(target: "memgate::server", "interrupted again");
        }
        self.end().await;
        ShutdownSignal::FastShutdown
    }
}

impl Lifecycle {
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
        // Nobody listening any more is no reason not to stop.
        let _ = self.listeners.send(true);
        let deadline = Instant::now() + drain.timeout;
        tokio::select! {
            () = settled(traffic) => {}
            () = sleep_until(deadline) => {}
        }
    }

    /// Ends what is left.
    async fn end(&self) {
        let traffic = &self.gateway.traffic;
        let _ = self.listeners.send(true);
        let left = traffic.in_flight();
        if left > 0 {
            log::warn!(target: "memgate::server", "ending {left} requests that are still in flight");
            traffic.end_all();
            tokio::select! {
                () = settled(traffic) => {}
                () = sleep(LAST_WORDS) => {}
            }
        }
        match traffic.in_flight() {
            0 => log::info!(target: "memgate::server", "idle: stopped"),
            cut => log::warn!(target: "memgate::server", "stopped with {cut} requests in flight"),
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

/// Idle, and for a moment nothing new.
async fn settled(traffic: &Traffic) {
    loop {
        traffic.idle().await;
        sleep(SETTLED).await;
        if traffic.in_flight() == 0 {
            return;
        }
    }
}

async fn next(signals: Option<&mut Signals>) -> Word {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

/// From now on the signals that ask for something else than the end do not kill, not even before there is a
/// server to answer them.
pub fn outlive_harmless_signals() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _context = runtime.enter();
    // Once taken over, a signal's default action does not come back.
    Harmless::new().map(drop)
}

/// What a signal means.
enum Word {
    Stop,
    Interrupt,
    Reload,
    Reopen,
    Unheard(&'static str),
}

/// Signals whose default would kill the process.
struct Harmless {
    hangup: Signal,
    /// Log files were moved away.
    user: Signal,
    quit: Signal,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    harmless: Harmless,
}

impl Signals {
    fn new() -> Option<Self> {
        let open = || -> std::io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                harmless: Harmless::new()?,
            })
        };
        open()
            .inspect_err(
                |error| log::error!(target: "memgate::server", "no signal handlers: {error}"),
            )
            .ok()
    }

    async fn next(&mut self) -> Word {
        tokio::select! {
            _ = self.terminate.recv() => Word::Stop,
            _ = self.interrupt.recv() => Word::Interrupt,
            _ = self.harmless.hangup.recv() => Word::Reload,
            _ = self.harmless.user.recv() => Word::Reopen,
            _ = self.harmless.quit.recv() => {
                Word::Unheard("SIGQUIT: handing over is not supported in this version")
            }
        }
    }
}

impl Harmless {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            quit: signal(SignalKind::quit())?,
        })
    }
}
