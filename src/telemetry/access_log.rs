//! Which finished requests have a line, and where does it go?

use std::io;

use prometheus::IntCounter;

use super::record::AccessRecord;
use super::scribe::Scribe;
use crate::config::{self, Slow};

const TARGET: &str = "memgate::access";

/// Written to by all requests.
pub struct AccessLog {
    out: Out,
    sample: f64,
    slow: Slow,
}

enum Out {
    /// With everything else, where that is wanted of these lines.
    Stderr(Scribe),
    File(Scribe),
    Nowhere,
}

impl AccessLog {
    /// `lost` counts the lines for which there was no room.
    pub fn open(settings: &config::Log, lost: IntCounter) -> io::Result<Self> {
        Ok(Self {
            out: match &settings.access {
                config::AccessLog::Stderr => Out::Stderr(Scribe::of_log(TARGET, lost)?),
                config::AccessLog::File(path) => Out::File(Scribe::of_file(path, None, lost)?),
                config::AccessLog::Off => Out::Nowhere,
            },
            sample: settings.sample,
            slow: settings.slow,
        })
    }

    pub fn write(&self, record: &AccessRecord<'_>) {
        let slow = self.is_slow(record);
        if slow {
            log::warn!(target: "memgate::slow", "{}", record.phases());
        }
        let usual = record.answer.outcome == "ok" && !slow;
        if usual && self.sample < 1.0 && fastrand::f64() >= self.sample {
            return;
        }
        let scribe = match &self.out {
            Out::Stderr(log) if log::log_enabled!(target: TARGET, log::Level::Info) => log,
            Out::File(file) => file,
            Out::Stderr(_) | Out::Nowhere => return,
        };
        match record.line() {
            Ok(line) => scribe.write(&line),
            Err(error) => {
                log::error!(target: "memgate::log", "access record of {} cannot be written: {error}", record.id);
            }
        }
    }

    /// The file was moved away: from now on lines go to a new one. Whether there is a file.
    pub fn reopen(&self) -> bool {
        match &self.out {
            Out::File(file) => {
                file.reopen();
                true
            }
            Out::Stderr(_) | Out::Nowhere => false,
        }
    }

    /// Waits until everything is written, but not long.
    pub fn flush(&self) {
        match &self.out {
            Out::Stderr(lines) | Out::File(lines) => lines.flush(),
            Out::Nowhere => {}
        }
    }

    /// An upgraded connection lasts as long as its ends want.
    fn is_slow(&self, record: &AccessRecord<'_>) -> bool {
        let spent = &record.spent;
        let over = |time, most: std::time::Duration| !most.is_zero() && time > most;
        let first_byte = spent.first_byte.unwrap_or(spent.total);
        let late = over(first_byte, self.slow.first_byte);
        late || (record.answer.status != 101 && over(spent.total, self.slow.whole))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::super::record::tests::record;
    use super::*;

    /// How many of `times` such requests had a line.
    fn lines(sample: f64, slow: Slow, record: &AccessRecord<'_>, times: usize) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let settings = config::Log {
            access: config::AccessLog::File(path.clone()),
            sample,
            slow,
            user_key: None,
        };
        let lost = IntCounter::new("lost", "lost").unwrap();
        let log = AccessLog::open(&settings, lost).unwrap();
        for _ in 0..times {
            log.write(record);
        }
        drop(log);
        fs::read_to_string(path).unwrap().lines().count()
    }

    #[test]
    fn of_the_good_answers_a_share_has_a_line() {
        let good = record();

        assert_eq!(lines(1.0, Slow::default(), &good, 50), 50);
        assert_eq!(lines(0.0, Slow::default(), &good, 50), 0);
        let some = lines(0.5, Slow::default(), &good, 1000);
        assert!((300..700).contains(&some), "{some}");
    }

    #[test]
    fn whatever_went_wrong_or_was_slow_has_its_line() {
        let mut wrong = record();
        wrong.answer.outcome = "broken";
        let late = Slow {
            first_byte: Duration::from_millis(2),
            whole: Duration::ZERO,
        };
        let long = Slow {
            first_byte: Duration::ZERO,
            whole: Duration::from_millis(12),
        };
        let neither = Slow {
            first_byte: Duration::from_millis(3),
            whole: Duration::from_millis(13),
        };

        assert_eq!(lines(0.0, Slow::default(), &wrong, 5), 5);
        assert_eq!(lines(0.0, late, &record(), 5), 5);
        assert_eq!(lines(0.0, long, &record(), 5), 5);
        assert_eq!(lines(0.0, neither, &record(), 5), 0);
    }

    #[test]
    fn an_upgraded_connection_is_not_slow_for_lasting_long() {
        let mut upgraded = record();
        upgraded.answer.status = 101;
        let long = Slow {
            first_byte: Duration::ZERO,
            whole: Duration::from_millis(1),
        };

        assert_eq!(lines(0.0, long, &upgraded, 5), 0);
    }
}
