//! Where is a host now? Answered from memory: names are resolved in the background, by their TTL.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_resolver::TokioResolver;

/// A refresh is never more frequent than this, whatever the TTL says.
const TTL_FLOOR: Duration = Duration::from_secs(5);
const TTL_CEILING: Duration = Duration::from_secs(300);
/// Wait after a failed lookup, while the last good answer goes on serving.
const FAILED_PAUSE: Duration = Duration::from_secs(5);

/// Addresses of the hosts that the configuration names. A request reads, it never waits; a failed
/// refresh keeps the last good answer.
pub struct Resolver {
    hosts: BTreeMap<(String, u16), Arc<Host>>,
}

/// One host and port. Requests stick to one address, so that connections are shared, until it fails.
pub struct Host {
    name: String,
    port: u16,
    addresses: ArcSwap<Vec<SocketAddr>>,
    chosen: AtomicUsize,
    /// `false` for IP literals and overridden hosts, which never change.
    dynamic: bool,
}

impl Resolver {
    /// `overrides` are like curl's `--resolve`.
    pub fn new(
        hosts: impl IntoIterator<Item = (String, u16)>,
        overrides: &BTreeMap<(String, u16), SocketAddr>,
    ) -> Self {
        Self::after(None, hosts, overrides)
    }

    /// Hosts that the one before it has looked up stay as they are known.
    pub fn after(
        before: Option<&Self>,
        hosts: impl IntoIterator<Item = (String, u16)>,
        overrides: &BTreeMap<(String, u16), SocketAddr>,
    ) -> Self {
        let hosts = hosts.into_iter().map(|(name, port)| {
            let fixed = overrides.get(&(name.clone(), port)).copied().or_else(|| {
                name.parse::<IpAddr>()
                    .ok()
                    .map(|ip| SocketAddr::new(ip, port))
            });
            let host = Host {
                name: name.clone(),
                port,
                addresses: ArcSwap::from_pointee(fixed.into_iter().collect()),
                chosen: AtomicUsize::new(0),
                dynamic: fixed.is_none(),
            };
            let known = before.and_then(|before| before.host(&name, port));
            let known = known.filter(|known| known.is_found_like(&host));
            ((name, port), known.unwrap_or_else(|| Arc::new(host)))
        });
        Self {
            hosts: hosts.collect(),
        }
    }

    pub fn host(&self, name: &str, port: u16) -> Option<Arc<Host>> {
        self.hosts.get(&(name.to_owned(), port)).cloned()
    }

    /// The addresses of a host, whatever its port.
    pub fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        let mut hosts = self.hosts.iter();
        let found = hosts.find(|((host, _), _)| host == name);
        found.map_or_else(Vec::new, |(_, host)| host.addresses().to_vec())
    }

    /// Looks every name up that is not known yet, at most `patience` long; names that failed are tried again by [`Self::run`].
    pub async fn prime(&self, patience: Duration) {
        let mut names = self.dynamic_hosts();
        names.retain(|host| host.address().is_none());
        if names.is_empty() {
            return;
        }
        let Some(dns) = system_resolver() else { return };
        let lookups = names.iter().map(|host| host.refresh(&dns));
        if tokio::time::timeout(patience, futures::future::join_all(lookups))
            .await
            .is_err()
        {
            log::warn!(target: "memgate::dns", "names still unresolved after {patience:?}; going on in the background");
        }
    }

    /// Keeps every name fresh, for ever.
    pub async fn run(&self) {
        let names = self.dynamic_hosts();
        let Some(dns) = system_resolver() else { return };
        futures::future::join_all(names.iter().map(|host| host.keep_fresh(&dns))).await;
    }

    fn dynamic_hosts(&self) -> Vec<Arc<Host>> {
        self.hosts
            .values()
            .filter(|host| host.dynamic)
            .cloned()
            .collect()
    }
}

fn system_resolver() -> Option<TokioResolver> {
    let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    built
        .inspect_err(|error| log::error!(target: "memgate::dns", "no resolver: {error}"))
        .ok()
}

impl Host {
    /// The address to connect to; `None` until the name was resolved for the first time.
    pub fn address(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.load();
        let chosen = self
            .chosen
            .load(Ordering::Relaxed)
            .checked_rem(addresses.len())?;
        addresses.get(chosen).copied()
    }

    /// By name, or at the same fixed address.
    fn is_found_like(&self, other: &Self) -> bool {
        let same = || *self.addresses.load_full() == *other.addresses.load_full();
        self.dynamic == other.dynamic && (self.dynamic || same())
    }

    /// All addresses known.
    pub fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.addresses.load_full()
    }

    /// A connection to `address` failed: the next request tries the next one.
    pub fn failed(&self, address: SocketAddr) {
        if self.address() == Some(address) {
            self.chosen.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn keep_fresh(&self, dns: &TokioResolver) {
        loop {
            let pause = self.refresh(dns).await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks the name up; the time until the next look-up comes back.
    async fn refresh(&self, dns: &TokioResolver) -> Duration {
        let answer = dns.lookup_ip(self.name.as_str()).await;
        self.learn(answer.map(|answer| {
            let ttl = answer
                .valid_until()
                .saturating_duration_since(Instant::now());
            (answer.iter().collect(), ttl)
        }))
    }

    /// Takes over what a look-up brought, and says when to look again.
    fn learn(&self, answer: Result<(Vec<IpAddr>, Duration), impl std::fmt::Display>) -> Duration {
        match answer {
            Ok((found, ttl)) => {
                self.replace(
                    found
                        .into_iter()
                        .map(|ip| SocketAddr::new(ip, self.port))
                        .collect(),
                );
                ttl.clamp(TTL_FLOOR, TTL_CEILING)
            }
            Err(error) => {
                log::warn!(target: "memgate::dns", "{}: {error}; the last good answer stays", self.name);
                FAILED_PAUSE
            }
        }
    }

    fn replace(&self, mut fresh: Vec<SocketAddr>) {
        fresh.sort_unstable();
        if fresh.is_empty() || *self.addresses.load_full() == fresh {
            return;
        }
        // Whoever is connected stays where he is if that address is still good.
        let kept = self
            .address()
            .and_then(|current| fresh.iter().position(|address| *address == current));
        self.addresses.store(Arc::new(fresh));
        self.chosen.store(kept.unwrap_or(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(addresses: &[&str]) -> Host {
        Host {
            name: "edge.example".into(),
            port: 443,
            addresses: ArcSwap::from_pointee(
                addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ),
            chosen: AtomicUsize::new(0),
            dynamic: true,
        }
    }

    #[test]
    fn an_override_answers_for_its_host_and_port_only() {
        let overrides = BTreeMap::from([(
            ("edge.example".to_owned(), 443),
            "127.0.0.1:9443".parse().unwrap(),
        )]);

        let resolver = Resolver::new(
            [("edge.example".into(), 443), ("edge.example".into(), 8443)],
            &overrides,
        );

        let fixed = resolver.host("edge.example", 443).unwrap().address();
        assert_eq!(fixed, Some("127.0.0.1:9443".parse().unwrap()));
        assert_eq!(
            resolver.host("edge.example", 8443).unwrap().address(),
            None,
            "not resolved yet"
        );
    }

    #[test]
    fn a_host_is_known_further_unless_it_is_found_in_another_way() {
        let names = || [("a.example".to_owned(), 443), ("b.example".to_owned(), 443)];
        let pin = |address: &str| {
            let pinned = (("b.example".to_owned(), 443), address.parse().unwrap());
            BTreeMap::from([pinned])
        };
        let before = Resolver::new(names(), &pin("127.0.0.1:1"));
        let a = before.host("a.example", 443).unwrap();
        a.learn(found(&["192.0.2.7"], 60));

        let same = Resolver::after(Some(&before), names(), &pin("127.0.0.1:1"));
        let moved = Resolver::after(Some(&before), names(), &pin("127.0.0.1:2"));

        let host = |resolver: &Resolver, name| resolver.host(name, 443).unwrap();
        assert_eq!(host(&same, "a.example").address(), a.address());
        assert!(Arc::ptr_eq(
            &host(&same, "b.example"),
            &host(&before, "b.example")
        ));
        assert_eq!(
            host(&moved, "b.example").address(),
            Some("127.0.0.1:2".parse().unwrap())
        );
    }

    #[test]
    fn an_ip_literal_needs_no_lookup() {
        let resolver = Resolver::new([("::1".into(), 443)], &BTreeMap::new());

        assert_eq!(
            resolver.host("::1", 443).unwrap().address(),
            Some("[::1]:443".parse().unwrap())
        );
    }

    #[test]
    fn a_failed_address_gives_way_to_the_next_one() {
        let host = host(&["192.0.2.1:443", "192.0.2.2:443"]);

        host.failed("192.0.2.1:443".parse().unwrap());
        host.failed("192.0.2.1:443".parse().unwrap());

        assert_eq!(
            host.address(),
            Some("192.0.2.2:443".parse().unwrap()),
            "the second report is about an old choice"
        );
    }

    #[test]
    fn a_refresh_keeps_the_address_in_use_and_an_empty_one_changes_nothing() {
        let host = host(&["192.0.2.1:443", "192.0.2.2:443"]);
        host.failed("192.0.2.1:443".parse().unwrap());

        host.replace(vec![
            "192.0.2.9:443".parse().unwrap(),
            "192.0.2.2:443".parse().unwrap(),
        ]);
        host.replace(Vec::new());

        assert_eq!(host.address(), Some("192.0.2.2:443".parse().unwrap()));
    }

    fn found(ips: &[&str], ttl: u64) -> Result<(Vec<IpAddr>, Duration), &'static str> {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Ok((ips, Duration::from_secs(ttl)))
    }

    #[test]
    fn a_failed_look_up_keeps_the_last_good_answer_and_is_soon_repeated() {
        let host = host(&[]);
        let unresolved = host.address();

        let first = host.learn(found(&["192.0.2.7"], 60));
        let failed = host.learn(Err("no answer"));
        let empty = host.learn(found(&[], 60));

        assert_eq!(unresolved, None);
        assert_eq!(host.address(), Some("192.0.2.7:443".parse().unwrap()));
        assert_eq!(
            (first, failed, empty),
            (
                Duration::from_secs(60),
                FAILED_PAUSE,
                Duration::from_secs(60)
            )
        );
    }

    #[test]
    fn the_time_to_live_decides_within_bounds_when_to_look_again() {
        let host = host(&[]);

        let pauses = [0, 30, 86_400].map(|ttl| host.learn(found(&["192.0.2.7"], ttl)));

        assert_eq!(pauses, [TTL_FLOOR, Duration::from_secs(30), TTL_CEILING]);
    }

    #[test]
    fn a_moved_host_is_found_where_the_new_answer_says() {
        let host = host(&["192.0.2.1:443"]);

        host.learn(found(&["192.0.2.9"], 60));

        assert_eq!(host.address(), Some("192.0.2.9:443".parse().unwrap()));
    }
}
