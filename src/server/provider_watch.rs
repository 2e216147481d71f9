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

/// Watches the providers of `app`, on the control plane; those that an app of `before` has are watched already.
pub fn watch_providers(app: &App, before: &[Arc<App>], shared: &Shared) {
    for one in app.providers.iter() {
        let is_known = |old: &Arc<App>| old.providers.iter().any(|known| Arc::ptr_eq(known, one));
        if !before.iter().any(is_known) {
            let names = (app.id.clone(), one.id.clone());
            shared.control.spawn(watch(
                Arc::downgrade(&one.provider),
                names,
                shared.metrics.clone(),
            ));
        }
    }
}

/// Watches a provider, by the ids of its app and its own, until it is gone.
async fn watch(provider: Weak<Provider>, (id, name): (String, String), metrics: Metrics) {
    let mut reported = None;
    while let Some(provider) = provider.upgrade() {
        let trouble = provider.probe().await.err().map(|error| error.code());
        drop(provider);
        metrics.provider_degraded(&id, &name, trouble.is_some());
        if reported != Some(trouble) {
            if let Some(code) = trouble {
                tracing::warn!(
                    app = id,
                    provider = name,
                    code,
                    "the authorization server is not usable; sessions go on"
                );
            } else {
                tracing::info!(app = id, provider = name, "the authorization server is usable");
            }
            reported = Some(trouble);
        }
        tokio::time::sleep(if trouble.is_some() { ALERT } else { CALM }).await;
    }
    // Nobody is to be woken for one that is gone; another one in its place soon says how it stands.
    if matches!(reported, Some(Some(_))) {
        metrics.provider_degraded(&id, &name, false);
    }
}
