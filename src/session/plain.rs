//! The plain text of a sealed value, while somebody reads it. Where it stood is wiped then, and serves the next one of this thread, for
//! every call opens one. Nothing of it may be kept but what was read out.

use std::cell::Cell;

use super::xaes::TAG;
use crate::secret::Wipe as _;

/// Room that is kept, bytes: a session in one cookie.
const KEPT: usize = 4 * 1024;

thread_local! {
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What was opened, behind what says how.
pub(super) struct Plain {
    bytes: Vec<u8>,
    begin: usize,
}

impl Plain {
    /// Nothing yet; what is to be opened goes into [`Plain::room`], `begin` bytes of it before what is sealed.
    pub fn before(begin: usize) -> Self {
        let bytes = ROOM.try_with(Cell::take).unwrap_or_default();
        Self { bytes, begin }
    }

    /// Empty at first.
    pub fn room(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The text.
    pub fn expose(&self) -> &[u8] {
        let end = self.bytes.len().saturating_sub(TAG);
        self.bytes.get(self.begin..end).unwrap_or_default()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.bytes.wipe();
        if self.bytes.capacity() <= KEPT {
            let room = std::mem::take(&mut self.bytes);
            // A thread that ends has no use for it.
            let _ = ROOM.try_with(|kept| kept.set(room));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_wiped_and_its_room_serves_the_next() {
        let open = |text: &[u8]| {
            let mut plain = Plain::before(2);
            assert!(plain.expose().is_empty() && plain.room().is_empty());
            plain.room().extend_from_slice(b"id");
            plain.room().extend_from_slice(text);
            plain.room().extend_from_slice(&[0; TAG]);
            assert_eq!(plain.expose(), text);
            plain
        };
        let first = open(b"secret");
        let place = first.bytes.as_ptr();
        drop(first);
        let mut next = Plain::before(0);
        assert_eq!(next.bytes.as_ptr(), place);
        next.bytes.resize(8, 1);
        drop(next);
        let both = (open(b"one"), open(b"another at the same time"));
        drop(both);
        drop(open(&[7; KEPT]));
        assert!(Plain::before(0).bytes.capacity() <= KEPT);
    }

    #[test]
    fn what_is_shorter_than_a_tag_holds_no_text() {
        for length in 0..=TAG + 2 {
            let mut plain = Plain::before(2);
            plain.room().resize(length, 1);
            assert!(plain.expose().is_empty(), "{length}");
        }
    }
}
