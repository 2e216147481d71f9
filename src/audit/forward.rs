//! The thread that sends security events to a collector, as OpenTelemetry logs. Whatever the collector does, only this thread waits
//! for it; what it does not take is counted.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tracing::Level;

use super::entry::{Entry, Value};
use super::queue::Order;
use super::writer::Ending;
use crate::telemetry::otlp::{self, AnyValue, Attribute, Resource, Scope};
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
        let body = body(self.collector.service_name(), batch);
        let sending = self.collector.deliver(body, tries, "rejectedLogRecords");
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

/// `ExportLogsServiceRequest`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_logs: [ResourceLogs<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    resource: Resource<'a>,
    scope_logs: [ScopeLogs<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    scope: Scope,
    log_records: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    time_unix_nano: String,
    severity_number: u8,
    severity_text: &'static str,
    /// The event's name.
    body: AnyValue<'a>,
    /// The fields of a line.
    attributes: Vec<Attribute<'a>>,
}

fn body(service_name: &str, batch: &[Entry]) -> Vec<u8> {
    let log_records = batch.iter().map(record).collect();
    let scope_logs = [ScopeLogs { scope: Scope::new("cloakroom.audit"), log_records }];
    let resource = Resource::new(service_name);
    otlp::body(&Request { resource_logs: [ResourceLogs { resource, scope_logs }] })
}

fn record(entry: &Entry) -> Record<'_> {
    let attributes = entry.fields.iter().map(|(key, value)| Attribute {
        key,
        value: match value {
            Value::Text(text) => AnyValue::StringValue(text),
            Value::Number(number) => AnyValue::IntValue(number.to_string()),
            Value::Flag(flag) => AnyValue::BoolValue(*flag),
        },
    });
    let event = entry.fields.iter().find_map(|(name, value)| match value {
        Value::Text(event) if *name == "event" => Some(event.as_str()),
        _ => None,
    });
    Record {
        time_unix_nano: entry.at.to_string(),
        severity_number: match entry.level {
            Level::ERROR => 17,
            Level::WARN => 13,
            _ => 9,
        },
        severity_text: entry.level.as_str(),
        body: AnyValue::StringValue(event.unwrap_or("security event")),
        attributes: attributes.collect(),
    }
}
