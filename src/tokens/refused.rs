//! How often an upstream's word that a token is not valid may cost a refresh (PX-18). A broken API, which refuses every
//! token, must not turn each call of its users into a call to the authorization server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// Generations of one session that may be replaced for an upstream within [`WINDOW`].
const MOST: u32 = 3;
const WINDOW: Duration = Duration::from_secs(60);
/// More sessions than this at once are not served: every map has a bound.
const MOST_SESSIONS: usize = 100_000;
/// Sweep for old entries when the map has doubled since the last sweep.
const FIRST_SWEEP: usize = 1024;

/// The sessions whose tokens an upstream has refused lately; clones share them.
#[derive(Clone, Debug)]
pub struct RefusedTokens(Arc<Mutex<Entries>>);

#[derive(Debug)]
struct Entries {
    by_session: HashMap<[u8; 16], Entry>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    until: Timestamp,
    /// The latest generation that was refused.
    generation: u32,
    left: u32,
}

impl Default for RefusedTokens {
    fn default() -> Self {
        let entries = Entries { by_session: HashMap::new(), sweep_at: FIRST_SWEEP };
        Self(Arc::new(Mutex::new(entries)))
    }
}

impl RefusedTokens {
    /// Whether the token of `generation`, which an upstream has refused, may be replaced. Calls that were refused with the
    /// same token share one permission, as they will share the refresh.
    pub fn may_replace(&self, session: &[u8; 16], generation: u32, now: Timestamp) -> bool {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.by_session.get_mut(session).filter(|entry| entry.until > now) {
            if entry.left > 0 && entry.generation != generation {
                entry.left -= 1;
                entry.generation = generation;
            }
            return entry.left > 0;
        }
        if entries.by_session.len() >= entries.sweep_at {
            entries.by_session.retain(|_, entry| entry.until > now);
            entries.sweep_at = (entries.by_session.len() * 2).clamp(FIRST_SWEEP, MOST_SESSIONS);
            if entries.by_session.len() >= MOST_SESSIONS {
                return false;
            }
        }
        let entry = Entry { until: now.plus(WINDOW), generation, left: MOST };
        entries.by_session.insert(*session, entry);
        true
    }

    /// A token fresh from the authorization server was refused as well: more of them will not help for a while.
    pub fn fresh_was_refused(&self, session: &[u8; 16]) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.by_session.get_mut(session) {
            entry.left = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: PX-18
    #[test]
    fn a_session_gets_a_few_replacements_a_minute_and_others_are_not_in_its_way() {
        let refused = RefusedTokens::default();
        let ask = |session: u8, generation, now| {
            refused.may_replace(&[session; 16], generation, Timestamp(now))
        };
        for generation in 1..=MOST {
            for _ in 0..50 {
                assert!(ask(1, generation, 100), "one permission for all calls with one token");
            }
        }
        assert!(!ask(1, MOST + 1, 100) && !ask(1, MOST + 2, 159));
        assert!(ask(2, 1, 100), "another session");
        assert!(ask(1, MOST + 3, 160), "another minute");
    }

    // proves: PX-18
    #[test]
    fn a_fresh_token_that_is_refused_ends_it_for_a_while() {
        let refused = RefusedTokens::default();
        let ask = |generation, now| refused.may_replace(&[1; 16], generation, Timestamp(now));
        assert!(ask(1, 100));
        refused.fresh_was_refused(&[1; 16]);
        assert!(!ask(1, 101) && !ask(2, 159));
        assert!(ask(2, 160));
    }

    #[test]
    fn old_entries_are_swept_and_a_full_map_refuses() {
        let refused = RefusedTokens::default();
        let id = |n: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_le_bytes());
            id
        };
        for n in 0..3_000 {
            assert!(refused.may_replace(&id(n), 1, Timestamp(u64::from(n))));
        }
        assert!(refused.0.lock().unwrap().by_session.len() <= 2 * FIRST_SWEEP);
        let all = (0..).take(MOST_SESSIONS + 10);
        let served = all.filter(|n| refused.may_replace(&id(10_000 + n), 1, Timestamp(9_000)));
        assert_eq!(served.count(), MOST_SESSIONS);
        assert!(refused.may_replace(&id(1), 1, Timestamp(9_060)), "the next minute");
    }
}
