//! The one alarm of a connection. Time is moved by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::io::duplex;
use tokio::task::{LocalSet, yield_now};
use tokio::time::{Instant, advance};

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
async fn whoever_waits_is_woken_by_the_time_asked_for_and_later_calls_set_no_alarm_of_their_own() {
    LocalSet::new()
        .run_until(async {
            let (ours, _theirs) = duplex(64);
            let mut connection =
                handshake(ours, Purpose::Exchanges).await.expect("nothing is said yet");
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            let mut wait = |due| connection.is_past(due, &mut Context::from_waker(&waker));
            let began = Instant::now();
            let rung = || count.0.load(Ordering::SeqCst);
            assert!(!wait(began + SECOND * 10));
            assert!(!wait(began + SECOND * 4), "an earlier time sets it anew");
            assert!(!wait(began + SECOND * 20), "a later one finds it set");
            advance(SECOND * 3).await;
            yield_now().await;
            assert_eq!(rung(), 0);
            advance(SECOND).await;
            yield_now().await;
            assert_eq!(rung(), 1, "it rings at the earliest time that was asked for");
            assert!(!wait(began + SECOND * 20), "which was another's, so it is set again");
            advance(SECOND * 16).await;
            yield_now().await;
            assert_eq!(rung(), 2);
            assert!(wait(began + SECOND * 20));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_was_set_for_one_call_rings_for_the_call_that_waits_now() {
    LocalSet::new()
        .run_until(async {
            let (ours, _theirs) = duplex(64);
            let mut connection =
                handshake(ours, Purpose::Exchanges).await.expect("nothing is said yet");
            let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
            let due = Instant::now() + SECOND * 5;
            for count in &counts {
                let waker = Waker::from(Arc::clone(count));
                assert!(!connection.is_past(due, &mut Context::from_waker(&waker)));
            }
            advance(SECOND * 5).await;
            yield_now().await;
            assert_eq!(counts.map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
        })
        .await;
}
