//! The grammar's half of reading YAML: bytes in, parser events out, bounded in every direction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use libyaml_safer::{Encoding, Event, EventData, Mark, Parser, ScalarStyle};

use crate::config::{Finding, Place};

/// No configuration is larger; a file beyond it is a mistake.
pub(in crate::config) const MAX_BYTES: usize = 4 * 1024 * 1024;
pub(super) const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 100;

pub(super) fn place(file: &Arc<str>, mark: Mark) -> Place {
    let from_zero = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    Place::at(file, from_zero(mark.line), from_zero(mark.column))
}

/// All events of a file, or the one place where reading had to stop.
pub(super) fn read(bytes: &[u8], file: &Arc<str>) -> Result<Vec<Event>, Finding> {
    let text = printable(bytes, file)?;
    // The parser panics on one malformed form (`[!a, b]`); a wrong file must not end the program.
    let parsed = catch_unwind(AssertUnwindSafe(|| parse(text, file)));
    let events = parsed.unwrap_or_else(|_panic| {
        Err(Finding {
            place: Place::top(file),
            message: "a tag (`!…`) is malformed, put a blank after it or remove it".to_owned(),
        })
    })?;
    match stray_tab(text, &events) {
        None => Ok(events),
        Some(at) => Err(Finding {
            place: place_after(text.get(..at).unwrap_or_default(), file),
            message: "a tab, which PyYAML refuses outside quotes and comments; use blanks"
                .to_owned(),
        }),
    }
}

/// The first tab that stands neither in a quoted or block scalar nor in a comment. The parser lets some
/// of them pass.
fn stray_tab(text: &str, events: &[Event]) -> Option<usize> {
    let mut scalars = events.iter().filter_map(|event| match event.data {
        EventData::Scalar { style, .. } => Some((span(event), style != ScalarStyle::Plain)),
        _ => None,
    });
    let (mut last, mut next) = (0, scalars.next());
    for (at, _) in text.match_indices('\t') {
        while let Some((scalar, _)) = next.as_ref().filter(|(scalar, _)| scalar.end <= at) {
            last = scalar.end;
            next = scalars.next();
        }
        let (inside, opaque) = next.as_ref().map_or((false, false), |(scalar, opaque)| {
            (scalar.contains(&at), *opaque)
        });
        let line = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
        let gap = text.get(line.max(last)..at).unwrap_or_default();
        let fine = if inside {
            opaque
        } else {
            gap.starts_with('#') || gap.contains(" #")
        };
        if !fine {
            return Some(at);
        }
    }
    None
}

fn span(event: &Event) -> std::ops::Range<usize> {
    let index = |mark: Mark| usize::try_from(mark.index).unwrap_or(usize::MAX);
    index(event.start_mark)..index(event.end_mark)
}

fn parse(text: &str, file: &Arc<str>) -> Result<Vec<Event>, Finding> {
    // The parser cannot end inside a block scalar: it gets a last line break, and `mend` takes it back.
    let ended = if text.ends_with(['\n', '\r']) {
        text.to_owned()
    } else {
        format!("{text}\n")
    };
    let mut input = ended.as_bytes();
    let mut parser = Parser::new();
    parser.set_encoding(Encoding::Utf8);
    parser.set_input_string(&mut input);

    let mut events = Vec::new();
    let mut depth = 0_usize;
    loop {
        let mut event = parser.parse().map_err(|error| Finding {
            place: place(file, error.problem_mark().unwrap_or_default()),
            message: grammar_message(&error),
        })?;
        match event.data {
            EventData::StreamEnd => return Ok(events),
            EventData::SequenceStart { .. } | EventData::MappingStart { .. } => depth += 1,
            EventData::SequenceEnd | EventData::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH || events.len() > 2 * MAX_NODES {
            return Err(Finding {
                place: place(file, event.start_mark),
                message: format!(
                    "too deep or too large, at most {MAX_DEPTH} levels and {MAX_NODES} values are read"
                ),
            });
        }
        mend(&mut event, text);
        events.push(event);
    }
}

fn grammar_message(error: &libyaml_safer::Error) -> String {
    let context = error.context().unwrap_or("while reading YAML");
    match error.context_mark() {
        Some(mark) => format!(
            "not valid YAML, {} {context} that began at line {} column {}",
            error.problem(),
            mark.line + 1,
            mark.column + 1
        ),
        None => format!("not valid YAML, {} {context}", error.problem()),
    }
}

/// A block scalar on a last line without a line break has none at its end either; a last line of blanks
/// is a part of it only if the value shows it.
fn mend(event: &mut Event, text: &str) {
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    let at_the_end = event.end_mark.index >= text.len() as u64;
    if let EventData::Scalar {
        value,
        style: ScalarStyle::Literal | ScalarStyle::Folded,
        ..
    } = &mut event.data
        && !last_line.is_empty()
        && at_the_end
        && let Some(content) = value.strip_suffix('\n')
    {
        let is_blank = |line: &str| line.trim().is_empty();
        if !is_blank(last_line) || content.rsplit('\n').next().is_some_and(is_blank) {
            value.pop();
        }
    }
}

/// The text without its byte order mark, if all of it may stand in a YAML file.
fn printable<'a>(bytes: &'a [u8], file: &Arc<str>) -> Result<&'a str, Finding> {
    let fault = |place: Place, message: String| Err(Finding { place, message });
    if bytes.len() > MAX_BYTES {
        return fault(
            Place::top(file),
            format!("larger than {MAX_BYTES} bytes, a configuration is smaller"),
        );
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or(bytes));
            return fault(
                place_after(&valid, file),
                "not UTF-8, save the file in that encoding".to_owned(),
            );
        }
    };
    match text.char_indices().find(|(_, c)| !is_printable(*c)) {
        None => Ok(text),
        Some((index, c)) => fault(
            place_after(text.get(..index).unwrap_or_default(), file),
            format!(
                "the character U+{:04X} may not stand in YAML, write it as an escape in double quotes",
                u32::from(c)
            ),
        ),
    }
}

fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

fn place_after(text: &str, file: &Arc<str>) -> Place {
    let line = text.split('\n').count();
    let column = text
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count())
        + 1;
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place::at(file, small(line), small(column))
}
