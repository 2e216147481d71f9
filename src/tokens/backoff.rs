//! Keeps a failing authorization server from being asked by every session at once (RF-13): after a run of failures nobody
//! asks for a while, then one does, and its answer decides. Says nothing of any session; whoever may not ask tries later.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// Failures in a row before anybody is held back: a few sessions of many may fail for reasons of their own.
const RUN: u32 = 10;
/// The first pause; each is twice the one before, up to the longest.
const FIRST_PAUSE: u64 = 1;
const LONGEST_PAUSE: u64 = 30;

/// How one authorization server of an app does.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Nobody asks before this.
    until: Timestamp,
    /// One asks, the others wait for its answer, until this at most.
    probe_until: Timestamp,
}

impl Backoff {
    /// Whether it may be asked at `now`. Whoever gets a yes must tell how it went.
    pub fn may_ask(&self, now: Timestamp) -> bool {
        let mut state = self.lock();
        if state.failures < RUN {
            return true;
        }
        if now < state.until || now < state.probe_until {
            return false;
        }
        // One whose task dies tells nothing: then somebody else may.
        state.probe_until = now.plus(Duration::from_secs(LONGEST_PAUSE));
        true
    }

    /// It has answered, whatever it said.
    pub fn works(&self) {
        *self.lock() = State::default();
    }

    /// It has not.
    pub fn fails(&self, now: Timestamp) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        state.probe_until = Timestamp::default();
        if let Some(doublings) = state.failures.checked_sub(RUN) {
            let pause = (FIRST_PAUSE << doublings.min(5)).min(LONGEST_PAUSE);
            state.until = now.plus(Duration::from_secs(pause));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: RF-13
    #[test]
    fn a_run_of_failures_holds_everybody_back_but_one_at_a_time() {
        let server = Backoff::default();
        for _ in 0..RUN {
            assert!(server.may_ask(Timestamp(100)));
            server.fails(Timestamp(100));
        }
        assert!(!server.may_ask(Timestamp(100)));
        for (at, pause) in [(101, 2), (103, 4), (107, 8), (115, 16), (131, 30), (161, 30)] {
            assert!(server.may_ask(Timestamp(at)), "one asks at {at}");
            assert!(!server.may_ask(Timestamp(at)), "and nobody beside it");
            server.fails(Timestamp(at));
            assert!(!server.may_ask(Timestamp(at + pause - 1)));
        }
        assert!(server.may_ask(Timestamp(191)));
        server.works();
        assert!(server.may_ask(Timestamp(191)) && server.may_ask(Timestamp(191)));
    }

    #[test]
    fn a_probe_that_never_comes_back_is_not_waited_for_for_ever() {
        let server = Backoff::default();
        for _ in 0..RUN {
            server.fails(Timestamp(100));
        }
        assert!(server.may_ask(Timestamp(101)) && !server.may_ask(Timestamp(130)));
        assert!(server.may_ask(Timestamp(131)));
    }

    #[test]
    fn single_failures_between_answers_hold_nobody_back() {
        let server = Backoff::default();
        for _ in 0..10 * RUN {
            server.fails(Timestamp(100));
            assert!(server.may_ask(Timestamp(100)));
            server.works();
        }
    }
}
