//! One security event as a line: bounded, one JSON object, and nothing in it that a terminal or a log reader could take for
//! something else. Never splits a line; what is too long is cut, and says so.

use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Characters of one text that are kept while it waits.
const LONGEST_TEXT: usize = 512;
/// Characters of each text in a line that would be too long otherwise.
const SHORTEST_TEXT: usize = 64;
/// Bytes of a line with its end: what a pipe takes in one piece, so that lines of several processes never mix.
pub(super) const LONGEST_LINE: usize = 4096;

/// An event that waits to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Nanoseconds since 1970.
    pub(super) at: u64,
    pub(super) level: Level,
    /// In the order in which they are recorded: `event`, `request_id`, and its own.
    pub(super) fields: Vec<(&'static str, Value)>,
    is_cut: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
}

impl Entry {
    /// Copies what `event` holds.
    pub(super) fn of(event: &Event<'_>, at: u64) -> Self {
        let level = *event.metadata().level();
        let mut entry = Self { at, level, fields: Vec::with_capacity(8), is_cut: false };
        event.record(&mut entry);
        entry
    }

    /// The line, with its end.
    pub(super) fn line(&self) -> String {
        let line = self.written(LONGEST_TEXT, self.is_cut);
        if line.len() <= LONGEST_LINE { line } else { self.written(SHORTEST_TEXT, true) }
    }

    fn written(&self, longest: usize, is_cut: bool) -> String {
        let mut line = String::with_capacity(256);
        let (time, level) = (rfc3339(self.at), self.level.as_str());
        // Writing to a String cannot fail.
        let _infallible = write!(line, "{{\"time\":\"{time}\",\"level\":\"{level}\"");
        for (name, value) in &self.fields {
            let _infallible = match value {
                Value::Text(text) => {
                    let _infallible = write!(line, ",\"{name}\":\"");
                    text.chars().take(longest).for_each(|c| escape(&mut line, c));
                    line.push('"');
                    Ok(())
                }
                Value::Number(number) => write!(line, ",\"{name}\":{number}"),
                Value::Flag(flag) => write!(line, ",\"{name}\":{flag}"),
            };
        }
        line.push_str(if is_cut { ",\"truncated\":true}\n" } else { "}\n" });
        line
    }

    fn text(&mut self, field: &Field, text: &str) {
        let mut chars = text.chars();
        let kept: String = chars.by_ref().take(LONGEST_TEXT).collect();
        self.is_cut |= chars.next().is_some();
        self.fields.push((field.name(), Value::Text(kept)));
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Value::Number(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.text(field, &value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Value::Flag(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

/// One character of a JSON string. Beyond what JSON asks for, everything that moves a cursor, ends a line for somebody or turns the
/// direction of text is written as a number.
fn escape(line: &mut String, c: char) {
    match c {
        '"' | '\\' => line.extend(['\\', c]),
        c if c.is_control() || is_invisible(c) => {
            // All of these are in the first plane.
            let _infallible = write!(line, "\\u{:04x}", u32::from(c));
        }
        c => line.push(c),
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// UTC, microseconds. The day is counted from 1 March of the year 0, when leap days come last (Hinnant, "days").
fn rfc3339(nanoseconds: u64) -> String {
    let (seconds, micros) = (nanoseconds / 1_000_000_000, nanoseconds / 1_000 % 1_000_000);
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn entry(texts: Vec<String>) -> Entry {
        const NAMES: [&str; 9] = [
            "event",
            "request_id",
            "app",
            "whom",
            "session",
            "user",
            "op_session",
            "code",
            "route",
        ];
        let texts = texts.into_iter().map(Value::Text);
        Entry {
            at: 0,
            level: Level::WARN,
            fields: NAMES.into_iter().zip(texts).collect(),
            is_cut: false,
        }
    }

    #[rstest]
    #[case(0, "1970-01-01T00:00:00.000000Z")]
    #[case(951_782_400_000_001_000, "2000-02-29T00:00:00.000001Z")]
    #[case(1_772_323_199_999_999_999, "2026-02-28T23:59:59.999999Z")]
    #[case(4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z")]
    fn times_are_utc(#[case] nanoseconds: u64, #[case] expected: &str) {
        assert_eq!(rfc3339(nanoseconds), expected);
    }

    // proves: EL-05
    #[test]
    fn the_longest_of_everything_is_one_short_line_that_says_that_it_was_cut() {
        for c in ['\u{1}', 'a', '"', '\u{1f600}', '\u{202e}'] {
            let line = entry(vec![c.to_string().repeat(LONGEST_TEXT); 9]).line();
            assert!(line.len() <= LONGEST_LINE && line.ends_with("}\n"), "{}", line.len());
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read["truncated"], true);
            assert!(read["route"].as_str().unwrap().chars().all(|seen| seen == c));
        }
    }

    proptest! {
        // proves: EL-05
        #[test]
        fn whatever_is_in_a_text_is_read_back_from_one_line_of_harmless_characters(text in "\\PC{0,80}|.{0,80}|[\\x00-\\x1f\u{7f}-\u{9f}\u{2000}-\u{206f}\"\\\\]{0,80}") {
            let line = entry(vec!["refused".to_owned(), text.clone()]).line();
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read["request_id"].as_str().unwrap(), text);
            prop_assert!(read.get("truncated").is_none());
            let body = line.strip_suffix('\n').unwrap();
            prop_assert!(!body.chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
