//! Where are spans sent, and of how many requests: the `traces` section.

use http::{HeaderName, HeaderValue};

use super::BaseUrl;

#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// `None`: the trace context is passed on, and no span is made.
    pub otlp: Option<Otlp>,
    /// Share of the traces that begin here, in [0, 1]; one that comes sampled stays so.
    pub sample: f64,
}

/// A collector that speaks OTLP over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Where spans are posted to.
    pub url: BaseUrl,
    /// Marked as sensitive, all of them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            otlp: None,
            sample: 0.01,
        }
    }
}
