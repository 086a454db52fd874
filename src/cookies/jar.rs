//! One upstream's cookies: what its answers set, and the header its requests carry.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use parking_lot::Mutex;

use super::jars::Changes;
use super::set_cookie::Cookie;

/// Cookies of one domain; beyond it the one set longest ago leaves.
pub(super) const MAX_PER_DOMAIN: usize = 50;
/// Cookies of one jar.
pub(super) const MAX_IN_JAR: usize = 100;

/// Where a request goes, or an answer came from.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Host name or IP literal, no port.
    pub host: &'a str,
    /// The request's path; a query after it does not matter.
    pub path: &'a str,
    /// The connection was TLS. Over anything else the jar neither takes nor gives.
    pub secure: bool,
}

/// The cookies of one (host, egress identity). Nothing in it is ever sent to another host, not even
/// to one that shares the domain of a cookie: each upstream has a jar of its own.
///
/// Readers take no lock: they see a view that writers replace.
pub struct Jar {
    host: String,
    egress: String,
    share: Arc<[String]>,
    view: ArcSwap<View>,
    /// Held while a new view is made; counts the cookies ever kept.
    writer: Mutex<u64>,
    changes: Arc<Changes>,
}

/// What the jar holds at one moment, in the order of the header: longer paths first, then older ones.
#[derive(Default)]
struct View {
    kept: Vec<Arc<Kept>>,
    /// The header for any path, where all cookies are for all paths.
    ready: Option<CookieHeader>,
    any_path: bool,
    first_expiry: Option<SystemTime>,
}

pub(super) struct Kept {
    pub(super) cookie: Cookie,
    pub(super) set_at: SystemTime,
    created: u64,
    touched: u64,
}

/// A ready `Cookie` header. Its `Debug` shows names only, its value is marked sensitive.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieHeader {
    pub value: HeaderValue,
    pub names: Arc<[String]>,
}

/// What an answer's `Set-Cookie` fields did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Names of the cookies it set, in its order; deletions are not among them.
    pub names: Vec<String>,
    /// The jar differs from before.
    pub changed: bool,
}

/// A cookie as a status page may show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub domain: String,
    pub host_only: bool,
    pub path: String,
    pub expires: Option<SystemTime>,
}

impl Jar {
    pub(super) fn new(
        host: &str,
        egress: &str,
        share: Arc<[String]>,
        changes: Arc<Changes>,
    ) -> Self {
        Self {
            host: host.to_owned(),
            egress: egress.to_owned(),
            share,
            view: ArcSwap::default(),
            writer: Mutex::new(0),
            changes,
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn egress(&self) -> &str {
        &self.egress
    }

    /// Takes what an answer sets, whatever its status: refusals bring cookies too.
    pub fn capture(&self, headers: &HeaderMap, site: &Site<'_>, now: SystemTime) -> Captured {
        let lines = headers.get_all(SET_COOKIE);
        self.capture_lines(lines.iter().map(HeaderValue::as_bytes), site, now)
    }

    pub(super) fn capture_lines<'l>(
        &self,
        lines: impl Iterator<Item = &'l [u8]>,
        site: &Site<'_>,
        now: SystemTime,
    ) -> Captured {
        let Some(path) = self.path_at(site) else {
            return Captured::default();
        };
        let cookies: Vec<Cookie> = lines
            .filter_map(|line| Cookie::parse(line, &self.host, path, now))
            .filter(|cookie| self.share.contains(&cookie.name))
            .collect();
        let set = cookies.iter().filter(|cookie| !cookie.is_expired(now));
        Captured {
            names: set.map(|cookie| cookie.name.clone()).collect(),
            changed: self.keep(cookies, now, now),
        }
    }

    /// Puts cookies in, or out where they are expired. True when that changed anything.
    pub(super) fn keep(&self, cookies: Vec<Cookie>, set_at: SystemTime, now: SystemTime) -> bool {
        if cookies.is_empty() {
            return false;
        }
        let mut sequence = self.writer.lock();
        let mut kept = self.view.load().kept.clone();
        let mut changed = false;
        for cookie in cookies {
            *sequence += 1;
            changed |= put(&mut kept, cookie, *sequence, set_at);
        }
        if changed {
            evict(&mut kept, now);
            self.view.store(Arc::new(View::of(kept)));
            drop(sequence);
            self.changes.note();
        }
        changed
    }

    /// The `Cookie` header for a request, if any cookie goes with it.
    pub fn header(&self, site: &Site<'_>, now: SystemTime) -> Option<CookieHeader> {
        let path = self.path_at(site)?;
        let view = self.view.load();
        let fresh = view.first_expiry.is_none_or(|expiry| now < expiry);
        if fresh && view.any_path {
            return view.ready.clone();
        }
        if !fresh {
            self.drop_expired(now);
        }
        header_of(
            view.kept
                .iter()
                .filter(|kept| !kept.cookie.is_expired(now) && kept.cookie.is_for_path(path)),
        )
    }

    /// Would a request sent now carry cookies that `sent` did not hold?
    pub fn supersedes(
        &self,
        sent: Option<&CookieHeader>,
        site: &Site<'_>,
        now: SystemTime,
    ) -> bool {
        self.header(site, now)
            .is_some_and(|header| Some(&header) != sent)
    }

    /// What is in the jar, without values.
    pub fn list(&self) -> Vec<Listed> {
        let view = self.view.load();
        let listed = view.kept.iter().map(|kept| Listed {
            name: kept.cookie.name.clone(),
            domain: kept.cookie.domain.clone(),
            host_only: kept.cookie.host_only,
            path: kept.cookie.path.clone(),
            expires: kept.cookie.expires,
        });
        listed.collect()
    }

    pub(super) fn kept(&self) -> Vec<Arc<Kept>> {
        self.view.load().kept.clone()
    }

    /// The path at this jar's host. `None`: another host, or plain HTTP.
    fn path_at<'s>(&self, site: &Site<'s>) -> Option<&'s str> {
        (site.secure && site.host.eq_ignore_ascii_case(&self.host))
            .then(|| site.path.split(['?', '#']).next())?
    }

    /// Whoever finds the writer busy leaves it to the next request.
    fn drop_expired(&self, now: SystemTime) {
        if let Some(_writer) = self.writer.try_lock() {
            let mut kept = self.view.load().kept.clone();
            kept.retain(|kept| !kept.cookie.is_expired(now));
            self.view.store(Arc::new(View::of(kept)));
        }
    }
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.list().into_iter().map(|cookie| cookie.name).collect();
        f.debug_struct("Jar")
            .field("host", &self.host)
            .field("egress", &self.egress)
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CookieHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CookieHeader").field(&self.names).finish()
    }
}

impl View {
    fn of(mut kept: Vec<Arc<Kept>>) -> Self {
        kept.sort_by_key(|kept| (Reverse(kept.cookie.path.len()), kept.created));
        Self {
            ready: header_of(kept.iter()),
            any_path: kept.iter().all(|kept| kept.cookie.path == "/"),
            first_expiry: kept.iter().filter_map(|kept| kept.cookie.expires).min(),
            kept,
        }
    }
}

/// True unless all is as it was. A cookie that comes expired is put too, for eviction to find.
fn put(kept: &mut Vec<Arc<Kept>>, cookie: Cookie, sequence: u64, set_at: SystemTime) -> bool {
    let old = kept.iter().position(|kept| kept.cookie.is_same(&cookie));
    let old = old
        .map(|old| kept.remove(old))
        .filter(|old| !old.cookie.is_expired(set_at));
    let changed = match &old {
        Some(old) => old.cookie != cookie,
        None => !cookie.is_expired(set_at),
    };
    kept.push(Arc::new(Kept {
        cookie,
        set_at,
        // An update keeps its place in the header.
        created: old.map_or(sequence, |old| old.created),
        touched: sequence,
    }));
    changed
}

fn evict(kept: &mut Vec<Arc<Kept>>, now: SystemTime) {
    kept.retain(|kept| !kept.cookie.is_expired(now));
    kept.sort_by_key(|kept| Reverse(kept.touched));
    let mut per_domain = HashMap::new();
    kept.retain(|kept| {
        let count = per_domain.entry(kept.cookie.domain.clone()).or_insert(0);
        *count += 1;
        *count <= MAX_PER_DOMAIN
    });
    kept.truncate(MAX_IN_JAR);
}

fn header_of<'k>(kept: impl Iterator<Item = &'k Arc<Kept>>) -> Option<CookieHeader> {
    let (mut text, mut names) = (String::new(), Vec::new());
    for Kept { cookie, .. } in kept.map(Arc::as_ref) {
        if !names.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&cookie.name);
        text.push('=');
        text.push_str(&cookie.value);
        names.push(cookie.name.clone());
    }
    if names.is_empty() {
        return None;
    }
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(CookieHeader {
        value,
        names: names.into(),
    })
}

#[cfg(test)]
#[path = "jar_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "rfc6265_tests.rs"]
mod rfc6265;

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod oracle;
