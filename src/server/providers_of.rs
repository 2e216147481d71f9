//! Makes the providers of an app from its settings. One whose settings did not change stays the value that it is: what it has learned,
//! metadata and keys, and how it fares, whatever happens to the others. Uses no network.

use std::sync::Arc;

use super::app::{App, BuildError, Shared};
use super::print::{self, Print};
use crate::config::{AppConfig, ProviderConfig};
use crate::oidc::Provider;
use crate::session::Registration;
use crate::tokens::{OneProvider, Providers};

/// Those of `config`, some taken over from `before`.
pub fn providers(
    config: &AppConfig,
    shared: &Shared,
    before: Option<&App>,
) -> Result<Arc<Providers>, BuildError> {
    let one = |provider: &ProviderConfig| {
        let redirect_uri = config.url_for("/callback", provider);
        let print = print::of_provider(provider, &redirect_uri);
        let known = before.and_then(|before| {
            let mut known = before.providers.iter().zip(&before.provider_prints);
            known.find(|(_, known)| **known == print).map(|(one, _)| Arc::clone(one))
        });
        known.map_or_else(|| learning(provider, redirect_uri, shared), Ok)
    };
    let all: Result<Vec<_>, BuildError> = config.providers.iter().map(one).collect();
    Providers::new(all?).map(Arc::new).ok_or(BuildError::NoProvider)
}

/// One that has learned nothing yet.
fn learning(
    config: &ProviderConfig,
    redirect_uri: String,
    shared: &Shared,
) -> Result<Arc<OneProvider>, BuildError> {
    let provider = Provider::new(config.clone(), redirect_uri, shared.clock.clone())?;
    Ok(Arc::new(OneProvider {
        id: config.id.clone(),
        registration: Registration::of(&config.issuer, &config.client_id),
        issuer: config.issuer.clone(),
        cuts_tokens: !config.resources.is_empty(),
        is_offline: config.scopes.iter().any(|scope| scope == "offline_access"),
        provider: Arc::new(provider),
        backoff: Arc::default(),
    }))
}

/// Tells the providers of `config` from others, in their order.
pub fn prints(config: &AppConfig) -> Vec<Print> {
    let print = |one: &ProviderConfig| print::of_provider(one, &config.url_for("/callback", one));
    config.providers.iter().map(print).collect()
}
