//! Counts what a bounded queue could not take, or what its other end did not: never silently, and never in anybody's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Why something was lost.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum DropReason {
    QueueFull,
    WriteFailed,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct DropLabels {
    reason: DropReason,
}

/// The counters of one queue; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Drops {
    pub(super) by_reason: Family<DropLabels, Counter>,
    total: Arc<AtomicU64>,
}

impl Drops {
    /// Counts so many.
    pub fn count(&self, reason: DropReason, lost: u64) {
        self.by_reason.get_or_create(&DropLabels { reason }).inc_by(lost);
        self.total.fetch_add(lost, Ordering::Relaxed);
    }

    /// All that were lost, for whatever reason.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}
