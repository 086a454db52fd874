//! When the pieces of an answer go out: how long the first waits, how far apart the others are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The pace of a host's own answers; a script may set another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tempo {
    /// Before the head.
    pub first_byte: Duration,
    /// Between the events of a stream.
    pub between: Duration,
    /// From a stream's head to its end, however many events it has; goes before `between`.
    pub stream: Option<Duration>,
}

impl Tempo {
    /// The pause between the events of a stream of so many.
    pub(super) fn gap(self, events: usize) -> Duration {
        let gaps = u32::try_from(events.saturating_sub(1)).unwrap_or(u32::MAX);
        self.stream
            .map_or(self.between, |whole| whole / gaps.max(1))
    }
}

/// Keeps answers back until a test lets them go; clones are one hold.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<watch::Sender<bool>>);

impl Hold {
    pub fn release(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn released(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|released| *released).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streams_time_is_spread_over_its_events() {
        let tempo = Tempo {
            stream: Some(Duration::from_secs(1)),
            ..Tempo::default()
        };

        assert_eq!(tempo.gap(11), Duration::from_millis(100));
        assert_eq!(tempo.gap(1), Duration::from_secs(1), "and not by nothing");
    }
}
