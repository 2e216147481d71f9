//! Sends spans to the collector, in batches, beside everything else. A collector that is slow or away costs spans, which are
//! counted, and never a request.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, redirect, retry};
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::otlp;
use super::queue::Spans;
use super::span::Span;
use crate::clock::Clock;
use crate::config::TracingConfig;
use crate::secret::Random;
use crate::telemetry::{DropReason, Drops};

/// Spans in one request, and how long the first of them waits for others.
const MOST_SPANS: usize = 512;
const GATHER: Duration = Duration::from_secs(1);
/// Time for one request, how often it is tried, and the waits between, doubled each time (OTLP says when to: 429, 502, 503, 504).
const DEADLINE: Duration = Duration::from_secs(10);
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The most of an answer that is read, bytes.
const LARGEST_ANSWER: usize = 64 * 1024;
/// What the end of the process waits for the last spans.
const FLUSHING: Duration = Duration::from_secs(2);

/// The running exporter.
pub struct Exporter {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The exporter cannot be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("tracing: the HTTP client cannot be made, or otlp_authorization is no field value")]
pub struct ExportError;

struct Collector {
    client: Client,
    config: TracingConfig,
    authorization: Option<HeaderValue>,
    drops: Drops,
}

enum Sent {
    Done,
    /// Perhaps later: after this long, if it said so.
    Later(Option<Duration>),
    Never,
}

/// Starts sending on the current runtime, the control plane. Spans that are lost are counted in `drops`.
///
/// # Errors
/// See [`ExportError`].
pub fn start(
    config: TracingConfig,
    (clock, random): (Clock, Random),
    drops: Drops,
) -> Result<(Spans, Exporter), ExportError> {
    let client = Client::builder()
        .user_agent(concat!("cloakroom/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .map_err(|_| ExportError)?;
    let authorization = config.authorization.as_ref().map(|secret| {
        let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| ExportError)?;
        value.set_sensitive(true);
        Ok(value)
    });
    let authorization = authorization.transpose()?;
    let (spans, taken) = Spans::new(random, clock, config.per_thousand, drops.clone());
    let (end, ended) = oneshot::channel();
    let collector = Collector { client, config, authorization, drops };
    let task = tokio::spawn(collector.run(taken, ended));
    Ok((spans, Exporter { end, task }))
}

impl Exporter {
    /// Sends what still waits, if that is quick.
    pub async fn finish(self) {
        drop(self.end);
        let _late = timeout(FLUSHING, self.task).await;
    }
}

impl Collector {
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
        if batch.is_empty() {
            return;
        }
        let body = otlp::body(&self.config.service_name, batch);
        let mut wait = FIRST_WAIT;
        for attempt in 1..=tries {
            match self.post(body.clone()).await {
                Sent::Done => return,
                Sent::Later(after) if attempt < tries => {
                    sleep(after.unwrap_or(wait).min(LONGEST_WAIT)).await;
                    wait *= 2;
                }
                Sent::Later(_) | Sent::Never => break,
            }
        }
        self.drops.count(DropReason::WriteFailed, batch.len() as u64);
        tracing::warn!(spans = batch.len(), "spans were lost: the collector does not take them");
    }

    async fn post(&self, body: Vec<u8>) -> Sent {
        let mut request = self.client.post(self.config.traces.clone()).body(body);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let Ok(answer) = request.send().await else { return Sent::Later(None) };
        match answer.status().as_u16() {
            200..=299 => {
                self.count_rejected(answer).await;
                Sent::Done
            }
            429 | 502..=504 => {
                let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                Sent::Later(after.and_then(|text| text.parse().ok()).map(Duration::from_secs))
            }
            _ => Sent::Never,
        }
    }

    /// A collector may take a part and say how much it left.
    async fn count_rejected(&self, mut answer: Response) {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                return;
            }
        }
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        let rejected = told.pointer("/partialSuccess/rejectedSpans");
        let rejected = rejected.and_then(|count| match count {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        });
        if let Some(count @ 1..) = rejected {
            self.drops.count(DropReason::WriteFailed, count);
        }
    }
}
