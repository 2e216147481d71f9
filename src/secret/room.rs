//! The room of long secrets. Each call reads a token that is too large for the allocator's quick lists, so a thread keeps the room of those
//! that were wiped for the next ones. Never gives out a string that holds anything.

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
    static ROOMS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// An empty string with room for a secret of so many bytes.
pub fn room(bytes: usize) -> String {
    if !(LEAST..=MOST).contains(&bytes) {
        return String::with_capacity(bytes);
    }
    let kept = ROOMS.try_with(|rooms| rooms.borrow_mut().pop()).ok().flatten();
    let fits = kept.filter(|room| room.capacity() >= bytes);
    fits.unwrap_or_else(|| String::with_capacity(bytes.next_multiple_of(STEP)))
}

/// Takes the room of a secret that was wiped.
pub(super) fn keep(room: String) {
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
        let mut long = room(2_000);
        let place = long.as_ptr();
        long.push_str(&"x".repeat(2_000));
        drop(Secret::new(long));
        let next = room(1_900);
        assert_eq!((next.as_ptr(), next.as_str()), (place, ""));
        drop(Secret::new(next));
        let longer = room(3_000);
        assert!(longer.capacity() >= 3_000 && longer.is_empty());
    }

    #[test]
    fn what_is_short_or_very_long_or_too_many_is_not_kept() {
        let kept = || ROOMS.with_borrow(Vec::len);
        for bytes in [0, LEAST - 1, MOST + 1] {
            drop(Secret::new(room(bytes)));
            assert_eq!(kept(), 0, "{bytes}");
        }
        keep("not wiped".repeat(LEAST));
        assert_eq!(kept(), 0);
        let many: Vec<_> = (0..KEPT + 3).map(|_| Secret::new(room(LEAST))).collect();
        drop(many);
        assert_eq!(kept(), KEPT);
    }
}
