//! Where does each JSON value end? A strict RFC 8259 reader that builds nothing.
//!
//! Strict because two parsers that disagree on a body are a way around a policy: what this reader
//! accepts, every conforming parser reads the same way. It never recurses, so depth costs no stack.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// Nesting that a body may have; far above what any client sends, far below what hurts.
pub(super) const MAX_DEPTH: usize = 512;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Syntax { at: usize, expected: &'static str },
    TooDeep,
}

type Read<T> = Result<T, Fault>;

/// A string token: its range with the quotes, and whether an escape must be undone to compare it.
pub(super) struct Text {
    pub(super) range: Range<usize>,
    escaped: bool,
}

/// A cursor over text already known to be UTF-8, so that only ASCII bytes decide anything.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space, left in place.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    pub(super) fn fault<T>(&self, expected: &'static str) -> Read<T> {
        Err(Fault::Syntax {
            at: self.at,
            expected,
        })
    }

    /// Steps over `byte` where it is the next one.
    pub(super) fn take(&mut self, byte: u8, expected: &'static str) -> Read<()> {
        if self.peek() != Some(byte) {
            return self.fault(expected);
        }
        self.at += 1;
        Ok(())
    }

    /// An object key and its colon.
    pub(super) fn key(&mut self) -> Read<Text> {
        if self.peek() != Some(b'"') {
            return self.fault("a key in quotes");
        }
        let key = self.string()?;
        self.take(b':', "`:`")?;
        Ok(key)
    }

    /// One value of any kind, containers within `depth` others included.
    pub(super) fn skip_value(&mut self, depth: usize) -> Read<()> {
        let mut open = Open::within(depth);
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    open.push(true)?;
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    open.push(false)?;
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            if self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    /// After a complete value: leaves every container that ends here. True when none is left open.
    fn close(&mut self, open: &mut Open) -> Read<bool> {
        while let Some(object) = open.innermost() {
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if object => self.at += 1,
                Some(b']') if !object => self.at += 1,
                _ => return self.fault(if object { "`,` or `}`" } else { "`,` or `]`" }),
            }
            open.pop();
        }
        Ok(true)
    }

    fn scalar(&mut self) -> Read<()> {
        match self.byte() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.fault("a value"),
        }
    }

    fn literal(&mut self, word: &'static str) -> Read<()> {
        if !self.rest().starts_with(word.as_bytes()) {
            return self.fault("`true`, `false` or `null`");
        }
        self.at += word.len();
        Ok(())
    }

    /// Any size and form the grammar allows: `1.0`, `1e-7` and 40 digits pass, `01`, `+1` and `.5` do not.
    fn number(&mut self) -> Read<()> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Read<()> {
        let count = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return self.fault("a digit");
        }
        self.at += count;
        Ok(())
    }

    /// The string that begins at the cursor's quote.
    pub(super) fn string(&mut self) -> Read<Text> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            let rest = self.rest();
            let Some(length) = memchr2(b'"', b'\\', rest) else {
                return self.fault("a string that ends");
            };
            let (plain, tail) = rest.split_at(length);
            if has_control(plain) {
                return self.fault("a string without raw control characters");
            }
            self.at += length + 1;
            if tail.first() == Some(&b'"') {
                let range = start..self.at;
                return Ok(Text { range, escaped });
            }
            escaped = true;
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Read<()> {
        let length = match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') if self.hex_digits() => 5,
            _ => return self.fault("a valid escape"),
        };
        self.at += length;
        Ok(())
    }

    fn hex_digits(&self) -> bool {
        self.rest()
            .get(1..5)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    }

    /// What a string means. `None`: it holds half of a surrogate pair, which is no text.
    pub(super) fn decode(&self, token: &Text) -> Option<Cow<'a, str>> {
        let quoted = self.text.get(token.range.clone())?;
        if token.escaped {
            return serde_json::from_str(quoted).ok().map(Cow::Owned);
        }
        quoted.get(1..quoted.len() - 1).map(Cow::Borrowed)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Without an early exit, so that the compiler makes vector code of it.
fn has_control(plain: &[u8]) -> bool {
    plain
        .iter()
        .fold(false, |found, &byte| found | (byte < 0x20))
}

/// The containers the cursor is in: one bit each, set for an object.
struct Open {
    objects: [u64; MAX_DEPTH / 64],
    outside: usize,
    depth: usize,
}

impl Open {
    fn within(outside: usize) -> Self {
        Self {
            objects: [0; MAX_DEPTH / 64],
            outside,
            depth: 0,
        }
    }

    fn push(&mut self, object: bool) -> Read<()> {
        if self.outside + self.depth >= MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if let Some(word) = self.objects.get_mut(word) {
            *word = if object { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn innermost(&self) -> Option<bool> {
        let top = self.depth.checked_sub(1)?;
        let word = self.objects.get(top / 64)?;
        Some(word & (1 << (top % 64)) != 0)
    }
}
