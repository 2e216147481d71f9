//! The routes of one app as one value that can be exchanged while calls run: a call keeps those that it began with, and
//! connections to an upstream that did not change stay open.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use sha2::{Digest as _, Sha256};

use crate::config::RouteConfig;
use crate::proxy::RouteTable;
use crate::telemetry::Metrics;

/// What a call looks up.
pub struct Routes {
    pub table: RouteTable,
    /// The first segments of all routes, such as `/api`: nothing under them is a page of the SPA.
    pub roots: Vec<String>,
    /// Of the settings, to tell whether others are others.
    print: [u8; 32],
}

/// The routes that hold at the moment.
pub struct LiveRoutes(ArcSwap<Routes>);

impl LiveRoutes {
    /// Begins with `routes`; answers are counted in `metrics` under the name of the app.
    pub fn new(app: &str, routes: Vec<RouteConfig>, metrics: &Metrics) -> Self {
        Self(ArcSwap::from_pointee(Routes::new(app, routes, metrics)))
    }

    /// Those of now, for a call to keep.
    pub fn load(&self) -> Arc<Routes> {
        Guard::into_inner(self.0.load())
    }

    /// Exchanges them for every call from now on; whether they are others. They are exchanged in any case: certificates
    /// that they name may have changed.
    pub fn replace(&self, app: &str, routes: Vec<RouteConfig>, metrics: &Metrics) -> bool {
        let routes = Routes::new(app, routes, metrics);
        let is_other = routes.print != self.load().print;
        self.0.store(Arc::new(routes));
        is_other
    }
}

impl Routes {
    fn new(app: &str, routes: Vec<RouteConfig>, metrics: &Metrics) -> Self {
        Self {
            print: Sha256::digest(format!("{routes:?}")).into(),
            roots: routes.iter().filter_map(|route| first_segment(&route.path)).collect(),
            table: RouteTable::counted(routes, |route| metrics.answers(app, route)),
        }
    }
}

fn first_segment(path: &str) -> Option<String> {
    path.split('/').nth(1).filter(|name| !name.is_empty()).map(|name| format!("/{name}"))
}
