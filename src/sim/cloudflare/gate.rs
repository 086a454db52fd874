//! The cookie gate: nobody passes who does not bring back the cookies the edge has set.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::queue_full;
use crate::sim::answer::Answer;
use crate::sim::head::Head;

/// How the gate behaves.
#[derive(Clone, Debug)]
pub struct CookieGate {
    /// How long a `__cf_bm` is good for.
    pub lifetime: Duration,
    /// What the cookie itself says of its life, where that is something else.
    pub promised: Option<Duration>,
    /// Whether `_cfuvid` has to come back too.
    pub visitor_id: bool,
    /// What those are told who come without; the cookies are added to it.
    pub refusal: Answer,
    /// More `Set-Cookie` lines on a refusal: of foreign domains, of a person's identity.
    pub also_set: Vec<String>,
}

impl Default for CookieGate {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(30 * 60),
            promised: None,
            visitor_id: true,
            refusal: queue_full(),
            also_set: Vec::new(),
        }
    }
}

/// The gate at work: what it issued, and when.
pub(in crate::sim) struct Gate {
    rules: CookieGate,
    issued: Mutex<HashMap<String, Instant>>,
}

const CLEARANCE: &str = "__cf_bm";
const VISITOR: &str = "_cfuvid";

impl Gate {
    pub(in crate::sim) fn new(rules: CookieGate) -> Self {
        Self {
            rules,
            issued: Mutex::default(),
        }
    }

    /// The refusal, unless the request brings cookies of ours that are still good.
    pub(in crate::sim) fn refuse(&self, head: &Head) -> Option<Answer> {
        let known = self.brings(head, CLEARANCE, Some(self.rules.lifetime))
            && (!self.rules.visitor_id || self.brings(head, VISITOR, None));
        (!known).then(|| self.refusal(head))
    }

    /// Makes every cookie issued so far worthless.
    pub(in crate::sim) fn expire(&self) {
        self.issued.lock().clear();
    }

    fn brings(&self, head: &Head, name: &str, life: Option<Duration>) -> bool {
        let issued = self.issued.lock();
        head.cookies()
            .filter(|(n, _)| *n == name)
            .filter_map(|(_, value)| issued.get(value))
            .any(|since| life.is_none_or(|life| since.elapsed() < life))
    }

    fn refusal(&self, head: &Head) -> Answer {
        let host = head.authority.split(':').next().unwrap_or_default();
        let named =
            !host.is_empty() && host != "localhost" && host.parse::<std::net::IpAddr>().is_err();
        let domain = named.then(|| format!(".{host}"));
        let domain = domain.as_deref();
        let lifetime = Some(self.rules.promised.unwrap_or(self.rules.lifetime));

        let clearance = line(CLEARANCE, &self.issue(""), domain, lifetime);
        let visitor = line(VISITOR, &self.issue("-0.0.1.1-604800000"), domain, None);
        let refusal = self.rules.refusal.clone();
        self.rules
            .also_set
            .iter()
            .fold(refusal, |answer, line| answer.header("set-cookie", line))
            .header("set-cookie", clearance)
            .header("set-cookie", visitor)
    }

    fn issue(&self, tail: &str) -> String {
        /// Cookies remembered; a client that never brings one back must not fill the memory.
        const MOST: usize = 65_536;
        let now = Instant::now();
        let token: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(43)
            .collect();
        let value = format!("{token}{tail}");
        let mut issued = self.issued.lock();
        if issued.len() >= MOST {
            issued.retain(|_, since| since.elapsed() < self.rules.lifetime);
        }
        if issued.len() >= MOST {
            issued.clear();
        }
        issued.insert(value.clone(), now);
        value
    }
}

pub(super) fn line(
    name: &str,
    value: &str,
    domain: Option<&str>,
    life: Option<Duration>,
) -> String {
    let mut line = format!("{name}={value}; path=/");
    if let Some(life) = life {
        let date = dashed(SystemTime::now() + life);
        line.push_str(&format!("; expires={date}"));
    }
    if let Some(domain) = domain {
        line.push_str(&format!("; domain={domain}"));
    }
    line.push_str("; HttpOnly; Secure; SameSite=None");
    line
}

/// `Wed, 12-Nov-25 18:10:06 GMT`: the old date form that the edge still writes.
fn dashed(time: SystemTime) -> String {
    let date = httpdate::fmt_http_date(time);
    let words: Vec<&str> = date.split(' ').collect();
    match words.as_slice() {
        [weekday, day, month, year, clock, zone] => {
            let short = year.get(2..).unwrap_or(year);
            format!("{weekday} {day}-{month}-{short} {clock} {zone}")
        }
        _ => date,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_writes_dates_with_dashes_and_two_digit_years() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_762_971_006);

        assert_eq!(dashed(time), "Wed, 12-Nov-25 18:10:06 GMT");
    }

    #[test]
    fn a_session_cookie_has_no_expiry() {
        let line = line("_cfuvid", "v", Some(".api.openai.com"), None);

        assert_eq!(
            line,
            "_cfuvid=v; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None"
        );
    }
}
