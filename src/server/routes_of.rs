//! The routes of one app as one value that can be exchanged while calls run: a call keeps those that it began with, and
//! connections to an upstream that did not change stay open.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use sha2::{Digest as _, Sha256};

use crate::config::RouteConfig;
use crate::proxy::RouteTable;
use crate::session::RuledNames;
use crate::telemetry::Metrics;

/// What a call looks up.
pub struct Routes {
    pub table: RouteTable,
    /// The first segments of all routes below where the app lives, such as `/api`: nothing under them is a page of the SPA.
    pub roots: Vec<String>,
    /// Request fields that tell claims, of all routes: no caller sets one on any of them.
    pub claim_fields: Vec<String>,
    /// Of the settings, to tell whether others are others.
    print: [u8; 32],
}

/// The routes that hold at the moment.
pub struct LiveRoutes {
    routes: ArcSwap<Routes>,
    /// The claims that a login keeps for them.
    ruled: Arc<RuledNames>,
    app: Place,
}

/// Whose routes they are, and where that app lives.
#[derive(Clone)]
pub struct Place {
    pub id: String,
    /// `""` or `/shop`.
    pub path: String,
}

impl LiveRoutes {
    /// Begins with `routes`; answers are counted in `metrics` under the name of the app.
    pub fn new(
        app: Place,
        routes: Vec<RouteConfig>,
        metrics: &Metrics,
        ruled: Arc<RuledNames>,
    ) -> Self {
        ruled.replace(names(&routes));
        Self { routes: ArcSwap::from_pointee(Routes::new(&app, routes, metrics)), ruled, app }
    }

    /// Those of now, for a call to keep.
    pub fn load(&self) -> Arc<Routes> {
        Guard::into_inner(self.routes.load())
    }

    /// Exchanges them for every call from now on; whether they are others. They are exchanged in any case: certificates
    /// that they name may have changed.
    pub fn replace(&self, routes: Vec<RouteConfig>, metrics: &Metrics) -> bool {
        self.ruled.replace(names(&routes));
        let routes = Routes::new(&self.app, routes, metrics);
        let is_other = !routes.is_like(&self.load());
        self.routes.store(Arc::new(routes));
        is_other
    }
}

impl Routes {
    /// Whether the settings are the same.
    pub fn is_like(&self, other: &Self) -> bool {
        self.print == other.print
    }

    fn new(app: &Place, routes: Vec<RouteConfig>, metrics: &Metrics) -> Self {
        Self {
            print: Sha256::digest(format!("{routes:?}")).into(),
            claim_fields: distinct(
                routes.iter().flat_map(|route| &route.rules.fields).map(|(name, _)| name.as_str()),
            ),
            roots: routes
                .iter()
                .filter_map(|route| first_segment(&app.path, &route.path))
                .collect(),
            table: RouteTable::counted(routes, |route| metrics.answers(&app.id, route)),
        }
    }
}

fn names(routes: &[RouteConfig]) -> Vec<String> {
    distinct(routes.iter().flat_map(|route| route.rules.names()))
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().map(ToOwned::to_owned).collect()
}

/// The first segment below where the app lives.
fn first_segment(app: &str, path: &str) -> Option<String> {
    let name = path.strip_prefix(app)?.split('/').nth(1)?;
    (!name.is_empty()).then(|| format!("{app}/{name}"))
}
