//! Says something to an OpenTelemetry collector, by OTLP over HTTP as JSON. Asks again when the protocol says so (429, 502, 503,
//! 504), and never for long; tells how much was not taken.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, redirect, retry};
use serde_json::Value;
use tokio::time::sleep;

use crate::config::CollectorConfig;

/// Time for one request, and the waits between, doubled each time.
const DEADLINE: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The most of an answer that is read, bytes.
const LARGEST_ANSWER: usize = 64 * 1024;

/// One collector.
pub struct Collector {
    client: Client,
    config: CollectorConfig,
    authorization: Option<HeaderValue>,
}

/// It cannot be spoken to at all.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("otlp: the HTTP client cannot be made, or otlp_authorization is no field value")]
pub struct CollectorError;

enum Sent {
    /// But for so many.
    Taken(u64),
    /// Perhaps later: after this long, if it said so.
    Later(Option<Duration>),
    Never,
}

impl Collector {
    /// Uses no network.
    ///
    /// # Errors
    /// See [`CollectorError`].
    pub fn new(config: CollectorConfig) -> Result<Self, CollectorError> {
        let client = Client::builder()
            .user_agent(concat!("cloakroom/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .timeout(DEADLINE)
            .build()
            .map_err(|_| CollectorError)?;
        let authorization = config.authorization.as_ref().map(|secret| {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| CollectorError)?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self { client, authorization: authorization.transpose()?, config })
    }

    /// As whom we speak to it.
    pub fn service_name(&self) -> &str {
        &self.config.service_name
    }

    /// Sends one request, so many times if need be. How many of its items were not taken; `None` is all of them. `rejected` is
    /// where the answer says that (`rejectedSpans`).
    pub async fn deliver(&self, body: Vec<u8>, tries: u32, rejected: &str) -> Option<u64> {
        let mut wait = FIRST_WAIT;
        for attempt in 1..=tries {
            match self.post(body.clone(), rejected).await {
                Sent::Taken(rejected) => return Some(rejected),
                Sent::Later(after) if attempt < tries => {
                    sleep(after.unwrap_or(wait).min(LONGEST_WAIT)).await;
                    wait *= 2;
                }
                Sent::Later(_) | Sent::Never => return None,
            }
        }
        None
    }

    async fn post(&self, body: Vec<u8>, rejected: &str) -> Sent {
        let mut request = self.client.post(self.config.url.clone()).body(body);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let Ok(answer) = request.send().await else { return Sent::Later(None) };
        match answer.status().as_u16() {
            200..=299 => Sent::Taken(not_taken(answer, rejected).await),
            429 | 502..=504 => {
                let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                Sent::Later(after.and_then(|text| text.parse().ok()).map(Duration::from_secs))
            }
            _ => Sent::Never,
        }
    }
}

/// A collector may take a part and say how much it left.
async fn not_taken(mut answer: Response, rejected: &str) -> u64 {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ANSWER {
            return 0;
        }
    }
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let count = told.get("partialSuccess").and_then(|partial| partial.get(rejected));
    let count = count.and_then(|count| match count {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    });
    count.unwrap_or(0)
}
