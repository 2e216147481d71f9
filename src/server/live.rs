//! What requests are answered by at the moment, as one value that is exchanged as a whole: a request keeps the one that it
//! began with.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::app::App;
use super::pages::is_under;

/// The apps, who is believed, and what browsers are shown.
pub struct Serving {
    pub apps: Vec<Arc<App>>,
    /// The same by host; of several on one host the most specific path first.
    by_host: HashMap<String, Vec<Arc<App>>>,
    /// Peers whose `X-Forwarded-For` is believed; empty is nobody.
    pub trusted_proxies: Vec<IpNet>,
    /// `None` is plain HTTP.
    pub certificate: Option<Arc<CertifiedKey>>,
}

impl Serving {
    /// Apps whose hosts, or paths on one host, differ.
    pub fn new(
        apps: Vec<Arc<App>>,
        trusted_proxies: Vec<IpNet>,
        certificate: Option<Arc<CertifiedKey>>,
    ) -> Self {
        let mut by_host: HashMap<String, Vec<Arc<App>>> = HashMap::new();
        for app in &apps {
            by_host.entry(app.public.host.clone()).or_default().push(Arc::clone(app));
        }
        for apps in by_host.values_mut() {
            apps.sort_by_key(|app| std::cmp::Reverse(app.path.len()));
        }
        Self { apps, by_host, trusted_proxies, certificate }
    }

    /// The app that `host` (as the browser sent it) selects, and of several there the one whose path `path` is below. A path in
    /// another form than its one is refused later, whichever app that is.
    pub fn app(&self, host: Option<&str>, path: &str) -> Option<&App> {
        let host = host?;
        // Browsers write it in lower case.
        let here = self.by_host.get(host);
        let here = here.or_else(|| self.by_host.get(&host.to_ascii_lowercase()))?;
        if let [only] = here.as_slice() {
            return Some(only);
        }
        let found = here.iter().find(|app| is_under(path, &app.path));
        found.map(|app| &**app)
    }
}

/// The one that holds at the moment; clones share it.
#[derive(Clone)]
pub struct Live(Arc<ArcSwap<Serving>>);

impl Live {
    /// Begins with `serving`.
    pub fn new(serving: Serving) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(serving)))
    }

    /// That of now, for a request to keep.
    pub fn load(&self) -> Arc<Serving> {
        Guard::into_inner(self.0.load())
    }

    /// Exchanges it for every request from now on.
    pub fn replace(&self, serving: Serving) {
        self.0.store(Arc::new(serving));
    }
}

/// New connections are shown the certificate of now.
impl ResolvesServerCert for Live {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.load().certificate.clone()
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}
