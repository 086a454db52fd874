//! What is an unquoted word in YAML 1.1: a string, a number, a yes, a date? (PyYAML's resolver.)

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;

use super::Value;

/// What a plain scalar stands for.
pub(in crate::config) enum Plain {
    Value(Value),
    /// `<<`, which merges mappings where it is a key and is nothing elsewhere.
    Merge,
    /// `=`, a string where it is a key and nothing elsewhere.
    Default,
    /// It has the form of something that does not exist, such as a 13th month.
    Impossible(&'static str),
}

pub(in crate::config) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Value(Value::Null),
        "<<" => return Plain::Merge,
        "=" => return Plain::Default,
        _ => {}
    }
    if let Some(flag) = boolean(text) {
        return Plain::Value(Value::Bool(flag));
    }
    if let Some(float) = float(text) {
        return Plain::Value(Value::Float(float));
    }
    if let Some(int) = int(text) {
        return int.map_or(Plain::Impossible("an integer"), |n| {
            Plain::Value(Value::Int(n))
        });
    }
    match timestamp(text) {
        Some(true) => Plain::Value(Value::Timestamp(text.to_owned())),
        Some(false) => Plain::Impossible("a date"),
        None => Plain::Value(Value::Str(text.to_owned())),
    }
}

/// A scalar that says itself what it is, by YAML's own names. `None`: it cannot be that.
pub(super) fn tagged(tag: &str, text: String) -> Option<Value> {
    Some(match tag {
        "str" => Value::Str(text),
        "null" => Value::Null,
        "int" => Value::Int(int(&text)??),
        "float" => {
            let loose = || text.replace('_', "").parse().ok();
            Value::Float(float(&text).or_else(loose)?)
        }
        "bool" => match resolve(&text.to_ascii_lowercase()) {
            Plain::Value(flag @ Value::Bool(_)) => flag,
            _ => return None,
        },
        "timestamp" => timestamp(&text)?.then_some(Value::Timestamp(text))?,
        "binary" => binary(&text)?,
        _ => return None,
    })
}

/// Base64; what is not of its alphabet says nothing.
fn binary(text: &str) -> Option<Value> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let coded: Vec<u8> = text.bytes().filter(is_base64).collect();
    text.is_ascii()
        .then(|| STANDARD.decode(coded).ok())
        .flatten()
        .map(Value::Binary)
}

/// `y` and `n` are strings, and so is `tRUE`.
fn boolean(text: &str) -> Option<bool> {
    Some(match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true,
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false,
        _ => return None,
    })
}

/// `None`: not of an integer's form; `Some(None)`: of its form but without a value.
pub(super) fn int(text: &str) -> Option<Option<i128>> {
    let (negative, body) = signed(text);
    let (radix, digits) = if let Some(digits) = body.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = body.strip_prefix("0x") {
        (16, digits)
    } else if body.len() > 1 && body.starts_with('0') {
        (8, body)
    } else {
        (10, body)
    };
    if radix == 10 && body.contains(':') {
        return sexagesimal_int(body).map(|n| n.map(|n| if negative { -n } else { n }));
    }
    let of_form = !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
    if !of_form || (radix == 10 && digits.starts_with('_')) {
        return None;
    }
    let digits = digits.replace('_', "");
    let value = i128::from_str_radix(&digits, radix).ok();
    Some(value.map(|n| if negative { -n } else { n }))
}

/// `1:30` is ninety.
fn sexagesimal_int(body: &str) -> Option<Option<i128>> {
    let mut parts = body.split(':');
    let first = parts.next()?;
    if !first.starts_with(|c: char| ('1'..='9').contains(&c)) || !is_digits(first) {
        return None;
    }
    let mut value: Option<i128> = first.replace('_', "").parse().ok();
    for part in parts {
        let part = sixtieth(part)?;
        value = value.and_then(|v| v.checked_mul(60)?.checked_add(i128::from(part)));
    }
    Some(value)
}

fn sixtieth(part: &str) -> Option<u8> {
    let plain = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    part.parse().ok().filter(|n| plain && *n < 60)
}

/// A number needs a dot to be a float: `1e3` is a string, `1.0e3` too, `1.0e+3` is not.
pub(super) fn float(text: &str) -> Option<f64> {
    let (negative, body) = signed(text);
    let sign = if negative { -1.0 } else { 1.0 };
    match body {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if body.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (whole, rest) = body.split_once('.')?;
    if let Some((high, low)) = whole.rsplit_once(':') {
        return sexagesimal_float(high, low, rest).map(|n| sign * n);
    }
    let whole_is_right = if whole.is_empty() {
        // `.5` may not have a sign, and needs a digit right behind the dot.
        body.len() == text.len() && rest.starts_with(|c: char| c.is_ascii_digit())
    } else {
        whole.starts_with(|c: char| c.is_ascii_digit()) && is_digits(whole)
    };
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if !whole_is_right || !is_digits(fraction) || !is_exponent(exponent) {
        return None;
    }
    let digits = format!("{whole}.{fraction}").replace('_', "");
    format!("0{digits}0{exponent}")
        .parse::<f64>()
        .ok()
        .map(|n| sign * n)
}

fn sexagesimal_float(high: &str, low: &str, fraction: &str) -> Option<f64> {
    let mut parts = high.split(':');
    let first = parts.next()?;
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !is_digits(first) || !is_digits(fraction)
    {
        return None;
    }
    let mut value: f64 = first.replace('_', "").parse().ok()?;
    for part in parts {
        value = value * 60.0 + f64::from(sixtieth(part)?);
    }
    let seconds = format!("{}.{}0", sixtieth(low)?, fraction.replace('_', ""));
    Some(value * 60.0 + seconds.parse::<f64>().ok()?)
}

fn is_exponent(text: &str) -> bool {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (None, _) => true,
        (_, Some('+' | '-')) => {
            let digits = chars.as_str();
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b == b'_' || b.is_ascii_digit())
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// `Some(false)`: of a date's form, but there is no such day or time.
fn timestamp(text: &str) -> Option<bool> {
    let date_end = text.find(|c: char| c != '-' && !c.is_ascii_digit());
    let (date, clock) = text.split_at(date_end.unwrap_or(text.len()));
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let widths_fit = |widths: std::ops::RangeInclusive<usize>| {
        widths.contains(&month.len()) && widths.contains(&day.len())
    };
    if parts.next().is_some()
        || year.len() != 4
        || !widths_fit(if clock.is_empty() { 2..=2 } else { 1..=2 })
    {
        return None;
    }
    let clock_exists = if clock.is_empty() {
        true
    } else {
        time_of_day(clock)?
    };
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    Some(clock_exists && day_exists(year, month, day))
}

fn day_exists(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        1..=12 => 31,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

fn time_of_day(text: &str) -> Option<bool> {
    let clock = text
        .strip_prefix(['T', 't'])
        .unwrap_or_else(|| text.trim_start_matches([' ', '\t']));
    if clock.len() == text.len() {
        return None;
    }
    let zone_at = clock.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.');
    let (clock, zone) = clock.split_at(zone_at.unwrap_or(clock.len()));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let widths_fit = (1..=2).contains(&hour.len()) && minute.len() == 2 && second.len() == 2;
    let fraction_fits = fraction.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !widths_fit || !fraction_fits || !is_zone(zone) {
        return None;
    }
    let below = |text: &str, end: u32| text.parse::<u32>().is_ok_and(|n| n < end);
    Some(below(hour, 24) && below(minute, 60) && below(second, 60))
}

fn is_zone(text: &str) -> bool {
    let zone = text.trim_start_matches([' ', '\t']);
    if text.is_empty() || zone == "Z" {
        return true;
    }
    let Some(offset) = zone.strip_prefix(['+', '-']) else {
        return false;
    };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    hours.len() <= 2 && digits(hours) && minutes.len() == 2 && digits(minutes)
}
