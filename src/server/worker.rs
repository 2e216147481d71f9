//! What each worker owns: its upstream pool and its connection to the store, which never cross threads, and its view of what all share.

use std::sync::Arc;

use ipnet::IpNet;

use super::app::{App, Shared};
use crate::edge::RequestIds;
use crate::proxy::{Drain, Pool};
use crate::store::Link;

/// One worker's own parts.
pub struct Worker {
    pub apps: Arc<Vec<App>>,
    pub pool: Pool,
    /// The way to the shared store.
    pub link: Option<Link>,
    /// The way down of the process.
    pub drain: Drain,
    pub shared: Shared,
    pub request_ids: RequestIds,
    pub trusted_proxies: Vec<IpNet>,
}

impl Worker {
    /// The app that `host` (as the browser sent it) selects.
    pub fn app(&self, host: Option<&str>) -> Option<&App> {
        let host = host?;
        self.apps.iter().find(|app| app.public.host.eq_ignore_ascii_case(host))
    }
}
