//! The thread that sends security events to a collector, as OpenTelemetry logs. Whatever the collector does, only this thread waits
//! for it; what it does not take is counted.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::entry::{Entry, Value};
use super::queue::Order;
use super::writer::Ending;
use crate::telemetry::{Collector, DropReason, Drops};

/// Events in one request, and how long the first of them waits for others.
const MOST_EVENTS: usize = 256;
const GATHER: Duration = Duration::from_secs(1);
/// How often a request is tried.
const TRIES: u32 = 6;

/// What the thread works with.
pub(super) struct Forwarder {
    pub orders: Receiver<Order>,
    pub collector: Collector,
    /// Of this thread alone.
    pub runtime: Runtime,
    pub drops: Drops,
    pub is_ending: Ending,
}

impl Forwarder {
    /// Sends until the stream is closed.
    pub(super) fn run(self) {
        loop {
            let mut batch = Vec::new();
            match self.orders.recv() {
                Ok(Order::Write(entry)) => batch.push(entry),
                Ok(Order::Close(done)) => return closed(&done),
                Err(_) => return,
            }
            let closing = self.gather(&mut batch);
            self.send(&batch);
            if let Some(done) = closing {
                return closed(&done);
            }
        }
    }

    /// Takes what comes within a second; whoever closes the stream ends the waiting.
    fn gather(&self, batch: &mut Vec<Entry>) -> Option<SyncSender<()>> {
        let full_at = Instant::now() + GATHER;
        while batch.len() < MOST_EVENTS {
            let left = full_at.saturating_duration_since(Instant::now());
            match self.orders.recv_timeout(left) {
                Ok(Order::Write(entry)) => batch.push(entry),
                Ok(Order::Close(done)) => return Some(done),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        None
    }

    fn send(&self, batch: &[Entry]) {
        let tries = if self.is_ending.load(Ordering::Relaxed) { 1 } else { TRIES };
        let sending = self.collector.deliver(body(batch), tries, "rejectedLogRecords");
        let lost = self.runtime.block_on(sending).unwrap_or(batch.len() as u64);
        if lost > 0 {
            self.drops.count(DropReason::WriteFailed, lost);
        }
    }
}

/// Whoever asked may have stopped waiting.
fn closed(done: &SyncSender<()>) {
    let _heard = done.send(());
}

/// `ExportLogsServiceRequest`: the body of a record is the event's name, its attributes are the fields of a line.
fn body(batch: &[Entry]) -> Vec<u8> {
    let text = |key: &str, text: &str| json!({ "key": key, "value": { "stringValue": text } });
    let records = batch.iter().map(|entry| {
        let attributes = entry.fields.iter().map(|(name, value)| match value {
            Value::Text(value) => text(name, value),
            Value::Number(value) => {
                json!({ "key": name, "value": { "intValue": value.to_string() } })
            }
            Value::Flag(value) => json!({ "key": name, "value": { "boolValue": value } }),
        });
        let event = entry.fields.iter().find_map(|(name, value)| match value {
            Value::Text(event) if *name == "event" => Some(event.as_str()),
            _ => None,
        });
        let severity = entry.level.as_str();
        json!({
            "timeUnixNano": entry.at.to_string(),
            "severityNumber": if severity == "WARN" { 13 } else { 9 },
            "severityText": severity,
            "body": { "stringValue": event.unwrap_or("security event") },
            "attributes": attributes.collect::<Vec<_>>(),
        })
    });
    let version = env!("CARGO_PKG_VERSION");
    let request = json!({ "resourceLogs": [{
        "resource": { "attributes": [text("service.name", "cloakroom"), text("service.version", version)] },
        "scopeLogs": [{
            "scope": { "name": "cloakroom.audit", "version": version },
            "logRecords": records.collect::<Vec<_>>(),
        }],
    }]});
    request.to_string().into_bytes()
}
