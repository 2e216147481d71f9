//! Digests of settings, secrets and certificate files among them, to tell whether others are others. Decides what a running
//! process cannot change. A digest never leaves the process.

use sha2::{Digest as _, Sha256};

use crate::config::{AppConfig, AuditTarget, CollectorConfig, Config, ProviderConfig};

/// Of some settings.
pub type Print = [u8; 32];

/// Of what an app is built from, but for its keys and routes, which change by themselves.
pub fn of_app(app: &AppConfig) -> Print {
    // Keys are secrets, and so are not cloned: they are taken out of the text, where they stand by their ids.
    let text = format!("{app:?}").replace(&format!("keys: {:?}", app.session.keys), "");
    let text = text.replace(&format!("routes: {:?}", app.routes), "");
    let providers = app.providers.iter().map(|provider| of_provider(provider, ""));
    providers.fold(Sha256::new().chain_update(text), Sha256::chain_update).finalize().into()
}

/// Of a provider, and where it sends browsers back to.
pub fn of_provider(provider: &ProviderConfig, redirect_uri: &str) -> Print {
    let authorities = provider.ca_file.as_ref().and_then(|file| std::fs::read(file).ok());
    Sha256::new()
        .chain_update(format!("{provider:?}{redirect_uri}"))
        .chain_update(provider.client_secret.expose())
        .chain_update(authorities.unwrap_or_default())
        .finalize()
        .into()
}

/// What only a restart takes, by name.
pub fn fixed(config: &Config) -> Vec<(&'static str, Print)> {
    let Config { server, admin, control, log, audit, tracing, redis, .. } = config;
    let password = redis.as_ref().and_then(|redis| redis.password.as_ref());
    let password = password.map(|password| Sha256::digest(password.expose()));
    let pseudonyms = audit.pseudonym_key.as_ref().map(|key| Sha256::digest(key.expose()));
    let shown = |collector: &CollectorConfig| {
        collector.authorization.as_ref().map(|secret| Sha256::digest(secret.expose()))
    };
    let collector = tracing.as_ref().map(|tracing| shown(&tracing.collector));
    let events = match &audit.target {
        AuditTarget::Otlp(collector) => shown(collector),
        _ => None,
    };
    let settings = [
        ("server.listen", format!("{:?}", server.listen)),
        ("server.tls_cert_file", format!("{}", server.tls.is_some())),
        ("server.unix_socket", format!("{:?}", server.unix_socket)),
        ("server.workers", format!("{:?}", server.workers)),
        ("server.head_timeout", format!("{:?}", server.head_timeout)),
        ("server.keepalive_timeout", format!("{:?}", server.keepalive_timeout)),
        ("server.write_timeout", format!("{:?}", server.write_timeout)),
        ("server.shutdown_timeout", format!("{:?}", server.shutdown_timeout)),
        ("admin", format!("{admin:?}")),
        ("control", format!("{control:?}")),
        ("log", format!("{log:?}")),
        ("audit", format!("{audit:?}{pseudonyms:?}{events:?}")),
        ("tracing", format!("{tracing:?}{collector:?}")),
        ("redis", format!("{redis:?}{password:?}")),
    ];
    settings.into_iter().map(|(name, text)| (name, Sha256::digest(text).into())).collect()
}

/// Of everything.
pub fn whole(config: &Config) -> Print {
    let mut hash = Sha256::new();
    for (_, print) in fixed(config) {
        hash.update(print);
    }
    hash.update(format!("{:?}{:?}", config.server.trusted_proxies, config.server.tls));
    for app in &config.apps {
        hash.update(of_app(app));
        hash.update(format!("{:?}", app.routes));
        for key in &app.session.keys {
            hash.update(key.id.as_bytes());
            hash.update([0]);
            hash.update(key.bytes.expose());
        }
    }
    hash.finalize().into()
}
