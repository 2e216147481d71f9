//! Durations and sizes: a whole number and a unit, nothing else, so that nobody can misread one.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::report::{At, Wrong, wrong};
use super::types::Rate;

/// Seconds of a minute, an hour and a day.
pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// A duration such as `45s`, `30m`, `8h` or `7d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, Wrong> {
    let units = [("s", 1), ("m", MINUTE), ("h", HOUR), ("d", DAY)];
    let seconds = with_unit(text, &units);
    seconds.map(Duration::from_secs).ok_or(Wrong {
        problem: "not a duration",
        mend: "write a whole number and s, m, h or d, e.g. \"45s\", \"30m\", \"8h\"",
    })
}

/// A size such as `512B`, `64KiB` or `10MiB`, in bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, Wrong> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    with_unit(text, &units).ok_or(Wrong {
        problem: "not a size",
        mend: "write a whole number and B, KiB, MiB or GiB, e.g. \"10MiB\"",
    })
}

/// A duration of `seconds`, noted as a problem when it is none or out of bounds.
pub(super) fn duration(at: &At<'_>, text: &str, seconds: RangeInclusive<u64>) -> Option<Duration> {
    let duration = at.take(parse_duration(text))?;
    if seconds.contains(&duration.as_secs()) {
        return Some(duration);
    }
    let (low, high) = (shown(*seconds.start()), shown(*seconds.end()));
    at.fail("out of bounds", format!("write {low} to {high}"))
}

/// Like [`duration`], but `off` is fine, too: `Some(None)`.
#[expect(clippy::option_option, reason = "a problem was noted, no limit, or a limit")]
pub(super) fn duration_or_off(
    at: &At<'_>,
    text: &str,
    seconds: RangeInclusive<u64>,
) -> Option<Option<Duration>> {
    if text == "off" { Some(None) } else { duration(at, text, seconds).map(Some) }
}

/// A rate such as `10/s`, `600/m` or `20/h`, or `off`.
#[expect(clippy::option_option, reason = "a problem was noted, no limit, or a limit")]
pub(super) fn rate(at: &At<'_>, text: &str) -> Option<Option<Rate>> {
    const MEND: &str =
        "write a whole number from 1 to 1000000 and /s, /m or /h, e.g. \"600/m\", or \"off\"";
    if text == "off" {
        return Some(None);
    }
    let times = |unit| with_unit(text, &[(unit, 1)]).and_then(|times| u32::try_from(times).ok());
    let units = [("/s", 1), ("/m", MINUTE), ("/h", HOUR)];
    let read = units.into_iter().find_map(|(unit, per)| Some((times(unit)?, per)));
    match read {
        Some((times @ 1..=1_000_000, per)) => {
            Some(Some(Rate { times, per: Duration::from_secs(per) }))
        }
        _ => at.fail("not a rate", MEND),
    }
}

/// A size from one byte to 16 GiB.
pub(super) fn size(at: &At<'_>, text: &str) -> Option<u64> {
    let bytes = at.take(parse_size(text))?;
    if (1..=16 << 30).contains(&bytes) {
        return Some(bytes);
    }
    at.take(wrong("out of bounds", "write 1B to 16GiB"))
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    // `parse` alone would take a plus sign.
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| plain)?.checked_mul(factor)
}

/// The shortest way to write so many seconds.
fn shown(seconds: u64) -> String {
    for (unit, factor) in [("d", DAY), ("h", HOUR), ("m", MINUTE)] {
        if seconds >= factor && seconds.is_multiple_of(factor) {
            return format!("{}{unit}", seconds / factor);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0s", 0)]
    #[case("45s", 45)]
    #[case("30m", 1_800)]
    #[case("8h", 28_800)]
    #[case("400d", 34_560_000)]
    fn durations_are_a_number_and_a_unit(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
    }

    #[rstest]
    fn what_could_be_misread_is_no_duration(
        #[values(
            "",
            "s",
            "5",
            "-5s",
            "+5s",
            "5 s",
            " 5s",
            "5S",
            "5M",
            "1.5h",
            "1h30m",
            "5min",
            "5ms",
            "٣s",
            "1_000s",
            "99999999999999999999s",
            "99999999999999999d"
        )]
        text: &str,
    ) {
        assert!(parse_duration(text).is_err());
    }

    #[rstest]
    #[case("1B", 1)]
    #[case("64KiB", 65_536)]
    #[case("10MiB", 10_485_760)]
    #[case("1GiB", 1_073_741_824)]
    fn sizes_have_binary_units(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(parse_size(text), Ok(bytes));
    }

    #[rstest]
    fn what_could_be_misread_is_no_size(
        #[values("", "10", "10M", "10MB", "10mib", "KiB", "1.5MiB", "99999999999999GiB")]
        text: &str,
    ) {
        assert!(parse_size(text).is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_back(seconds in 0..u64::MAX / DAY) {
            prop_assert_eq!(parse_duration(&shown(seconds)), Ok(Duration::from_secs(seconds)));
        }

        #[test]
        fn no_text_breaks_the_parsers(text in "\\PC{0,24}|[0-9]{1,24}[smhdBKMGi]{0,3}") {
            let plain = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
            prop_assert!(parse_duration(&text).is_err() || plain(&text));
            prop_assert!(parse_size(&text).is_err() || plain(&text));
        }
    }
}
