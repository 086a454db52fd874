//! Which cookie, if any, does one `Set-Cookie` line ask an upstream's jar to keep?

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::date;

/// Octets of name and value together; a longer cookie is ignored as a whole.
const MAX_PAIR: usize = 4096;
/// Octets of one attribute's value; a longer attribute is ignored.
const MAX_ATTRIBUTE: usize = 1024;
/// No cookie lives longer, whatever it asks for.
pub(super) const MAX_LIFE: Duration = Duration::from_secs(400 * 86_400);

/// A cookie as stored; name, domain, host-only and path are its identity.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) domain: String,
    pub(super) host_only: bool,
    pub(super) path: String,
    /// `None`: until the session ends, which for a gateway is until it is told otherwise.
    pub(super) expires: Option<SystemTime>,
}

impl Cookie {
    /// The cookie that `line` sets or, when it is expired at once, deletes. `None`: the line is to
    /// be ignored, as RFC 6265bis lets a user agent do with any.
    pub(super) fn parse(line: &[u8], host: &str, path: &str, now: SystemTime) -> Option<Self> {
        let text = printable(line)?;
        // The crate reads the pair and the flags right. Attributes with a value are read here: it takes
        // `Max-Age=` for eternity, `Max-Age=-` for a deletion, knows five forms of a date, has no limits,
        // and keeps an earlier `Domain` or `Path` where the last one says to forget it.
        let parsed = cookie::Cookie::parse(text).ok()?;
        let (name, value) = parsed.name_value();
        if name.len() + value.len() > MAX_PAIR {
            return None;
        }
        let attributes = Attributes::read(text, now);
        let (domain, host_only) = attributes.domain(host)?;
        let path = match attributes.path {
            Some(given) if given.starts_with('/') => given,
            _ => default_path(path),
        };
        let cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain,
            host_only,
            path: path.to_owned(),
            expires: attributes.max_age.or(attributes.expires),
        };
        let secure = parsed.secure() == Some(true);
        cookie
            .keeps_its_prefix(secure, attributes.path.is_some())
            .then_some(cookie)
    }

    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.host_only == other.host_only
            && self.path == other.path
    }

    pub(super) fn is_for_path(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str()).is_some_and(|rest| {
            rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
        })
    }

    /// Whether the value fits a `Cookie` header and ends where it says.
    pub(super) fn is_sendable(&self) -> bool {
        printable(self.value.as_bytes()).is_some()
            && !self.value.contains(';')
            && self.name.len() + self.value.len() <= MAX_PAIR
    }

    /// Whether a cookie of this domain may come from and go to `host`.
    pub(super) fn is_for_host(&self, host: &str) -> bool {
        if self.host_only {
            self.domain == host
        } else {
            domain_matches(host, &self.domain)
        }
    }

    fn keeps_its_prefix(&self, secure: bool, path_given: bool) -> bool {
        let name = self.name.to_ascii_lowercase();
        if name.starts_with("__host-") {
            return secure && self.host_only && path_given && self.path == "/";
        }
        secure || !name.starts_with("__secure-")
    }
}

/// Tabs pass as white space, other control characters spoil the cookie. So do bytes beyond ASCII:
/// RFC 6265 lets no server send them, and two readers of them need not agree.
fn printable(line: &[u8]) -> Option<&str> {
    let clean = line
        .iter()
        .all(|&byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    clean.then(|| std::str::from_utf8(line).ok())?
}

/// The attributes with a value, the last valid one of a kind winning.
#[derive(Default)]
struct Attributes<'a> {
    max_age: Option<SystemTime>,
    expires: Option<SystemTime>,
    domain: Option<&'a str>,
    path: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    fn read(text: &'a str, now: SystemTime) -> Self {
        let mut read = Self::default();
        let latest = now + MAX_LIFE;
        for attribute in text.split(';').skip(1) {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim_matches([' ', '\t']);
            if value.len() > MAX_ATTRIBUTE {
                continue;
            }
            match name.trim_matches([' ', '\t']).to_ascii_lowercase().as_str() {
                "max-age" => {
                    let end = max_age(value).map(|age| now + age.min(MAX_LIFE));
                    read.max_age = end.or(read.max_age);
                }
                "expires" => {
                    let end = date::parse(value).map(|end| end.min(latest));
                    read.expires = end.or(read.expires);
                }
                "domain" => read.domain = Some(value),
                "path" => read.path = Some(value),
                _ => {}
            }
        }
        read
    }

    /// The cookie's domain and whether it is for the host alone. `None`: not `host`'s to set.
    fn domain(&self, host: &str) -> Option<(String, bool)> {
        let asked = self.domain.unwrap_or_default();
        let asked = asked
            .strip_prefix('.')
            .unwrap_or(asked)
            .to_ascii_lowercase();
        let is_suffix =
            psl::suffix(asked.as_bytes()).is_some_and(|suffix| suffix == asked.as_str());
        if asked.is_empty() || (is_suffix && asked == host) {
            return Some((host.to_owned(), true));
        }
        (!is_suffix && domain_matches(host, &asked)).then_some((asked, false))
    }
}

/// Zero for what is to end now. Digits beyond any number are just a very long life.
fn max_age(value: &str) -> Option<Duration> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = if digits.len() < value.len() {
        0
    } else {
        digits.parse().unwrap_or(u64::MAX)
    };
    Some(Duration::from_secs(seconds))
}

fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain
        || (host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
            && host.parse::<IpAddr>().is_err())
}

fn default_path(request: &str) -> &str {
    match request.rfind('/') {
        Some(end) if end > 0 && request.starts_with('/') => request.get(..end).unwrap_or("/"),
        _ => "/",
    }
}
