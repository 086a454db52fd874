//! How long is `5m`, how much is `64MiB`, which share is `20%`?

use std::time::Duration;

/// A whole number and one of `ms`, `s`, `m`, `h`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    Some(match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    })
}

/// A whole number and one of `KiB`, `MiB`, `GiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// A whole number and `%`.
pub(super) fn percent(text: &str) -> Option<u8> {
    let (number, unit) = split(text)?;
    (unit == "%").then(|| u8::try_from(number).ok())?
}

/// In the largest unit that needs no fraction, as one would write it.
pub(super) fn show_duration(value: Duration) -> String {
    let millis = value.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    for (unit, length) in [("h", 3_600_000_u128), ("m", 60_000), ("s", 1000)] {
        if millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    format!("{millis}ms")
}

pub(super) fn show_size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{}KiB", bytes >> 10)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_whole_number_and_a_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(size("64MiB"), Some(64 << 20));
        for wrong in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "5 s",
            "5S",
            "99999999999999999999s",
            "6000000000000000h",
        ] {
            assert_eq!(duration(wrong), None, "{wrong:?}");
        }
        for wrong in ["64MB", "64M", "1e3KiB", "99999999999999GiB"] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_share_needs_a_whole_number_and_its_sign() {
        assert_eq!(percent("20%"), Some(20));
        assert_eq!(percent("0%"), Some(0));
        for wrong in ["20", "%", "2.5%", "-1%", "20 %", "256%", "0.2"] {
            assert_eq!(percent(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_value() {
        for text in ["0s", "250ms", "90s", "5m", "2h"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        for text in ["64KiB", "32MiB", "1GiB"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
    }
}
