//! What does a signal mean? The end, something else, or nothing: none kills by surprise, and none is lost.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal means.
pub(super) enum Word {
    Stop,
    Interrupt,
    Reload,
    Reopen,
    Unheard(&'static str),
}

/// Signals that do not do what they usually do, which is to kill. What comes before somebody asks waits.
pub struct Signals {
    ends: Option<Ends>,
    hangup: Signal,
    /// Log files were moved away.
    user: Signal,
    quit: Signal,
}

struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Those that ask for something else than the end: there may not be a server yet to answer them.
    pub fn harmless() -> io::Result<Self> {
        outside(|| {
            Ok(Self {
                ends: None,
                hangup: signal(SignalKind::hangup())?,
                user: signal(SignalKind::user_defined1())?,
                quit: signal(SignalKind::quit())?,
            })
        })
    }

    /// All of them: there is something to clear away first.
    pub fn all() -> io::Result<Self> {
        let ends = Some(outside(Ends::new)?);
        Ok(Self {
            ends,
            ..Self::harmless()?
        })
    }

    /// From now on those too that ask for the end.
    pub(super) fn take_ends(&mut self) -> io::Result<()> {
        if self.ends.is_none() {
            self.ends = Some(Ends::new()?);
        }
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Word {
        tokio::select! {
            word = end(self.ends.as_mut()) => word,
            _ = self.hangup.recv() => Word::Reload,
            _ = self.user.recv() => Word::Reopen,
            _ = self.quit.recv() => {
                Word::Unheard("SIGQUIT: there is nobody to hand over to, see `memgate upgrade`")
            }
        }
    }

    /// One that asks for the end; the others wait.
    pub(super) async fn end(&mut self) {
        end(self.ends.as_mut()).await;
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

async fn end(ends: Option<&mut Ends>) -> Word {
    let Some(ends) = ends else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = ends.terminate.recv() => Word::Stop,
        _ = ends.interrupt.recv() => Word::Interrupt,
    }
}

/// Outside of any runtime. Once taken over, a signal's default action does not come back, and what comes while no
/// runtime looks is delivered by the next.
fn outside<T>(take: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _context = runtime.enter();
    take()
}
