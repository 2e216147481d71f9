//! The way from a request to the exporter: a queue with an end. Putting a span in never waits; what does not fit is counted.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::span::{Span, Trace};
use crate::clock::Clock;
use crate::secret::Random;
use crate::telemetry::{DropReason, Drops};

/// Spans that may wait: a few megabytes.
pub(super) const MOST_WAITING: usize = 8192;

/// Makes traces and takes their spans; clones share the queue.
#[derive(Clone)]
pub struct Spans {
    pub(super) random: Random,
    pub(super) clock: Clock,
    per_thousand: u16,
    waiting: Sender<Span>,
    drops: Drops,
}

impl Spans {
    /// Keeps so many traces in a thousand.
    pub(super) fn new(
        random: Random,
        clock: Clock,
        per_thousand: u16,
        drops: Drops,
    ) -> (Self, Receiver<Span>) {
        let (waiting, taken) = channel(MOST_WAITING);
        (Self { random, clock, per_thousand, waiting, drops }, taken)
    }

    /// The trace of a request that came with this `traceparent`, or without one.
    pub fn begin(&self, traceparent: Option<&[u8]>) -> Trace {
        Trace::begin(self, traceparent)
    }

    /// Whether the next trace is kept.
    pub(super) fn keeps(&self) -> bool {
        match self.per_thousand {
            0 => false,
            1000.. => true,
            // The bias of a remainder is one in millions.
            most => u32::from_be_bytes(self.random.bytes()) % 1000 < u32::from(most),
        }
    }

    pub(super) fn push(&self, span: Span) {
        if self.waiting.try_send(span).is_err() {
            self.drops.count(DropReason::QueueFull, 1);
        }
    }
}
