//! Remembers for a while what may come only once: states of logins, ids of logout tokens. In memory, with a bound; beyond it
//! nothing more is remembered, so whoever asks must not depend on this alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;

/// Sweep for dead entries when the map has doubled since the last sweep.
const FIRST_SWEEP: usize = 1024;
/// Most entries.
const MOST: usize = 1_000_000;

/// Digests, each until its time is over; clones share them.
#[derive(Clone, Debug)]
pub struct Seen(Arc<Mutex<Entries>>);

#[derive(Debug)]
struct Entries {
    until: HashMap<[u8; 16], Timestamp>,
    sweep_at: usize,
    most: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl Seen {
    /// Remembers at most `most` digests at a time.
    pub fn with_room_for(most: usize) -> Self {
        let sweep_at = FIRST_SWEEP.min(most);
        Self(Arc::new(Mutex::new(Entries { until: HashMap::new(), sweep_at, most })))
    }

    /// Whether `digest` was noted and its time is not over.
    pub fn contains(&self, digest: &[u8; 16], now: Timestamp) -> bool {
        self.lock().until.get(digest).is_some_and(|until| *until > now)
    }

    /// Notes `digest` until `until`; whether it was noted for the first time.
    pub fn note(&self, digest: [u8; 16], until: Timestamp, now: Timestamp) -> bool {
        let mut entries = self.lock();
        if entries.until.len() >= entries.sweep_at {
            entries.until.retain(|_, until| *until > now);
            entries.sweep_at = (entries.until.len() * 2).max(FIRST_SWEEP).min(entries.most);
        }
        if let Some(known) = entries.until.get_mut(&digest) {
            let first = *known <= now;
            *known = (*known).max(until);
            return first;
        }
        if entries.until.len() < entries.most {
            entries.until.insert(digest, until);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u32) -> [u8; 16] {
        let mut digest = [0; 16];
        digest[..4].copy_from_slice(&n.to_le_bytes());
        digest
    }

    #[test]
    fn what_was_noted_is_known_until_its_time_is_over() {
        let seen = Seen::default();
        assert!(seen.note(digest(1), Timestamp(100), Timestamp(10)));
        assert!(!seen.note(digest(1), Timestamp(90), Timestamp(20)));
        assert!(
            seen.contains(&digest(1), Timestamp(99)) && !seen.contains(&digest(2), Timestamp(99))
        );
        assert!(!seen.contains(&digest(1), Timestamp(100)));
        assert!(seen.note(digest(1), Timestamp(200), Timestamp(100)));
    }

    // proves: LO-12
    #[test]
    fn the_bound_holds_and_dead_entries_make_room() {
        let seen = Seen::with_room_for(10);
        for n in 0..1_000 {
            assert!(seen.note(digest(n), Timestamp(100), Timestamp(10)));
        }
        assert_eq!(seen.lock().until.len(), 10);
        assert!(seen.note(digest(5_000), Timestamp(200), Timestamp(100)));
        assert!(!seen.note(digest(5_000), Timestamp(200), Timestamp(101)));
    }
}
