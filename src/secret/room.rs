//! The room of long secrets. Each call opens a session and reads a token, both too large for the allocator's quick lists, so a thread keeps
//! the room of those that were wiped for the next ones. Never gives out what holds anything.

use std::cell::RefCell;

/// Shorter ones cost little.
const LEAST: usize = 1024;
/// Longer ones are rare.
const MOST: usize = 4 * 1024;
/// As many as there are calls at the same time on a busy worker.
const KEPT: usize = 64;
/// Rooms are made so that others of about the same length fit.
const STEP: usize = 512;

thread_local! {
    static ROOMS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Empty, with room for a secret of so many bytes.
pub fn room(bytes: usize) -> Vec<u8> {
    if !(LEAST..=MOST).contains(&bytes) {
        return Vec::with_capacity(bytes);
    }
    let kept = ROOMS.try_with(|rooms| rooms.borrow_mut().pop()).ok().flatten();
    let fits = kept.filter(|room| room.capacity() >= bytes);
    fits.unwrap_or_else(|| Vec::with_capacity(bytes.next_multiple_of(STEP)))
}

/// The same for a text.
pub fn text_room(bytes: usize) -> String {
    // Nothing is text.
    String::from_utf8(room(bytes)).unwrap_or_default()
}

/// Takes the room of a secret that was wiped.
pub(super) fn keep(room: Vec<u8>) {
    if !room.is_empty() || !(LEAST..=MOST).contains(&room.capacity()) {
        return;
    }
    // A thread that ends has no use for it.
    let _ = ROOMS.try_with(|rooms| {
        let mut rooms = rooms.borrow_mut();
        if rooms.len() < KEPT {
            rooms.push(room);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn the_room_of_a_long_secret_serves_the_next_and_is_empty() {
        let mut long = text_room(2_000);
        let place = long.as_ptr();
        long.push_str(&"x".repeat(2_000));
        drop(Secret::new(long));
        let next = room(1_900);
        assert_eq!((next.as_ptr(), next.as_slice()), (place, b"".as_slice()));
        drop(Secret::new(next));
        let longer = room(3_000);
        assert!(longer.capacity() >= 3_000 && longer.is_empty());
        let (one, another) = (room(LEAST), room(LEAST));
        assert_ne!(one.as_ptr(), another.as_ptr(), "each has its own");
    }

    #[test]
    fn what_is_short_or_very_long_or_too_many_is_not_kept() {
        let kept = || ROOMS.with_borrow(Vec::len);
        for bytes in [0, LEAST - 1, MOST + 1] {
            drop(Secret::new(room(bytes)));
            assert_eq!(kept(), 0, "{bytes}");
        }
        keep(b"not wiped".repeat(LEAST));
        assert_eq!(kept(), 0);
        let many: Vec<_> = (0..KEPT + 3).map(|_| Secret::new(room(LEAST))).collect();
        drop(many);
        assert_eq!(kept(), KEPT);
    }
}
