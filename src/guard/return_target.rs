//! Decides where a login may return to: a path of the app, never another place (AR-14, RFC 9700 §4.11.1).

/// Longest return target, bytes: it travels in a cookie and in a header.
const LONGEST: usize = 2_000;

/// The target as a path with optional query and fragment, or `None` when it could lead anywhere else.
///
/// Only printable ASCII passes: browsers drop tabs and newlines inside URLs, and read `\` as `/`. A path that starts
/// with two slashes names a host, also when one of them is percent-encoded and a router decodes it first, and dot
/// segments could remove what stands before such a pair.
pub fn return_target(wanted: &str) -> Option<String> {
    let path = wanted.split(['?', '#']).next()?;
    let printable = wanted.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if !wanted.starts_with('/') || wanted.len() > LONGEST || !printable {
        return None;
    }
    let decoded = decode_fully(path)?;
    let dot_segment = decoded.split('/').any(|segment| segment == "." || segment == "..");
    if decoded.contains("//") || decoded.contains('\\') || dot_segment {
        return None;
    }
    // A backslash or control byte hidden by encoding is nothing that a router of an app needs.
    if decoded.bytes().any(|b| b.is_ascii_control()) {
        return None;
    }
    Some(wanted.to_owned())
}

/// Decodes until nothing changes, so that no depth of encoding hides anything; `None` for what is no UTF-8.
fn decode_fully(path: &str) -> Option<String> {
    let mut now = path.to_owned();
    loop {
        let next = percent_encoding::percent_decode_str(&now).decode_utf8().ok()?.into_owned();
        if next == now {
            return Some(now);
        }
        now = next;
    }
}
