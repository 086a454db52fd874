//! How much passes an edge at any time: steps over time, written `50@0,12@20,none@60`.

use std::str::FromStr;
use std::time::Duration;

/// Limits, each from some time on; before the first there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(Vec<(Duration, Option<usize>)>);

impl Schedule {
    /// The same for ever; `None` is no limit.
    pub fn always(limit: Option<usize>) -> Self {
        Self(vec![(Duration::ZERO, limit)])
    }

    /// The limit so long after the start.
    pub fn at(&self, since: Duration) -> Option<usize> {
        let steps = self.0.iter().rev();
        let mut begun = steps.skip_while(|(from, _)| *from > since);
        begun.next().and_then(|(_, limit)| *limit)
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// One limit (`50`, `none`), or `LIMIT@SECONDS` with commas between.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut steps = text.split(',').map(step).collect::<Result<Vec<_>, _>>()?;
        steps.sort_by_key(|(from, _)| *from);
        Ok(Self(steps))
    }
}

fn step(text: &str) -> Result<(Duration, Option<usize>), String> {
    let fault = || format!("capacity step {text:?} is not LIMIT@SECONDS");
    let (limit, seconds) = text.trim().split_once('@').unwrap_or((text.trim(), "0"));
    let limit = match limit {
        "none" => None,
        number => Some(number.parse().ok().ok_or_else(fault)?),
    };
    let seconds = seconds.parse().ok().ok_or_else(fault)?;
    let from = Duration::try_from_secs_f64(seconds)
        .ok()
        .ok_or_else(fault)?;
    Ok((from, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_holds_until_the_next() {
        let schedule: Schedule = "50@0, 12@20,none@40,100@60.5".parse().unwrap();

        let at = |seconds| schedule.at(Duration::from_secs_f64(seconds));

        assert_eq!(at(0.0), Some(50));
        assert_eq!(at(19.9), Some(50));
        assert_eq!(at(20.0), Some(12));
        assert_eq!(at(40.0), None);
        assert_eq!(at(60.4), None);
        assert_eq!(at(3600.0), Some(100));
    }

    #[test]
    fn a_lone_limit_holds_from_the_start() {
        assert_eq!("7".parse(), Ok(Schedule::always(Some(7))));
        assert_eq!("none".parse(), Ok(Schedule::always(None)));
    }

    #[test]
    fn what_is_no_step_is_named() {
        for text in ["", "x@1", "5@", "5@-1", "5@0,,6@1"] {
            assert!(text.parse::<Schedule>().is_err(), "{text:?}");
        }
    }
}
