//! Passes the wake-ups of a connection on to whoever waits for it at the moment. Those that come while it is being polled
//! pass nothing on: request, connection and answer wake each other for every message, and each wake-up would
//! poll the browser's whole connection once more for nothing. Never loses one: the poller is told, and polls again. A
//! connection that nothing has woken since it was found waiting need not be polled at all, and the poller is told that
//! too: the server polls every call once more than there is news.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// The waker of one connection. All of it happens on one thread; the types ask for more.
pub struct Relay {
    target: Mutex<Waker>,
    is_muted: AtomicBool,
    /// Something may have happened since the connection was found waiting.
    is_woken: AtomicBool,
}

/// Somebody polls: wake-ups are only noted until this is dropped.
pub struct Polling<'a>(&'a Relay);

impl Relay {
    /// Wakes nobody yet, and there is something to poll.
    pub fn new() -> Self {
        Self {
            target: Mutex::new(Waker::noop().clone()),
            is_muted: AtomicBool::new(false),
            is_woken: AtomicBool::new(true),
        }
    }

    /// Somebody is about to wait for something new. Passes nothing on until the next polling is over.
    pub fn renew(&self) {
        self.is_woken.store(true, Ordering::Relaxed);
        self.is_muted.store(true, Ordering::Relaxed);
    }

    /// From the end of the polling on, wake-ups are for `cx`.
    pub fn polling(&self, cx: &Context<'_>) -> Polling<'_> {
        self.is_muted.store(true, Ordering::Relaxed);
        self.target.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
        Polling(self)
    }
}

impl Polling<'_> {
    /// Whether there was a wake-up since the last time this was asked.
    pub fn woken(&mut self) -> bool {
        self.0.is_woken.swap(false, Ordering::Relaxed)
    }

    /// The polling ends before all was found waiting: the next one has to look again.
    pub fn unfinished(self) {
        self.0.is_woken.store(true, Ordering::Relaxed);
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.is_muted.store(false, Ordering::Relaxed);
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
        if !self.is_muted.load(Ordering::Relaxed) {
            self.target.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn wake_ups_while_polling_are_told_to_the_poller_and_later_ones_to_the_target() {
        let (relay, count) = (Arc::new(Relay::new()), Arc::new(Count::default()));
        let (waker, target) = (Waker::from(Arc::clone(&relay)), Waker::from(Arc::clone(&count)));
        waker.wake_by_ref();
        let mut polling = relay.polling(&Context::from_waker(&target));
        assert!(polling.woken() && !polling.woken());
        waker.wake_by_ref();
        assert!(polling.woken() && !polling.woken());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        drop(polling);
        waker.wake_by_ref();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(
            relay.polling(&Context::from_waker(&target)).woken(),
            "and the next poller is told"
        );
        relay.renew();
        waker.wake_by_ref();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn there_is_something_to_poll_at_first_for_whoever_comes_new_and_after_a_polling_that_broke_off()
     {
        let relay = Relay::new();
        let cx = Context::from_waker(Waker::noop());
        assert!(relay.polling(&cx).woken());
        assert!(!relay.polling(&cx).woken());
        relay.renew();
        assert!(relay.polling(&cx).woken());
        relay.polling(&cx).unfinished();
        assert!(relay.polling(&cx).woken() && !relay.polling(&cx).woken());
    }
}
