//! What is to hold from now on, prepared as a whole beside what holds: nothing of it is seen until all of it is ready.
//! An app that did not change stays the value that it is; one that did is built anew with what it remembers.

use std::sync::Arc;

use ipnet::IpNet;
use rustls::sign::CertifiedKey;

use super::app::{App, BuildError, Shared};
use super::live::{Live, Serving};
use super::print;
use super::provider_watch::watch_providers;
use crate::config::{AppConfig, Config, RouteConfig};
use crate::session::{Keys, KeysChanged};

/// What will hold.
pub struct Next {
    apps: Vec<Arc<App>>,
    trusted_proxies: Vec<IpNet>,
    certificate: Option<Arc<CertifiedKey>>,
    /// For apps that were there before.
    keys: Vec<(Arc<App>, Keys)>,
    /// For apps that stay.
    routes: Vec<(Arc<App>, Vec<RouteConfig>)>,
    changes: Changes,
}

/// What is different, by the ids of apps.
#[derive(Default)]
pub struct Changes {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
    pub keys: Vec<(String, KeysChanged)>,
    /// With how many there are.
    pub routes: Vec<(String, usize)>,
    /// Other proxies are believed.
    trust: bool,
    /// Browsers are shown another certificate.
    certificate: bool,
}

impl Changes {
    /// Whether all is as it was.
    pub fn is_nothing(&self) -> bool {
        let Self { added, changed, removed, keys, routes, trust, certificate } = self;
        let apps = added.is_empty() && changed.is_empty() && removed.is_empty();
        apps && keys.is_empty() && routes.is_empty() && !trust && !certificate
    }
}

impl Next {
    /// Prepares `config` in place of `before`; what a running app cannot change is left as it is and named in `waiting`.
    ///
    /// # Errors
    /// The app that cannot be built, and why.
    pub fn prepare(
        config: Config,
        before: &Serving,
        shared: &Shared,
        waiting: &mut Vec<String>,
    ) -> Result<Self, (String, BuildError)> {
        let trusted_proxies = config.server.trusted_proxies;
        // A listener speaks TLS or it does not, from its beginning on.
        let certificate = config.server.tls.filter(|_| before.certificate.is_some());
        let certificate = certificate.map(|certificate| {
            shared.metrics.certificate_ends(certificate.ends());
            certificate.certified()
        });
        let certificate = certificate.or_else(|| before.certificate.clone());
        let mut next = Self {
            changes: Changes {
                trust: trusted_proxies != before.trusted_proxies,
                certificate: certificate.as_ref().map(|one| &one.cert)
                    != before.certificate.as_ref().map(|one| &one.cert),
                ..Changes::default()
            },
            apps: Vec::with_capacity(config.apps.len()),
            trusted_proxies,
            certificate,
            keys: Vec::new(),
            routes: Vec::new(),
        };
        let is_gone = |app: &&Arc<App>| config.apps.iter().all(|new| new.id != app.id);
        let removed = before.apps.iter().filter(is_gone).map(|app| app.id.clone());
        next.changes.removed = removed.collect();
        for app in config.apps {
            let id = app.id.clone();
            let known = before.apps.iter().find(|known| known.id == id);
            next.add(app, known, shared, waiting).map_err(|reason| (id, reason))?;
        }
        Ok(next)
    }

    fn add(
        &mut self,
        mut config: AppConfig,
        before: Option<&Arc<App>>,
        shared: &Shared,
        waiting: &mut Vec<String>,
    ) -> Result<(), BuildError> {
        let Some(before) = before else {
            self.changes.added.push(config.id.clone());
            self.apps.push(Arc::new(App::build(config, shared, None)?));
            return Ok(());
        };
        // A deny file has one writer for as long as the process runs.
        if config.session.deny_file != before.deny_file {
            waiting.push(format!("session.deny_file of app {}", config.id));
            config.session.deny_file.clone_from(&before.deny_file);
        }
        let keys = before.cookies.prepare_keys(&config.session.keys)?;
        self.keys.push((Arc::clone(before), keys));
        if print::of_app(&config) == before.print {
            self.routes.push((Arc::clone(before), config.routes));
            self.apps.push(Arc::clone(before));
            return Ok(());
        }
        let (id, count) = (config.id.clone(), config.routes.len());
        let app = Arc::new(App::build(config, shared, Some(before))?);
        if !app.routes.load().is_like(&before.routes.load()) {
            self.changes.routes.push((id.clone(), count));
        }
        self.changes.changed.push(id);
        self.apps.push(app);
        Ok(())
    }

    /// Lets it hold for every request from now on; what is different.
    pub fn take(self, live: &Live, shared: &Shared) -> Changes {
        let Self { apps, trusted_proxies, certificate, keys, routes, mut changes } = self;
        for (app, keys) in keys {
            if let Some(changed) = app.cookies.install_keys(keys) {
                changes.keys.push((app.id.clone(), changed));
            }
        }
        for (app, routes) in routes {
            let count = routes.len();
            if app.routes.replace(routes, &shared.metrics) {
                changes.routes.push((app.id.clone(), count));
            }
        }
        let before = live.load();
        for app in &apps {
            watch_providers(app, &before.apps, shared);
        }
        live.replace(Serving::new(apps, trusted_proxies, certificate));
        changes
    }
}
