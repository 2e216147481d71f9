//! Brings the path of a request into one form, or refuses it. Route choice and upstream see that form and no other.
//! Never guesses: a path that two readers could understand in two ways is refused (PX-01).
//!
//! The rule:
//! 1. it starts with `/` and holds no control, no blank, no `\`, no `#`, no byte above ASCII;
//! 2. percent-encoded unreserved characters (RFC 3986 §2.3) are decoded, other triplets get upper-case digits, and
//!    what must not stand in a path (`"`, `<`, `[`, `|` …) is encoded;
//! 3. refused: encoded `/`, `\` and controls; `%25` before two hex digits or `u`, so that decoding once more reveals
//!    nothing new; triplets that are not UTF-8 (overlong forms among them);
//! 4. refused: empty segments (`//`), and segments that are only dots and blanks once a `;parameter` is taken off.
//!    A slash at the end stays.

use percent_encoding::percent_decode_str;

/// A path in its one form: absolute, without dot segments under whatever further decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath(String);

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not start with a slash")]
    NotAbsolute,
    #[error("the path holds a character that must not stand there")]
    Character,
    #[error("a percent sign is not followed by two hex digits")]
    Encoding,
    #[error("the path holds an encoded slash or backslash")]
    HiddenSeparator,
    #[error("the path is percent-encoded twice")]
    EncodedTwice,
    #[error("the path is not UTF-8")]
    NotUtf8,
    #[error("the path holds an empty segment")]
    EmptySegment,
    #[error("the path holds a dot segment")]
    DotSegment,
}

impl NormalPath {
    /// Reads the path of a request target, without query.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        // Almost every path: nothing encoded, no parameters, so only whole segments can be wrong.
        if raw.bytes().all(is_plain) {
            check_plain_segments(raw)?;
            return Ok(Self(raw.to_owned()));
        }
        let mut text = String::with_capacity(raw.len());
        let mut high = false;
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let value = octet(bytes.next(), bytes.next()).ok_or(PathError::Encoding)?;
                    high |= !value.is_ascii();
                    push_decoded(&mut text, value)?;
                }
                0..=b' ' | b'\\' | b'#' | b'?' | 0x7f.. => return Err(PathError::Character),
                _ if stands_in_a_path(byte) => text.push(char::from(byte)),
                _ => push_triplet(&mut text, byte),
            }
        }
        if is_encoded_twice(&text) {
            return Err(PathError::EncodedTwice);
        }
        if high && percent_decode_str(&text).decode_utf8().is_err() {
            return Err(PathError::NotUtf8);
        }
        check_segments(&text)?;
        Ok(Self(text))
    }

    /// The path: ASCII, starts with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn octet(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit =
        |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn push_decoded(text: &mut String, value: u8) -> Result<(), PathError> {
    match value {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            text.push(char::from(value));
        }
        b'/' | b'\\' => return Err(PathError::HiddenSeparator),
        0..b' ' | 0x7f => return Err(PathError::Character),
        _ => push_triplet(text, value),
    }
    Ok(())
}

fn push_triplet(text: &mut String, value: u8) {
    text.push_str(percent_encoding::percent_encode_byte(value));
}

/// `pchar` and `/` of RFC 3986 §3.3, the percent sign aside.
fn stands_in_a_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// What stands in a path for itself, whoever reads it.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~')
}

/// `%25` is the only way to a new percent sign, and hex digits are never encoded here: without `%25` and two hex
/// digits (or the `u` of `%u002e`) a second decoding finds nothing left to decode.
fn is_encoded_twice(text: &str) -> bool {
    text.match_indices("%25").any(|(at, _)| {
        let mut after = text.bytes().skip(at + 3);
        match (after.next(), after.next()) {
            (Some(b'u' | b'U'), _) => true,
            (Some(a), Some(b)) => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
            _ => false,
        }
    })
}

/// The same verdict as [`check_segments`] for a text without `%` triplets from outside and without `;`.
fn check_plain_segments(text: &str) -> Result<(), PathError> {
    let mut segments = text.as_bytes().split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            [] if segments.peek().is_some() => return Err(PathError::EmptySegment),
            [b'.', rest @ ..] if rest.iter().all(|byte| *byte == b'.') => {
                return Err(PathError::DotSegment);
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_segments(text: &str) -> Result<(), PathError> {
    let mut segments = text.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment.is_empty() && !is_last {
            return Err(PathError::EmptySegment);
        }
        // Java servers take `;parameters` off a segment before they resolve dots: `/..;/admin`.
        let end = [";", "%3B"].iter().filter_map(|mark| segment.find(mark)).min();
        let name = end.and_then(|end| segment.get(..end)).unwrap_or(segment);
        if name.is_empty() && end.is_some() {
            return Err(PathError::EmptySegment);
        }
        // Windows takes dots and blanks off the end of a name, so `.. ` and `...` are refused too.
        if !name.is_empty() && name.split("%20").all(|part| part.bytes().all(|b| b == b'.')) {
            return Err(PathError::DotSegment);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
