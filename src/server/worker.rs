//! What each worker owns: its upstream pool and its connection to the store, which never cross threads, and its view of what all share.

use super::app::Shared;
use super::live::Live;
use crate::edge::RequestIds;
use crate::proxy::{Drain, Pool};
use crate::store::Link;

/// One worker's own parts.
pub struct Worker {
    pub live: Live,
    pub pool: Pool,
    /// The way to the shared store.
    pub link: Option<Link>,
    /// The way down of the process.
    pub drain: Drain,
    pub shared: Shared,
    pub request_ids: RequestIds,
}
