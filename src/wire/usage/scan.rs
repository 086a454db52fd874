//! Where does a JSON answer say its usage? Found as its pieces pass, however they are cut; nothing else is kept.
//!
//! Only the object itself may say it: what a model wrote within its answer is deeper, or a string. As it stands near the
//! end as a rule, its name is searched for, and the JSON read from there on. Whether it was the answer's own is known
//! when the object that it stood in ends.

use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

use super::UsageSaid;

/// Gemini's name, of which all others' is the beginning.
const NAME: &[u8] = b"usageMetadata";
const NAMES: [Option<usize>; 2] = [Some("usage".len()), Some(NAME.len())];
/// How either begins. In a string its quote would be escaped.
const OPENED: &[u8] = b"\"usage";
/// No provider's is longer.
const LONGEST: usize = 4096;
/// Few are longer.
const USUAL: usize = 512;
/// So many bytes at once are looked through for one that matters: arrays of numbers can be long.
const BLOCK: usize = 32;

/// Looks for the `usage` of a JSON object.
#[derive(Default)]
pub struct UsageScan {
    /// It may stand in an object of that object, too.
    nested: bool,
    place: Place,
    /// The last byte before the piece under way.
    before: u8,
    /// The object that the name was found in is the first.
    depth: u32,
    /// How much of the name the string under way has matched; `None`: it is another one.
    matched: Option<usize>,
    /// The last token was the name.
    named: bool,
    /// The object under way, while it is the one that is looked for, and the depth at which it stands.
    taken: Option<(u32, Vec<u8>)>,
    said: Option<UsageSaid>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// What comes before the answer's object.
    #[default]
    Start,
    /// Any part of it; so many bytes of [`OPENED`] have passed.
    Sought(usize),
    /// What comes behind the object that the name was found in.
    Behind,
    Between,
    String,
    /// After a backslash.
    Escape,
    /// Nothing more is looked for.
    Over,
}

impl UsageScan {
    /// For the data of a streamed event, where `usage` may stand in its `message` or `response`.
    pub fn of_event() -> Self {
        Self {
            nested: true,
            place: Place::Between,
            ..Self::default()
        }
    }

    /// Takes note of a piece on its way.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.place != Place::Over {
            let rest = match self.place {
                Place::Start | Place::Behind => self.begin(bytes),
                Place::Sought(begun) => self.seek(begun, bytes),
                _ => self.read(bytes),
            };
            let passed = bytes.get(..bytes.len() - rest.len());
            self.before = passed
                .and_then(<[u8]>::last)
                .copied()
                .unwrap_or(self.before);
            bytes = rest;
        }
    }

    /// What the answer has said.
    pub fn said(&self) -> Option<UsageSaid> {
        self.said
    }

    /// Begins to seek in the answer's object, or anew: one that something follows was deeper.
    fn begin<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some((first, rest)) = bytes.trim_ascii_start().split_first() else {
            return &[];
        };
        self.said = None;
        self.place = match (self.place, first) {
            (Place::Start, b'{') | (Place::Behind, _) => Place::Sought(0),
            _ => Place::Over,
        };
        rest
    }

    /// Passes over what is not the name.
    fn seek<'b>(&mut self, begun: usize, bytes: &'b [u8]) -> &'b [u8] {
        static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(OPENED));
        let missing = OPENED.get(begun..).unwrap_or_default();
        if begun > 0 && missing.starts_with(bytes) && missing.len() > bytes.len() {
            self.place = Place::Sought(begun + bytes.len());
            return &[];
        }
        let completed = bytes.strip_prefix(missing).filter(|_| begun > 0);
        let found = || {
            let mut all = NAME.find_iter(bytes).filter(|at| self.may_open(bytes, *at));
            bytes.get(all.next()? + OPENED.len()..)
        };
        if let Some(rest) = completed.or_else(found) {
            self.place = Place::String;
            self.matched = Some(OPENED.len() - 1);
            self.depth = 1;
            return rest;
        }
        let begins = |length: &usize| {
            let ends = OPENED
                .get(..*length)
                .is_some_and(|part| bytes.ends_with(part));
            ends && self.may_open(bytes, bytes.len() - length)
        };
        self.place = Place::Sought((1..OPENED.len()).find(begins).unwrap_or_default());
        &[]
    }

    /// Whether a string may begin at this quote: it may be one of its text, or its end.
    fn may_open(&self, bytes: &[u8], at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let before = before.unwrap_or(&self.before);
        matches!(before, b'{' | b',') || before.is_ascii_whitespace()
    }

    /// Reads up to the next byte that matters, with it.
    fn read<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let step = self.step(bytes);
        let (passed, rest) = bytes.split_at(step.min(bytes.len()));
        self.take(passed);
        self.mark(passed);
        rest
    }

    /// How many bytes there are up to the next one that matters, with it.
    fn step(&self, bytes: &[u8]) -> usize {
        let at = match self.place {
            Place::Between => next_mark(bytes),
            Place::String => memchr2(b'"', b'\\', bytes),
            _ => Some(0),
        };
        at.map_or(bytes.len(), |at| at + 1)
    }

    /// Keeps what belongs to the object that is looked for.
    fn take(&mut self, passed: &[u8]) {
        let Some((_, taken)) = &mut self.taken else {
            return;
        };
        if taken.len() + passed.len() > LONGEST {
            self.taken = None;
        } else {
            taken.extend_from_slice(passed);
        }
    }

    /// Goes on by what ends these bytes, if it matters.
    fn mark(&mut self, passed: &[u8]) {
        let last = passed.last().copied().unwrap_or_default();
        match self.place {
            Place::Escape => self.place = Place::String,
            Place::String => self.within_string(passed, last),
            Place::Between => self.between(last),
            _ => {}
        }
    }

    fn within_string(&mut self, passed: &[u8], last: u8) {
        self.matched = self.matched.and_then(|at| {
            let content = match last {
                b'"' | b'\\' => passed.get(..passed.len() - 1)?,
                _ => passed,
            };
            let rest = NAME.get(at..)?;
            rest.starts_with(content).then_some(at + content.len())
        });
        if last == b'\\' {
            self.matched = None;
            self.place = Place::Escape;
        } else if last == b'"' {
            self.named = NAMES.contains(&self.matched);
            self.place = Place::Between;
        }
    }

    fn between(&mut self, last: u8) {
        let named = std::mem::take(&mut self.named);
        match last {
            b'"' if self.depth == 0 => self.place = Place::Over,
            b'"' => {
                let looked_at = self.depth == 1 || self.nested && self.depth == 2;
                self.matched = looked_at.then_some(0);
                self.place = Place::String;
            }
            b'[' if self.depth == 0 => self.place = Place::Over,
            b'{' if named && self.taken.is_none() => {
                let mut taken = Vec::with_capacity(USUAL);
                taken.push(last);
                self.taken = Some((self.depth, taken));
                self.depth += 1;
            }
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.close(),
            // No token ended here.
            _ => self.named = named,
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.place = match self.nested {
                true => Place::Over,
                false => Place::Behind,
            };
        }
        if let Some((_, taken)) = self.taken.take_if(|(depth, _)| *depth == self.depth) {
            self.said = UsageSaid::of(&taken).or(self.said);
        }
    }
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')
}

fn next_mark(bytes: &[u8]) -> Option<usize> {
    let (near, far) = bytes.split_at(bytes.len().min(BLOCK));
    if let Some(at) = near.iter().position(|byte| is_mark(*byte)) {
        return Some(at);
    }
    // Without an early exit in the block, so that the compiler makes vector code of it.
    let has_mark = |block: &&[u8]| block.iter().fold(false, |has, byte| has | is_mark(*byte));
    let block = far.chunks(BLOCK).position(|block| has_mark(&block))?;
    let start = block * BLOCK;
    let within = far.get(start..)?.iter().position(|byte| is_mark(*byte))?;
    Some(near.len() + start + within)
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
