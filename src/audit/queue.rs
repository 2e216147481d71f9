//! What stands between a request and the writer of the stream: a queue with an end. Putting something in never waits; what does not
//! fit is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::entry::Entry;
use crate::clock::Clock;
use crate::telemetry::{DropReason, Drops};

/// Events that may wait to be written: some megabytes at most.
pub(super) const MOST_WAITING: usize = 4096;

/// What the writer is told.
pub(super) enum Order {
    Write(Entry),
    /// Write what came before, and say that it was done.
    Close(SyncSender<()>),
}

/// The way in; clones share it.
#[derive(Clone)]
pub(super) struct Queue {
    orders: SyncSender<Order>,
    drops: Drops,
    is_closed: Arc<AtomicBool>,
}

impl Queue {
    pub(super) fn new(room: usize, drops: Drops) -> (Self, Receiver<Order>) {
        let (orders, taken) = sync_channel(room);
        (Self { orders, drops, is_closed: Arc::default() }, taken)
    }

    /// Puts an event in, or counts it.
    pub(super) fn push(&self, entry: Entry) {
        let is_in = !self.is_closed.load(Ordering::Relaxed)
            && self.orders.try_send(Order::Write(entry)).is_ok();
        if !is_in {
            self.drops.count(DropReason::QueueFull, 1);
        }
    }

    /// Puts in that it ends here; false while there is no room for that. Nothing comes in afterwards.
    pub(super) fn close(&self, done: &SyncSender<()>) -> bool {
        self.is_closed.store(true, Ordering::Relaxed);
        self.orders.try_send(Order::Close(done.clone())).is_ok()
    }
}

/// Takes the security events out of everything that is logged.
pub(super) struct Tap {
    pub queue: Queue,
    pub clock: Clock,
}

impl<S: Subscriber> Layer<S> for Tap {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == super::TARGET {
            self.queue.push(Entry::of(event, self.clock.nanoseconds()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn what_does_not_fit_is_counted_and_nobody_waits() {
        let metrics = Metrics::default();
        let (queue, taken) = Queue::new(2, metrics.audit_drops());
        let (done, _told) = sync_channel(1);
        let subscriber = tracing_subscriber::layer::SubscriberExt::with(
            tracing_subscriber::registry(),
            Tap { queue: queue.clone(), clock: Clock::system() },
        );
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..5 {
                super::super::record(&super::super::Event::LoginStarted, "id-1");
            }
            tracing::info!("an ordinary line is none of its business");
        });
        assert!(!queue.close(&done), "there is no room to say so");
        assert_eq!(taken.try_iter().count(), 2);
        assert!(queue.close(&done));
        let text = metrics.render();
        assert!(text.contains("cloakroom_audit_dropped_total{reason=\"QueueFull\"} 3"), "{text}");
    }
}
