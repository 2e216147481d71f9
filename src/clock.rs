//! Tells the time to whoever decides by it.
//! Nothing else in the crate may ask the operating system for the time, so that "ten minutes later" is one line in a test.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// The longest sleep towards a point in time: clocks are set and machines are suspended meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Seconds since the Unix epoch, as every record, token and cookie of ours counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This instant plus `duration`, whole seconds, saturating.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// This instant minus `duration`, whole seconds, never before the epoch.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// Seconds from `now` to this instant; 0 when it has passed.
    pub fn seconds_after(self, now: Self) -> u64 {
        self.0.saturating_sub(now.0)
    }
}

/// A source of the current time: the system's, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<watch::Sender<u64>>),
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it; all clones move together.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(watch::Sender::new(start.0))))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(at) => Timestamp(*at.borrow()),
        }
    }

    /// The same in nanoseconds, for lines and spans that tell when something was; nothing is decided by it.
    pub fn nanoseconds(&self) -> u64 {
        match &self.0 {
            Source::System => u64::try_from(system_time().as_nanos()).unwrap_or(u64::MAX),
            Source::Manual(at) => at.borrow().saturating_mul(1_000_000_000),
        }
    }

    /// Moves a manual clock forward; the system clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(at) = &self.0 {
            at.send_modify(|at| *at = at.saturating_add(by.as_secs()));
        }
    }

    /// Waits until it is `at`, on the system's clock half a minute late at worst.
    pub async fn until(&self, at: Timestamp) {
        match &self.0 {
            Source::System => loop {
                let left = at.seconds_after(self.now());
                if left == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(left).min(LOOK_AGAIN)).await;
            },
            Source::Manual(now) => {
                // The sender is ours: it cannot go away while we wait.
                let mut now = now.subscribe();
                let _reached = now.wait_for(|now| *now >= at.0).await;
            }
        }
    }
}

fn system_now() -> Timestamp {
    Timestamp(system_time().as_secs())
}

/// Since 1970. A clock before that is broken hardware: every token then counts as not yet valid, which refuses.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system")]
fn system_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_its_clones_move_along() {
        let clock = Clock::manual(Timestamp(100));
        let clone = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(clone.now(), Timestamp(105));
    }

    #[tokio::test]
    async fn a_point_in_time_is_waited_for_on_either_clock() {
        let clock = Clock::manual(Timestamp(100));
        clock.until(Timestamp(100)).await;
        let clone = clock.clone();
        let waiter = tokio::spawn(async move { clone.until(Timestamp(160)).await });
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        clock.advance(Duration::from_secs(1));
        waiter.await.unwrap();
        let system = Clock::system();
        system.until(system.now().plus(Duration::from_secs(1))).await;
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Timestamp(u64::MAX).plus(Duration::from_secs(1)), Timestamp(u64::MAX));
        assert_eq!(Timestamp(3).minus(Duration::from_secs(10)), Timestamp(0));
        assert_eq!(Timestamp(3).seconds_after(Timestamp(10)), 0);
    }
}
