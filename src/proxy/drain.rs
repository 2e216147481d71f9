//! Tells event streams and tunnels, which have no end of their own, that the process goes down.
//! Costs nothing per chunk; never touches a call that ends by itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// How far the process is on its way down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    #[default]
    Serving,
    /// No new connections; calls finish.
    Draining,
    /// Streams and tunnels end, too.
    Ending,
}

/// Completes when its stream or tunnel must end; counts it as open until it is dropped.
pub type Ending = Pin<Box<dyn Future<Output = ()>>>;

/// The way down of one process; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    phase: watch::Sender<Phase>,
    open: AtomicUsize,
}

impl Drain {
    /// Where the process is.
    pub fn phase(&self) -> Phase {
        *self.0.phase.borrow()
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.phase.send_if_modified(|now| {
            let forward = phase > *now;
            *now = phase.max(*now);
            forward
        });
    }

    /// Event streams and tunnels that are open.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Completes when the way down begins.
    pub fn begun(&self) -> impl Future<Output = ()> + use<> {
        let mut phase = self.0.phase.subscribe();
        async move {
            // A sender that is gone is a process that has gone down.
            let _draining = phase.wait_for(|now| *now != Phase::Serving).await;
        }
    }

    /// Completes when what has no end of its own must end; for what is open at no upstream, and so is not counted.
    pub fn over(&self) -> impl Future<Output = ()> + use<> {
        let mut phase = self.0.phase.subscribe();
        async move {
            // A sender that is gone is a process that has gone down.
            let _ending = phase.wait_for(|now| *now == Phase::Ending).await;
        }
    }

    /// For a stream or tunnel that opens now.
    pub(super) fn ending(&self) -> Ending {
        let open = Open::new(Arc::clone(&self.0));
        Box::pin(async move {
            let mut phase = open.0.phase.subscribe();
            // The sender is in `open`: it cannot be gone.
            let _ending = phase.wait_for(|now| *now == Phase::Ending).await;
        })
    }
}

/// One stream or tunnel that is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn streams_are_told_when_it_is_their_turn_and_never_before() {
        let drain = Drain::default();
        let mut one = drain.ending();
        let two = drain.ending();
        let mut own = Box::pin(drain.over());
        assert_eq!(drain.open(), 2, "what is not at an upstream does not count");
        drain.advance(Phase::Draining);
        assert!((&mut one).now_or_never().is_none());
        assert!((&mut own).now_or_never().is_none());
        drop(two);
        assert_eq!(drain.open(), 1);
        drain.advance(Phase::Ending);
        drain.advance(Phase::Draining);
        assert_eq!(drain.phase(), Phase::Ending, "there is no way back");
        one.await;
        own.await;
        assert_eq!(drain.open(), 0);
        drain.ending().await;
    }
}
