//! What requests are answered by at the moment, as one value that is exchanged as a whole: a request keeps the one that it
//! began with.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::app::App;

/// The apps, and who is believed.
pub struct Serving {
    pub apps: Vec<Arc<App>>,
    /// Peers whose `X-Forwarded-For` is believed; empty is nobody.
    pub trusted_proxies: Vec<IpNet>,
    /// What browsers are shown; `None` is plain HTTP.
    pub certificate: Option<Arc<CertifiedKey>>,
}

impl Serving {
    /// The app that `host` (as the browser sent it) selects, and of several there the one whose path `path` is below; the most
    /// specific wins. A path in another form than its one is refused later, whichever app that is.
    pub fn app(&self, host: Option<&str>, path: &str) -> Option<&App> {
        let host = host?;
        let mut here = self.apps.iter().filter(|app| app.public.host.eq_ignore_ascii_case(host));
        let first = here.next()?;
        let Some(second) = here.next() else { return Some(first) };
        let is_below = |app: &&Arc<App>| {
            let rest = path.strip_prefix(app.path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let all = [first, second].into_iter().chain(here).filter(is_below);
        all.max_by_key(|app| app.path.len()).map(|app| &**app)
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
