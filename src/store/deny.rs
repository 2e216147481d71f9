//! Remembers which sessions have ended, so that copies of their cookies are useless (ASVS 7.4.1).
//! In memory: one instance, until restart. Never forgets an entry before its session would have ended anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;

/// Sweep for dead entries when the map has doubled since the last sweep.
const FIRST_SWEEP: usize = 1024;

/// Ended sessions by id, each until its absolute end.
#[derive(Debug)]
pub struct DenyList(Mutex<Entries>);

#[derive(Debug)]
struct Entries {
    until: HashMap<[u8; 16], Timestamp>,
    sweep_at: usize,
}

impl Default for DenyList {
    fn default() -> Self {
        Self(Mutex::new(Entries { until: HashMap::new(), sweep_at: FIRST_SWEEP }))
    }
}

impl DenyList {
    /// Ends the session `id`; `until` is its absolute end, after which no cookie of it opens anyway.
    pub fn deny(&self, id: [u8; 16], until: Timestamp, now: Timestamp) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.until.len() >= entries.sweep_at {
            entries.until.retain(|_, until| *until > now);
            entries.sweep_at = (entries.until.len() * 2).max(FIRST_SWEEP);
        }
        entries.until.insert(id, until);
    }

    /// Whether the session `id` has been ended.
    pub fn is_denied(&self, id: &[u8; 16]) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).until.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_session_stays_ended_until_its_own_end() {
        let list = DenyList::default();
        list.deny([1; 16], Timestamp(100), Timestamp(10));
        assert!(list.is_denied(&[1; 16]));
        assert!(!list.is_denied(&[2; 16]));
    }

    #[test]
    fn entries_whose_session_has_run_out_are_swept_and_live_ones_never() {
        let list = DenyList::default();
        for n in 0..2_000_u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_le_bytes());
            list.deny(id, Timestamp(u64::from(n)), Timestamp(1_000));
        }
        let entries = list.0.lock().unwrap();
        assert!(entries.until.len() < 2_000, "nothing was swept");
        assert!((1_001..2_000).all(|n: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_le_bytes());
            entries.until.contains_key(&id)
        }));
    }
}
