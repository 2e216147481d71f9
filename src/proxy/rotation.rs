//! Which of an upstream's addresses is next, and which are left out for a while because they cannot be connected to. Decides
//! by what has happened to calls (there are no probes); never leaves out the last one.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row, without a success between them, leave an address out.
const FAILURES: u32 = 3;
/// For how long, at first; each time is twice as long as the one before, up to the most.
const FIRST_OUT: Duration = Duration::from_secs(10);
const MOST_OUT: Duration = Duration::from_secs(120);

/// The addresses of one upstream, by number, as one worker sees them.
pub struct Rotation {
    next: Cell<usize>,
    states: Vec<Cell<State>>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// How often it was left out since it last worked.
    times_out: u32,
    until: Option<Instant>,
}

impl Rotation {
    /// `count` addresses, at least one.
    pub fn new(count: usize) -> Self {
        let states = (0..count.max(1)).map(|_| Cell::default()).collect();
        Self { next: Cell::new(0), states }
    }

    /// The address for the next call: each in turn, but for those that are left out. When all are, each in turn again.
    pub fn next(&self) -> usize {
        if self.states.len() == 1 {
            return 0;
        }
        let first = self.next.get() % self.states.len();
        let chosen = self.first_in(first, &[]).unwrap_or(first);
        self.next.set(chosen + 1);
        chosen
    }

    /// Another address for a call that has `tried` these already; one that is left out only if there is no other.
    pub fn after(&self, tried: &[usize]) -> Option<usize> {
        let last = tried.last().copied().unwrap_or(0);
        let any = || self.around(last + 1).find(|at| !tried.contains(at));
        self.first_in(last + 1, tried).or_else(any)
    }

    /// A call could not use the address; for how long it is left out, if it is from now on.
    pub fn failed(&self, at: usize) -> Option<Duration> {
        let state = self.states.get(at).filter(|_| self.states.len() > 1)?;
        let State { failures, times_out, .. } = state.get();
        let failures = failures.saturating_add(1);
        if failures < FAILURES {
            state.set(State { failures, ..state.get() });
            return None;
        }
        let out = FIRST_OUT.saturating_mul(1 << times_out.min(8)).min(MOST_OUT);
        // Once it is back, a single failure is enough.
        let (failures, times_out) = (FAILURES - 1, times_out.saturating_add(1));
        state.set(State { failures, times_out, until: Some(Instant::now() + out) });
        Some(out)
    }

    /// A call was answered from the address; whether it had been left out.
    pub fn worked(&self, at: usize) -> bool {
        let before = self.states.get(at).map(Cell::take);
        before.is_some_and(|before| before.times_out > 0)
    }

    /// The first from `from` on that is neither left out nor tried.
    fn first_in(&self, from: usize, tried: &[usize]) -> Option<usize> {
        self.around(from).find(|at| !tried.contains(at) && self.is_in(*at))
    }

    fn around(&self, from: usize) -> impl Iterator<Item = usize> {
        let count = self.states.len();
        (from..from + count).map(move |at| at % count)
    }

    fn is_in(&self, at: usize) -> bool {
        let until = self.states.get(at).and_then(|state| state.get().until);
        until.is_none_or(|until| until <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn fail(rotation: &Rotation, at: usize, times: u32) -> Option<Duration> {
        (0..times).map(|_| rotation.failed(at)).last().flatten()
    }

    fn round(rotation: &Rotation) -> Vec<usize> {
        let mut round: Vec<_> = (0..6).map(|_| rotation.next()).collect();
        round.sort_unstable();
        round
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_its_turn_and_one_that_fails_is_left_out_for_longer_and_longer() {
        let rotation = Rotation::new(3);
        assert_eq!(round(&rotation), [0, 0, 1, 1, 2, 2]);
        assert_eq!(fail(&rotation, 1, 2), None);
        assert_eq!(round(&rotation), [0, 0, 1, 1, 2, 2], "two failures are bad luck");
        assert_eq!(rotation.failed(1), Some(Duration::from_secs(10)));
        assert_eq!(round(&rotation), [0, 0, 0, 2, 2, 2]);
        let mut seconds = 10;
        for expected in [20, 40, 80, 120, 120] {
            advance(Duration::from_secs(seconds)).await;
            assert_eq!(round(&rotation), [0, 0, 1, 1, 2, 2], "it gets another chance");
            assert_eq!(rotation.failed(1), Some(Duration::from_secs(expected)), "but one only");
            seconds = expected;
        }
        assert!(rotation.worked(1), "it is back");
        assert!(!rotation.worked(1));
        assert_eq!(round(&rotation), [0, 0, 1, 1, 2, 2]);
        assert_eq!(fail(&rotation, 1, 3), Some(Duration::from_secs(10)), "forgiven");
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_keeps_an_address_in() {
        let rotation = Rotation::new(2);
        for _ in 0..5 {
            assert_eq!(fail(&rotation, 0, 2), None);
            assert!(!rotation.worked(0));
        }
        assert_eq!(round(&rotation), [0, 0, 0, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn with_all_out_each_has_its_turn_again_and_a_single_one_is_never_out() {
        let rotation = Rotation::new(2);
        fail(&rotation, 0, 3);
        fail(&rotation, 1, 3);
        assert_eq!(round(&rotation), [0, 0, 0, 1, 1, 1]);
        let single = Rotation::new(1);
        assert_eq!(fail(&single, 0, 10), None);
        assert_eq!((single.next(), single.after(&[0])), (0, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_tries_those_that_are_in_before_those_that_are_out_and_each_once() {
        let rotation = Rotation::new(4);
        fail(&rotation, 1, 3);
        assert_eq!(rotation.after(&[0]), Some(2));
        assert_eq!(rotation.after(&[0, 2]), Some(3));
        assert_eq!(rotation.after(&[0, 2, 3]), Some(1));
        assert_eq!(rotation.after(&[0, 2, 3, 1]), None);
    }
}
