//! To which trace does a request belong? W3C's `traceparent`: taken where it is good, else made; passed on with a span of
//! our own.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Somebody records this trace.
const SAMPLED: u8 = 1;
/// The trace's id is random; what else a flag may say is not known, and not passed on.
const RANDOM: u8 = 2;
/// Characters of what every version begins with.
const KNOWN: usize = 55;

/// Where in which trace a request is: its own span, below its caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace: TraceId,
    /// Ours.
    pub span: u64,
    /// The caller's; `None`: the trace begins here.
    pub parent: Option<u64>,
    flags: u8,
}

/// 32 hexadecimal digits, not all of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceContext {
    /// Of a request's head. A trace that begins here is recorded if `sample` says so.
    pub fn of(headers: &HeaderMap, sample: impl FnOnce() -> bool) -> Self {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        let parent = match (fields.next(), fields.next()) {
            (Some(field), None) => Self::below(field.as_bytes()),
            _ => None,
        };
        parent.unwrap_or_else(|| Self::new(sample()))
    }

    /// A trace that begins here.
    pub fn new(sampled: bool) -> Self {
        Self {
            trace: TraceId(fastrand::u128(1..)),
            span: new_span(),
            parent: None,
            flags: if sampled { SAMPLED | RANDOM } else { RANDOM },
        }
    }

    fn below(field: &[u8]) -> Option<Self> {
        let (version, rest) = (hex(field.get(..2)?)?, field.get(KNOWN..)?);
        let whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            // Of versions to come it is known how they begin.
            _ => rest.first().is_none_or(|next| *next == b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|at| field.get(*at) == Some(&b'-'));
        let (trace, parent) = (hex(field.get(3..35)?)?, hex(field.get(36..52)?)?);
        let flags = hex(field.get(53..KNOWN)?)? as u8;
        (whole && dashes && trace != 0 && parent != 0).then(|| Self {
            trace: TraceId(trace),
            span: new_span(),
            parent: Some(parent as u64),
            flags: flags & (SAMPLED | RANDOM),
        })
    }

    pub fn flags(&self) -> u8 {
        self.flags
    }

    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Puts our span in the caller's place. Without a good parent the trace's state is nobody's.
    pub fn write(&self, headers: &mut HeaderMap) {
        if self.parent.is_none() {
            headers.remove(TRACESTATE);
        }
        headers.insert(TRACEPARENT, self.header());
    }

    fn header(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let fields = [
            (3..35, self.trace.0),
            (36..52, self.span.into()),
            (53..KNOWN, self.flags.into()),
        ];
        for (place, mut number) in fields {
            for digit in text.get_mut(place).into_iter().flatten().rev() {
                *digit = hex_digit(number);
                number >>= 4;
            }
        }
        // Hex digits and dashes always make a header value.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"))
    }
}

/// Of the number's last four bits.
fn hex_digit(number: u128) -> u8 {
    char::from_digit((number & 15) as u32, 16).map_or(b'0', |digit| digit as u8)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<TraceId> for opentelemetry::trace::TraceId {
    fn from(id: TraceId) -> Self {
        id.0.into()
    }
}

/// As the trace's id: by that one a person finds it.
impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.trace)
    }
}

fn new_span() -> u64 {
    fastrand::u64(1..)
}

/// Lower case alone, as the standard wants it.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl TraceContext {
        pub fn example() -> Self {
            Self::below(GOOD.as_bytes()).unwrap()
        }
    }

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(parents: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for parent in parents {
            headers.append(TRACEPARENT, HeaderValue::from_str(parent).unwrap());
        }
        headers.append(TRACESTATE, HeaderValue::from_static("vendor=1"));
        headers
    }

    fn of(parents: &[&str]) -> TraceContext {
        TraceContext::of(&headers(parents), || false)
    }

    #[test]
    fn a_good_parent_is_taken_and_our_span_stands_below_it() {
        let mut headers = headers(&[GOOD]);

        let context = TraceContext::of(&headers, || false);
        context.write(&mut headers);

        assert_eq!(
            context.trace.to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(context.parent, Some(0x00f0_67aa_0ba9_02b7));
        assert!(context.is_sampled());
        let passed = headers[TRACEPARENT].to_str().unwrap();
        let ours = format!("{:016x}", context.span);
        assert_eq!(passed, GOOD.replace("00f067aa0ba902b7", &ours));
        assert_eq!(headers[TRACESTATE], "vendor=1");
    }

    #[test]
    fn what_the_standard_does_not_allow_is_no_parent() {
        let long = format!("{GOOD}-00");
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0X",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            &long,
        ] {
            let mut headers = headers(&[bad]);
            let context = TraceContext::of(&headers, || false);
            context.write(&mut headers);

            assert_eq!(context.parent, None, "{bad}");
            assert!(!headers.contains_key(TRACESTATE), "{bad}");
            assert!(
                of(&[headers[TRACEPARENT].to_str().unwrap()])
                    .parent
                    .is_some()
            );
        }
        assert_eq!(of(&[GOOD, GOOD]).parent, None, "two are none");
        assert_eq!(of(&[]).parent, None);
    }

    #[test]
    fn a_version_to_come_is_read_as_far_as_it_is_known() {
        let later = GOOD.replacen("00", "01", 1);
        for parent in [later.clone(), format!("{later}-more-of-it")] {
            let context = of(&[&parent]);

            assert_eq!(context.parent, Some(0x00f0_67aa_0ba9_02b7), "{parent}");
            assert!(context.header().to_str().unwrap().starts_with("00-4bf9"));
        }
    }

    #[test]
    fn a_trace_that_begins_here_is_recorded_as_we_say_and_another_as_its_caller_says() {
        let unsampled = GOOD.replace("-01", "-00");

        assert!(TraceContext::of(&headers(&[]), || true).is_sampled());
        assert!(!TraceContext::of(&headers(&[]), || false).is_sampled());
        assert!(!TraceContext::of(&headers(&[&unsampled]), || true).is_sampled());
        let flags = GOOD.replace("-01", "-ff");
        assert_eq!(of(&[&flags]).flags, SAMPLED | RANDOM);
    }

    proptest! {
        #[test]
        fn whatever_comes_what_goes_on_is_good(parent in "[0-9a-fA-Fx-]{0,60}") {
            let mut headers = headers(&[&parent]);
            TraceContext::of(&headers, || false).write(&mut headers);

            let passed = headers[TRACEPARENT].to_str().unwrap();
            prop_assert!(TraceContext::below(passed.as_bytes()).is_some(), "{passed}");
        }
    }
}
