//! One timer for all the time limits of a connection or a body, one after the other. A limit that moves on costs nothing: the timer
//! rings early, and is set again. Decides nothing.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// Not set before somebody waits.
#[derive(Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready at `due`, or later. Until then `cx` is woken by it, whoever was before.
    pub fn poll_at(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        loop {
            // Unconstrained, for a poll that is put off would not set it.
            ready!(pin!(unconstrained(sleep.as_mut())).poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    // proves: PX-14
    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_by_the_time_asked_for_and_later_ones_set_no_timer_of_their_own()
    {
        let (mut alarm, count) = (Alarm::default(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut waits = |due| alarm.poll_at(due, &mut Context::from_waker(&waker)).is_pending();
        let began = Instant::now();
        let rung = || count.0.load(Ordering::SeqCst);
        assert!(waits(began + SECOND * 10));
        assert!(waits(began + SECOND * 4), "an earlier time sets it anew");
        assert!(waits(began + SECOND * 20), "a later one finds it set");
        advance(SECOND * 3).await;
        yield_now().await;
        assert_eq!(rung(), 0);
        advance(SECOND).await;
        yield_now().await;
        assert_eq!(rung(), 1, "it rings at the earliest time that was asked for");
        assert!(waits(began + SECOND * 20), "which was another's, so it is set again");
        advance(SECOND * 16).await;
        yield_now().await;
        assert_eq!(rung(), 2);
        assert!(!waits(began + SECOND * 20));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_set_for_somebody_rings_for_whoever_waits_now() {
        let mut alarm = Alarm::default();
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        let due = Instant::now() + SECOND * 5;
        for count in &counts {
            let waker = Waker::from(Arc::clone(count));
            assert!(alarm.poll_at(due, &mut Context::from_waker(&waker)).is_pending());
        }
        advance(SECOND * 5).await;
        yield_now().await;
        assert_eq!(counts.map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
    }
}
