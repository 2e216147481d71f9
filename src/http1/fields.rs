//! The header fields of one message: in order, repeats kept, names in lower case. Values are slices of the head as it came.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Bytes of all names of an ordinary message; more cost an allocation.
const NAMES: usize = 320;

/// Header fields.
#[derive(Clone, Default)]
pub struct Fields {
    /// What the values are slices of.
    bytes: Bytes,
    /// All names, one after the other.
    names: String,
    lines: Vec<Line>,
    /// A bit for each name, see [`bit`]: most questions are about names that are not there.
    seen: u64,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// Where the name ends in `names`; it begins where the one before ends.
    name_end: u32,
    value_start: u32,
    value_end: u32,
}

/// Names alone: cookies and credentials are among the values.
impl fmt::Debug for Fields {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl Fields {
    /// Those that `lines` names, whose values are slices of what [`Fields::in_bytes`] gives, told as begin and end.
    pub(super) fn of<'a>(lines: impl ExactSizeIterator<Item = (&'a str, (usize, usize))>) -> Self {
        let (names, room) = (String::with_capacity(NAMES), Vec::with_capacity(lines.len()));
        let mut fields = Self { names, lines: room, ..Self::default() };
        for (name, value) in lines {
            fields.names.push_str(name);
            fields.note(name, value);
        }
        fields.names.make_ascii_lowercase();
        fields
    }

    /// What the values are slices of.
    pub(super) fn in_bytes(mut self, bytes: Bytes) -> Self {
        self.bytes = bytes;
        self
    }

    /// From names and values that are no slices of one head.
    pub fn copied<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut fields, mut bytes) = (Self::default(), BytesMut::new());
        for (name, value) in pairs {
            fields.names.push_str(name);
            let start = bytes.len();
            bytes.extend_from_slice(value);
            fields.note(name, (start, bytes.len()));
        }
        fields.names.make_ascii_lowercase();
        fields.bytes = bytes.freeze();
        fields
    }

    fn note(&mut self, name: &str, (start, end): (usize, usize)) {
        self.seen |= bit(name);
        // Heads are bounded far below 4 GiB.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.lines.push(Line {
            name_end: place(self.names.len()),
            value_start: place(start),
            value_end: place(end),
        });
    }

    /// Bytes of all names and values, and what stands between them.
    pub fn size(&self) -> usize {
        let values = self.lines.iter().map(|line| (line.value_end - line.value_start) as usize);
        self.names.len() + values.sum::<usize>() + 4 * self.lines.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let (mut rest, mut at) = (self.names.as_str(), 0);
        self.lines.iter().map(move |line| {
            let length = line.name_end - std::mem::replace(&mut at, line.name_end);
            let (name, names) = rest.split_at_checked(length as usize).unwrap_or_default();
            rest = names;
            (name, self.value(*line))
        })
    }

    /// The value of the first field of this name, given in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The same, if it is visible ASCII.
    pub fn text(&self, name: &str) -> Option<&str> {
        text(self.get(name)?)
    }

    /// The values of all fields of this name, in order.
    pub fn get_all<'a, 'b>(
        &'a self,
        name: &'b str,
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, 'b> {
        let lines = if self.seen & bit(name) == 0 { &[] } else { self.lines.as_slice() };
        let mut at = 0;
        lines.iter().filter_map(move |line| {
            let start = std::mem::replace(&mut at, line.name_end) as usize;
            let end = line.name_end as usize;
            let is_it = end - start == name.len()
                && self.names.as_bytes().get(start..end) == Some(name.as_bytes());
            is_it.then(|| self.value(*line))
        })
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn value(&self, line: Line) -> &[u8] {
        self.bytes.get(line.value_start as usize..line.value_end as usize).unwrap_or_default()
    }
}

/// One of 64 bits for a name, the same in whatever case: by its length, its first letter and its last.
fn bit(name: &str) -> u64 {
    let letter = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(byte | 0x20));
    let bytes = name.as_bytes();
    1 << ((bytes.len() * 7 + letter(bytes.first()) * 3 + letter(bytes.last())) % 64)
}

/// A value as text: visible ASCII, blanks and tabs.
pub fn text(value: &[u8]) -> Option<&str> {
    let is_text = is_plain(value) || value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    std::str::from_utf8(value).ok().filter(|_| is_text)
}

/// Whether a value is a list, separated by commas, that holds this word in whatever case (RFC 9110 §5.6.1).
pub fn lists(value: &[u8], word: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
}

/// A `Content-Length`: digits and nothing else (RFC 9110 §8.6), no sign, no list.
pub fn length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether bytes are a field's value (RFC 9110 §5.5): no control but the tab.
pub fn is_value(value: &[u8]) -> bool {
    is_plain(value) || !value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// Whether bytes are what nearly all values consist of: visible ASCII and blanks. Looks at all of them, without a way out: that is what
/// a processor does many bytes at a time.
fn is_plain(value: &[u8]) -> bool {
    let most = value.iter().fold(0, |most, byte| byte.wrapping_sub(b' ').max(most));
    most <= b'~' - b' '
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_lower_case_repeats_are_kept_and_the_first_counts() {
        let pairs: [(&str, &[u8]); 4] =
            [("Accept", b"a"), ("X-One", b"1"), ("accept", b"b"), ("x-raw", b"\xe4")];
        let fields = Fields::copied(pairs.into_iter());
        assert_eq!(fields.get("accept"), Some(b"a".as_slice()));
        assert_eq!(fields.get_all("accept").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(fields.text("x-one"), Some("1"));
        assert_eq!(fields.text("x-raw"), None);
        assert!(fields.has("x-raw") && !fields.has("x-raw2") && !fields.has("X-One"));
        let all: Vec<_> = fields.iter().map(|(name, value)| (name, value.len())).collect();
        assert_eq!(all, [("accept", 1), ("x-one", 1), ("accept", 1), ("x-raw", 1)]);
        assert_eq!(Fields::default().iter().count(), 0);
    }

    #[test]
    fn what_is_printed_of_fields_is_their_names() {
        let pairs: [(&str, &[u8]); 2] = [("Cookie", b"a=marked"), ("authorization", b"marked")];
        let fields = Fields::copied(pairs.into_iter());
        assert_eq!(format!("{fields:?}"), r#"{"cookie", "authorization"}"#);
    }

    proptest! {
        #[test]
        fn a_name_is_found_in_whatever_case_it_came_and_no_other_is(
            names in proptest::collection::vec("[A-Za-z-]{1,12}", 0..12),
            other in "[a-z-]{1,12}",
        ) {
            let fields = Fields::copied(names.iter().map(|name| (name.as_str(), name.as_bytes())));
            for name in names.iter().map(|name| name.to_ascii_lowercase()).chain([other]) {
                let same = |known: &&String| known.eq_ignore_ascii_case(&name);
                let first = names.iter().find(same).map(String::as_bytes);
                prop_assert_eq!(fields.get(&name), first);
                prop_assert_eq!(fields.get_all(&name).count(), names.iter().filter(same).count());
            }
        }

        // proves: PX-07
        #[test]
        fn a_length_is_digits(value in "[0-9]{0,22}|[+ 0-9,x-]{0,4}") {
            let is_one = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(length(value.as_bytes()), value.parse().ok().filter(|_| is_one));
        }

        // proves: PX-08
        #[test]
        fn a_value_holds_no_control_but_the_tab(
            mut value in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..70),
                proptest::collection::vec(b' '..=b'~', 0..70),
            ],
            odd in proptest::option::of((0..70_usize, any::<u8>())),
        ) {
            if let Some((at, byte)) = odd && let Some(place) = value.get_mut(at) {
                *place = byte;
            }
            let is_bad = |byte: &u8| *byte != b'\t' && (*byte < 0x20 || *byte == 0x7f);
            prop_assert_eq!(is_value(&value), !value.iter().any(is_bad));
            let is_text = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            prop_assert_eq!(text(&value).is_some(), is_text);
        }
    }
}
