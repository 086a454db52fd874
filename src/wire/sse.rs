//! Which lines and which events does an event stream hold, however its bytes are cut?
//!
//! WHATWG HTML, "Interpreting an event stream": lines end with CR, LF or both; the `data` lines of an event are
//! joined; a blank line ends it.

use memchr::memchr2;

/// An event of usual size leaves its room for the next one.
const ROOM_KEPT: usize = 16 * 1024;
/// No event that anybody looks for has a longer name.
const NAME_KEPT: usize = 64;

/// The lines of a stream that comes in pieces.
pub struct Lines {
    limit: usize,
    /// The beginning of a line whose end has not come.
    start: Vec<u8>,
    /// `start` was given away as a whole line.
    given: bool,
    after_cr: bool,
    cut: bool,
}

impl Lines {
    /// Of a line that pieces share, as many bytes are kept.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            start: Vec::new(),
            given: false,
            after_cr: false,
            cut: false,
        }
    }

    /// The next line that ends in these bytes, which are taken from them; without one, all of them are.
    pub fn next<'l, 'b: 'l>(&'l mut self, bytes: &mut &'b [u8]) -> Option<&'l [u8]> {
        if std::mem::take(&mut self.given) {
            self.start = Vec::new();
        }
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            *bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        let Some(end) = memchr2(b'\n', b'\r', bytes) else {
            self.keep(bytes);
            *bytes = &[];
            return None;
        };
        let (line, rest) = bytes.split_at(end);
        self.after_cr = rest.starts_with(b"\r");
        *bytes = rest.get(1..).unwrap_or_default();
        if self.start.is_empty() {
            return Some(line);
        }
        self.keep(line);
        self.given = true;
        Some(&self.start)
    }

    /// The line whose end has not come.
    pub fn unfinished(&self) -> &[u8] {
        if self.given { &[] } else { &self.start }
    }

    /// A line was longer than the limit.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.start.len());
        self.cut |= bytes.len() > room;
        self.start
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// The value of a `data` line.
pub fn data(line: &[u8]) -> Option<&[u8]> {
    field(line, b"data:")
}

/// The value of a line that begins with this name and its colon.
pub fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// A byte order mark may begin the stream.
fn without_mark<'l>(line: &'l [u8], begun: &mut bool) -> &'l [u8] {
    match std::mem::replace(begun, true) {
        true => line,
        false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
    }
}

/// The events of a stream that comes in pieces. It holds one at most.
pub struct Decoder {
    limit: usize,
    lines: Lines,
    /// The first line has passed.
    begun: bool,
    under_way: UnderWay,
    /// What was under way was given away.
    given: bool,
}

#[derive(Default)]
struct UnderWay {
    /// Of the last `event` line.
    name: Vec<u8>,
    /// The `data` lines, each with a line feed.
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Nothing where it has none.
    pub name: &'a [u8],
    pub data: &'a [u8],
}

/// An event is longer than anybody would send.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {limit} bytes")]
pub struct TooLong {
    limit: usize,
}

impl Decoder {
    /// For events of up to so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            lines: Lines::new(limit),
            begun: false,
            under_way: UnderWay::default(),
            given: false,
        }
    }

    /// The next event with data that ends in these bytes, which are taken from them; without one, all of them are.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event<'_>>, TooLong> {
        if std::mem::take(&mut self.given) {
            self.under_way.clear();
        }
        while let Some(line) = self.lines.next(bytes) {
            // Cut or not: where pieces end makes no difference.
            let too_long = line.len() > self.limit;
            let line = without_mark(line, &mut self.begun);
            if line.is_empty() && !self.under_way.data.is_empty() {
                return Ok(self.give());
            }
            self.under_way.add(line);
            if too_long || self.under_way.data.len() > self.limit || self.lines.is_cut() {
                return Err(TooLong { limit: self.limit });
            }
        }
        match self.lines.is_cut() {
            true => Err(TooLong { limit: self.limit }),
            false => Ok(None),
        }
    }

    /// An event that the end of the stream kept from its blank line. It may be half of it.
    pub fn end(&mut self) -> Option<Event<'_>> {
        if std::mem::take(&mut self.given) {
            self.under_way.clear();
        }
        let unfinished = self.lines.unfinished();
        if !unfinished.is_empty() {
            let line = without_mark(unfinished, &mut self.begun);
            self.under_way.add(line);
        }
        self.give()
    }

    fn give(&mut self) -> Option<Event<'_>> {
        self.given = true;
        let UnderWay { name, data } = &self.under_way;
        let data = data.strip_suffix(b"\n")?;
        Some(Event { name, data })
    }
}

impl UnderWay {
    fn add(&mut self, line: &[u8]) {
        if let Some(value) = data(line) {
            self.data.extend_from_slice(value);
            self.data.push(b'\n');
        } else if let Some(name) = field(line, b"event:") {
            self.name.clear();
            self.name
                .extend_from_slice(name.get(..NAME_KEPT).unwrap_or(name));
        } else if line.is_empty() {
            // Without data it was no event.
            self.name.clear();
        }
    }

    fn clear(&mut self) {
        self.name.clear();
        self.data.clear();
        self.data.shrink_to(ROOM_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The name and the data of each.
    fn events(pieces: &[&[u8]]) -> Vec<[String; 2]> {
        let mut decoder = Decoder::new(1024);
        let mut found = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(event) = decoder.next(&mut piece).unwrap() {
                let said = [event.name, event.data].map(String::from_utf8_lossy);
                found.push(said.map(String::from));
            }
        }
        found
    }

    fn data_of(stream: &str) -> Vec<String> {
        let events = events(&[stream.as_bytes()]);
        events.into_iter().map(|[_, data]| data).collect()
    }

    #[test]
    fn each_event_has_the_data_that_the_standard_says() {
        let cases: [(&str, &[&str]); 14] = [
            ("data: a\n\n", &["a"]),
            ("data:a\r\n\r\n", &["a"]),
            ("data:  a \r\r", &[" a "]),
            ("event:x\ndata: a\ndata: b\n\n", &["a\nb"]),
            ("data\ndata: a\n\n", &["a"]),
            ("data:\n\n", &[""]),
            ("event: x\n\n", &[]),
            (": note\n\n\n\ndata: a\n\n", &["a"]),
            ("id: 1\nretry: 5\ndata: a\n\n\ndata: b\n\n", &["a", "b"]),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &["a"]),
            ("data: a\r\ndata: b\n\r", &["a\nb"]),
            ("data: a\n", &[]),
            ("data: a", &[]),
            ("Data: a\nxdata: b\n data: c\n\n", &[]),
        ];
        for (stream, data) in cases {
            assert_eq!(data_of(stream), data, "{stream:?}");
        }
    }

    #[test]
    fn each_event_has_the_name_that_was_last_said_of_it() {
        let long = "n".repeat(200);
        for (stream, name) in [
            ("data: a\n\n", ""),
            ("event: x\ndata: a\n\n", "x"),
            ("event:x\r\ndata: a\r\n\r\n", "x"),
            ("data: a\nevent: x\nevent: y\n\n", "y"),
            ("event: x\n\ndata: a\n\n", ""),
            ("event: x\ndata: a\nevent:\n\n", ""),
            (&format!("event: {long}\ndata: a\n\n"), &long[..NAME_KEPT]),
        ] {
            let twice = stream.repeat(2);
            let name = [name.to_owned(), "a".to_owned()];

            assert_eq!(
                events(&[twice.as_bytes()]),
                [name.clone(), name],
                "{stream:?}"
            );
        }
        let next_has_none = events(&[b"event: x\ndata: a\n\ndata: b\n\n"]);
        assert_eq!(next_has_none[1], ["", "b"]);
    }

    #[test]
    fn an_event_that_the_end_cut_short_is_given_at_the_end() {
        for (stream, rest) in [
            ("data: a", Some("a")),
            ("data: a\n", Some("a")),
            ("data: a\ndata: b", Some("a\nb")),
            ("data: a\n\n", None),
            ("data: a\n\nevent: x\n", None),
            ("", None),
        ] {
            let mut decoder = Decoder::new(64);
            let mut bytes = stream.as_bytes();
            while decoder.next(&mut bytes).unwrap().is_some() {}

            let data = decoder.end().map(|event| event.data);
            assert_eq!(data, rest.map(str::as_bytes), "{stream:?}");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_refused_before_it_is_held() {
        let line = format!("data: {}", "x".repeat(64));
        let many = "data: 12345678\n".repeat(8);
        let note = format!(": {}\ndata: a\n\n", "x".repeat(64));
        for stream in [line.clone(), format!("{line}\n\n"), many, note] {
            for cut in [1, 7, stream.len()] {
                let mut decoder = Decoder::new(64);

                let mut pieces = stream.as_bytes().chunks(cut);
                let first = pieces.find_map(|mut piece| decoder.next(&mut piece).err());

                assert_eq!(first, Some(TooLong { limit: 64 }), "{stream:?} in {cut}s");
            }
        }
        let comments = ": 12345678\n".repeat(100);
        assert_eq!(Decoder::new(64).next(&mut comments.as_bytes()), Ok(None));
    }

    #[test]
    fn the_room_of_a_large_event_is_given_back() {
        let mut decoder = Decoder::new(1 << 20);
        let large = format!("data: {}\n\n", "x".repeat(1 << 19));
        let (start, mut rest) = large.as_bytes().split_at(1000);

        assert!(decoder.next(&mut &start[..]).unwrap().is_none());
        assert!(decoder.next(&mut rest).unwrap().is_some());
        assert!(decoder.next(&mut rest).unwrap().is_none());

        let held = decoder.under_way.data.capacity() + decoder.lines.start.capacity();
        assert!(held <= 2 * ROOM_KEPT, "{held} bytes");
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            stream in "(data: ?|event: x|é|a|\r|\n|\r\n){0,24}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = stream.as_bytes();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let mut from = 0;
            let mut pieces = Vec::new();
            for end in ends {
                pieces.push(&bytes[from..end]);
                from = end;
            }

            prop_assert_eq!(events(&pieces), events(&[bytes]));
        }
    }
}
