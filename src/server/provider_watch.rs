//! Learns each provider's metadata and keys before the first login needs them, and keeps saying how it stands, so that an
//! outage shows in `/readyz` and in the metrics and its end does too. Never stops or delays anything.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::app::{App, Shared};
use crate::oidc::Provider;
use crate::telemetry::Metrics;

/// Between two looks at a provider that works: both answers are cached, so most looks cost nothing.
const CALM: Duration = Duration::from_secs(60);
/// Between two looks at one that does not.
const ALERT: Duration = Duration::from_secs(5);

/// Watches the provider of `app`, on the control plane.
pub fn watch_provider(app: &App, shared: &Shared) {
    let provider = Arc::downgrade(&app.provider);
    shared.control.spawn(watch(provider, app.id.clone(), shared.metrics.clone()));
}

/// Watches the provider of the app `id` until the app is gone.
async fn watch(provider: Weak<Provider>, id: String, metrics: Metrics) {
    let mut reported = None;
    while let Some(provider) = provider.upgrade() {
        let trouble = provider.probe().await.err().map(|error| error.code());
        drop(provider);
        metrics.provider_degraded(&id, trouble.is_some());
        if reported != Some(trouble) {
            if let Some(code) = trouble {
                tracing::warn!(
                    app = id,
                    code,
                    "the authorization server is not usable; sessions go on"
                );
            } else {
                tracing::info!(app = id, "the authorization server is usable");
            }
            reported = Some(trouble);
        }
        tokio::time::sleep(if trouble.is_some() { ALERT } else { CALM }).await;
    }
}
