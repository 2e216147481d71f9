//! Sends spans to the collector, in batches, beside everything else. A collector that is slow or away costs spans, which are
//! counted, and never a request.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::otlp;
use super::queue::Spans;
use super::span::Span;
use crate::clock::Clock;
use crate::config::TracingConfig;
use crate::secret::Random;
use crate::telemetry::{Collector, CollectorError, DropReason, Drops};

/// Spans in one request, and how long the first of them waits for others.
const MOST_SPANS: usize = 512;
const GATHER: Duration = Duration::from_secs(1);
/// How often a request is tried.
const TRIES: u32 = 4;
/// What the end of the process waits for the last spans.
const FLUSHING: Duration = Duration::from_secs(2);

/// The running exporter.
pub struct Exporter {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Export {
    collector: Collector,
    drops: Drops,
}

/// Starts sending on the current runtime, the control plane. Spans that are lost are counted in `drops`.
///
/// # Errors
/// See [`CollectorError`].
pub fn start(
    config: TracingConfig,
    (clock, random): (Clock, Random),
    drops: Drops,
) -> Result<(Spans, Exporter), CollectorError> {
    let TracingConfig { collector, per_thousand } = config;
    let collector = Collector::new(collector)?;
    let (spans, taken) = Spans::new(random, clock, per_thousand, drops.clone());
    let (end, ended) = oneshot::channel();
    let export = Export { collector, drops };
    let task = tokio::spawn(export.run(taken, ended));
    Ok((spans, Exporter { end, task }))
}

impl Exporter {
    /// Sends what still waits, if that is quick.
    pub async fn finish(self) {
        drop(self.end);
        let _late = timeout(FLUSHING, self.task).await;
    }
}

impl Export {
    async fn run(self, mut taken: Receiver<Span>, mut ended: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(MOST_SPANS);
        loop {
            tokio::select! {
                count = taken.recv_many(&mut batch, MOST_SPANS) => if count == 0 { return },
                _ = &mut ended => break,
            }
            let (full_at, mut is_over) = (Instant::now() + GATHER, false);
            while batch.len() < MOST_SPANS && !is_over {
                let room = MOST_SPANS - batch.len();
                tokio::select! {
                    more = timeout_at(full_at, taken.recv_many(&mut batch, room)) => {
                        if !matches!(more, Ok(1..)) { break }
                    }
                    _ = &mut ended => is_over = true,
                }
            }
            self.send(&batch, if is_over { 1 } else { TRIES }).await;
            batch.clear();
            if is_over {
                break;
            }
        }
        taken.close();
        while taken.recv_many(&mut batch, MOST_SPANS).await > 0 {
            self.send(&batch, 1).await;
            batch.clear();
        }
    }

    async fn send(&self, batch: &[Span], tries: u32) {
        let (body, all) = (otlp::body(self.collector.service_name(), batch), batch.len() as u64);
        let lost = self.collector.deliver(body, tries, "rejectedSpans").await.unwrap_or(all);
        if lost > 0 {
            self.drops.count(DropReason::WriteFailed, lost);
            tracing::warn!(spans = lost, "spans were lost: the collector does not take them");
        }
    }
}
