//! The way to one upstream, address by address, and the idle connections there, the newest at the back.
//! Never hands out a connection that is not ready for a request.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::connect::{Purpose, addresses, connect, connector};
use super::connection::Connection;
use super::drain::Drain;
use super::error::ProxyError;
use super::multiplexed::Multiplexed;
use super::rotation::Rotation;
use crate::config::{Address, Trust, Upstream};
use crate::secret::Wipe as _;
use crate::telemetry::Metrics;

/// Idle connections kept for one address.
pub(super) const MOST_IDLE: usize = 64;
/// Room for a head that is kept, bytes; larger ones are rare.
const MOST_ROOM: usize = 16 * 1024;
/// Larger parts are wiped by an instruction that takes its time to begin.
const WIPED_AT_ONCE: usize = 1024;

/// Wakes the sweep when something happens to an idle connection.
pub(super) type Watcher = RefCell<Waker>;

/// The way to one upstream and its idle connections.
pub(super) struct Shelf {
    /// As in the configuration, and in what is counted.
    pub(super) origin: String,
    /// What TLS verifies.
    pub(super) host: String,
    /// At least one.
    pub(super) places: Vec<Place>,
    pub(super) rotation: Rotation,
    pub(super) trust: Option<Arc<Trust>>,
    pub(super) tls: Option<TlsConnector>,
    /// Of connections for ordinary calls.
    pub(super) purpose: Purpose,
    pub(super) metrics: Metrics,
    /// The calls of all workers.
    pub(super) in_flight: Gauge,
    pub(super) watcher: Rc<Watcher>,
    pub(super) drain: Drain,
    /// Where the next head is written: what the last one that was sent stood in.
    room: Cell<Vec<u8>>,
}

/// One address of an upstream and the idle connections to it, the newest at the back.
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) idle: RefCell<VecDeque<Idle>>,
    /// Connections that many calls share, whether idle or not.
    pub(super) shared: RefCell<Vec<Rc<Multiplexed>>>,
}

pub(super) struct Idle {
    pub(super) connection: Connection,
    pub(super) until: Instant,
}

impl Shelf {
    /// An empty one; TLS is as `system` does it, but for what the upstream's own says.
    pub(super) fn new(
        upstream: &Upstream,
        system: &Arc<ClientConfig>,
        metrics: &Metrics,
        drain: &Drain,
        watcher: &Rc<Watcher>,
    ) -> Self {
        let scheme = if upstream.tls { "https" } else { "http" };
        let origin = format!("{scheme}://{}", upstream.authority);
        let places: Vec<Place> = addresses(upstream).into_iter().map(Place::new).collect();
        Self {
            host: upstream.host.clone(),
            rotation: Rotation::new(places.len()),
            places,
            trust: upstream.trust.clone(),
            tls: upstream.tls.then(|| connector(upstream, system)),
            purpose: Purpose::of(upstream),
            in_flight: metrics.in_flight(&origin),
            metrics: metrics.clone(),
            watcher: Rc::clone(watcher),
            drain: drain.clone(),
            room: Cell::default(),
            origin,
        }
    }

    /// Room for a head.
    pub(super) fn room(&self) -> Vec<u8> {
        self.room.take()
    }

    /// Takes the room of a head back that was sent: a token stood there, and nobody knows how long it is until the next.
    pub(super) fn keep_room(&self, mut room: Vec<u8>) {
        if room.capacity() > MOST_ROOM {
            return room.wipe();
        }
        room.chunks_mut(WIPED_AT_ONCE).for_each(|part| part.fill(0));
        room.clear();
        self.room.set(room);
    }

    pub(super) fn is_for(&self, upstream: &Upstream) -> bool {
        self.tls.is_some() == upstream.tls
            && self.host == upstream.host
            && self.purpose == Purpose::of(upstream)
            && self.trust == upstream.trust
            && self.places.iter().map(|place| &place.address).eq(&addresses(upstream))
    }

    pub(super) async fn open(
        &self,
        at: usize,
        deadline: Duration,
        purpose: Purpose,
    ) -> Result<Connection, ProxyError> {
        let place = self.places.get(at).ok_or(ProxyError::Connect)?;
        let tls = self.tls.as_ref().map(|tls| (tls, self.host.as_str()));
        let opening = connect(&place.address, tls, purpose);
        let opened = timeout(deadline, opening).await.map_err(|_| ProxyError::Timeout)??;
        if let Some(stream) = opened.stream() {
            place.shared.borrow_mut().push(Rc::clone(stream.connection()));
        }
        Ok(opened)
    }
}

impl Place {
    pub(super) fn new(address: Address) -> Self {
        Self { address, idle: RefCell::default(), shared: RefCell::default() }
    }

    /// One that is good at `now` for a call, if there is one.
    pub(super) fn take(&self, now: Instant) -> Option<Connection> {
        if let Some(stream) = self.shared.borrow().iter().find_map(|shared| shared.stream(now)) {
            return Some(Connection::shared(stream));
        }
        let mut idle = self.idle.borrow_mut();
        while let Some(mut newest) = idle.pop_back() {
            if newest.is_fresh(now) && newest.is_ready(&mut Context::from_waker(Waker::noop())) {
                return Some(newest.connection);
            }
        }
        None
    }

    /// Keeps the connection if its exchange is over on both sides and nothing was left over; else closes it.
    pub(super) fn put(&self, connection: Connection, keep: Duration, watcher: &Watcher) {
        let Some(connection) = connection.finish(keep) else { return };
        let mut added = Idle { connection, until: Instant::now() + keep };
        if !added.is_ready(&mut Context::from_waker(&watcher.borrow())) {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() == MOST_IDLE {
            idle.pop_front();
        }
        idle.push_back(added);
    }

    pub(super) fn drop_old(&self, cx: &mut Context<'_>) {
        let now = Instant::now();
        self.shared.borrow_mut().retain(|shared| shared.is_kept(now));
        self.idle.borrow_mut().retain_mut(|idle| idle.is_fresh(now) && idle.is_ready(cx));
    }
}

impl Idle {
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Whether the connection waits for a request. Nobody else drives an idle one: its end, or bytes that nobody asked
    /// for, wake `cx`.
    pub(super) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.connection.is_ready(cx)
    }
}

#[cfg(test)]
impl Shelf {
    /// The shelf of no upstream.
    pub(super) fn alone() -> Self {
        let host = "test".to_owned();
        Self {
            origin: "http://test".to_owned(),
            places: vec![Place::new(Address::Tcp(host.clone(), 80))],
            host,
            rotation: Rotation::new(1),
            trust: None,
            tls: None,
            purpose: Purpose::Exchanges,
            metrics: Metrics::default(),
            in_flight: Gauge::default(),
            watcher: Rc::new(RefCell::new(Waker::noop().clone())),
            drain: Drain::default(),
            room: Cell::default(),
        }
    }
}
