//! Waiting for what a busy machine may do late: it comes, or the test fails and says what was missing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use memgate::clock::ManualClock;
use memgate::sim::Edge;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::harness::TestGateway;
use crate::two_ways::before;

/// What must happen, happens within this time, on the busiest machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what nobody reports.
pub const LOOK: Duration = Duration::from_millis(2);

impl TestGateway {
    /// Comes back when this metric has this number: a request is counted after its answer, which the client
    /// may have before.
    pub async fn counts(&self, name: &str, labels: &[(&str, &str)], expected: f64) {
        let mut last = f64::NAN;
        let counted = async {
            loop {
                last = self.metric(name, labels).await;
                if (last - expected).abs() < f64::EPSILON {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, counted).await.is_err() {
            panic!("{name} {labels:?} is {last}, not {expected}");
        }
    }

    /// Comes back when every request is over: counted, logged, and all that it held given back.
    pub async fn settled(&self) {
        soon(self.gateway().traffic.idle()).await;
    }
}

/// What must come, comes within this time.
pub async fn soon<T>(what: impl std::future::Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, what).await {
        Ok(done) => done,
        Err(_) => panic!("it did not come within {PATIENCE:?}"),
    }
}

/// What must come and nobody reports; looked for again and again.
pub async fn comes<T>(look: impl AsyncFn() -> Option<T>) -> T {
    soon(async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await
}

/// Whether it is so in time; looked at again and again, for nobody reports it.
pub async fn becomes_true(is_so: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.is_ok()
}

/// Time that goes on as fast as the gateway answers, so that a busy machine gets as much done in a second of it as an
/// idle one. It stands still when this is dropped.
pub struct OwnTime {
    pub clock: ManualClock,
    ticking: JoinHandle<()>,
}

/// A gateway that lives in such a time.
pub async fn in_its_own_time(edge: &Edge, direct: &str) -> (TestGateway, OwnTime) {
    let clock = ManualClock::at(SystemTime::now());
    let gateway = before(edge, direct).clock(Arc::new(clock.clone()));
    let gateway = gateway.start().await;
    let health = gateway.http().get(gateway.url("/health"));
    let time = clock.clone();
    let ticking = tokio::spawn(async move {
        while health.try_clone().unwrap().send().await.is_ok() {
            time.advance(Duration::from_millis(5));
            tokio::time::sleep(LOOK).await;
        }
    });
    (gateway, OwnTime { clock, ticking })
}

impl Drop for OwnTime {
    fn drop(&mut self) {
        self.ticking.abort();
    }
}

/// An address where nobody listens, and nobody can as long as this lives.
pub struct Nobody(TcpSocket);

impl Nobody {
    pub fn new() -> Self {
        let bound = TcpSocket::new_v4().unwrap();
        bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(bound)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// An address where a connection is neither made nor turned down, as long as this lives.
pub struct Deaf {
    listener: TcpListener,
    /// Fill the line of those whom nobody accepts.
    _line: Vec<TcpStream>,
}

impl Deaf {
    pub async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut line = Vec::new();
        let full = Duration::from_millis(300);
        while let Ok(taken) = tokio::time::timeout(full, TcpStream::connect(address)).await {
            line.push(taken.unwrap());
        }
        Self {
            listener,
            _line: line,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}
