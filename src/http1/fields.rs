//! The header fields of one message: in order, repeats kept, names in lower case. Values are slices of the head as it came.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// Fields of an ordinary message; more cost an allocation.
const ORDINARY: usize = 24;
/// Bytes of all names of an ordinary message.
const NAMES: usize = 320;

/// Header fields.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// What the values are slices of.
    bytes: Bytes,
    /// All names, one after the other.
    names: String,
    lines: SmallVec<[Line; ORDINARY]>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// Where the name ends in `names`; it begins where the one before ends.
    name_end: u32,
    value_start: u32,
    value_end: u32,
}

impl Fields {
    /// Those that `lines` names, whose values are slices of what [`Fields::in_bytes`] gives, told as begin and end.
    pub(super) fn of<'a>(lines: impl Iterator<Item = (&'a str, (usize, usize))>) -> Self {
        let mut fields = Self { names: String::with_capacity(NAMES), ..Self::default() };
        for (name, value) in lines {
            fields.names.push_str(name);
            fields.note(value);
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
            fields.note((start, bytes.len()));
        }
        fields.names.make_ascii_lowercase();
        fields.bytes = bytes.freeze();
        fields
    }

    fn note(&mut self, (start, end): (usize, usize)) {
        // Heads are bounded far below 4 GiB.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.lines.push(Line {
            name_end: place(self.names.len()),
            value_start: place(start),
            value_end: place(end),
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let mut at = 0;
        self.lines.iter().map(move |line| {
            let start = std::mem::replace(&mut at, line.name_end as usize);
            let name = self.names.get(start..line.name_end as usize).unwrap_or_default();
            (name, self.value(*line))
        })
    }

    /// All of them; each value as a slice of the head, which lives on in it.
    pub fn iter_shared(&self) -> impl Iterator<Item = (&str, Bytes)> {
        let values = self.lines.iter().map(|line| {
            let end = (line.value_end as usize).min(self.bytes.len());
            self.bytes.slice((line.value_start as usize).min(end)..end)
        });
        self.iter().map(|(name, _)| name).zip(values)
    }

    /// The value of the first field of this name, given in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
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
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn value(&self, line: Line) -> &[u8] {
        self.bytes.get(line.value_start as usize..line.value_end as usize).unwrap_or_default()
    }
}

/// A value as text: visible ASCII, blanks and tabs.
pub fn text(value: &[u8]) -> Option<&str> {
    let is_text = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    std::str::from_utf8(value).ok().filter(|_| is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_repeats_are_kept_and_the_first_counts() {
        let pairs: [(&str, &[u8]); 4] =
            [("Accept", b"a"), ("X-One", b"1"), ("accept", b"b"), ("x-raw", b"\xe4")];
        let fields = Fields::copied(pairs.into_iter());
        assert_eq!(fields.len(), 4);
        assert_eq!(fields.get("accept"), Some(b"a".as_slice()));
        assert_eq!(fields.get_all("accept").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(fields.text("x-one"), Some("1"));
        assert_eq!(fields.text("x-raw"), None);
        assert!(fields.has("x-raw") && !fields.has("x-raw2") && !fields.has("X-One"));
        let shared: Vec<_> =
            fields.iter_shared().map(|(name, value)| (name, value.len())).collect();
        assert_eq!(shared, [("accept", 1), ("x-one", 1), ("accept", 1), ("x-raw", 1)]);
        assert!(Fields::default().is_empty());
    }
}
