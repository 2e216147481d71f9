//! The open connections of one worker, by upstream: taken for one exchange, given back when its last byte was read; and
//! how many calls an upstream may have, over all workers.
//! Never crosses threads, never hands out a connection with an exchange unfinished or bytes left over.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{self, Rc};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use rustls::ClientConfig;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::connect::{Connection, Purpose, connect, connector};
use super::drain::{Drain, Ending};
use super::error::ProxyError;
use super::route::Route;
use crate::config::{Trust, Upstream};
use crate::telemetry::Metrics;

/// Idle connections kept for one upstream.
const MOST_IDLE: usize = 64;
/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// The pool of one worker; clones share it.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    /// The system's roots, no client certificate.
    tls: Arc<ClientConfig>,
    metrics: Metrics,
    drain: Drain,
    /// By the address of the route's upstream: comparing a few is faster than hashing one.
    shelves: RefCell<BTreeMap<*const Upstream, Known>>,
    is_swept: Cell<bool>,
    watcher: Rc<Watcher>,
}

/// Wakes the sweep when something happens to an idle connection.
type Watcher = RefCell<Waker>;

/// An upstream that a request asked for. The weak reference keeps its address from being given to another one.
struct Known {
    upstream: Weak<Upstream>,
    shelf: Rc<Shelf>,
}

/// The way to one upstream and its idle connections, the newest at the back.
struct Shelf {
    host: String,
    port: u16,
    trust: Option<Arc<Trust>>,
    tls: Option<TlsConnector>,
    /// The calls of all workers.
    in_flight: Gauge,
    watcher: Rc<Watcher>,
    drain: Drain,
    idle: RefCell<VecDeque<Idle>>,
}

struct Idle {
    connection: Connection,
    until: Instant,
}

/// The right to one call at an upstream, until it is dropped.
pub struct Slot {
    home: Rc<Shelf>,
}

/// A connection in use for one call. Dropped, it closes; [`Link::release`] gives it back.
pub struct Link {
    pub connection: Connection,
    pub terms: Terms,
    slot: Slot,
}

/// What holds for the rest of a call, after the head of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The longest silence inside the body.
    pub idle: Option<Duration>,
    /// When the whole call must be over.
    pub over: Option<Instant>,
    /// How long the connection is kept afterwards.
    pub keep: Duration,
    /// An event stream or a tunnel: it has no end of its own.
    pub endless: bool,
}

impl Terms {
    /// Whether the call takes longer than it may. Asks for the time only if there is a limit.
    pub fn is_over(&self) -> bool {
        self.over.is_some_and(|over| Instant::now() >= over)
    }
}

impl Pool {
    /// An empty pool; upstreams with TLS are verified by `tls` and spoken to in HTTP/1.1. What is in flight is counted
    /// in `metrics`; `drain` tells endless streams when the process goes down. All workers share both.
    pub fn new(tls: Arc<ClientConfig>, metrics: Metrics, drain: Drain) -> Self {
        let mut tls = ClientConfig::clone(&tls);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Rc::new(Inner {
            tls: Arc::new(tls),
            metrics,
            drain,
            shelves: RefCell::default(),
            is_swept: Cell::new(false),
            watcher: Rc::new(RefCell::new(Waker::noop().clone())),
        }))
    }

    /// The right to one call at the route's upstream, unless there are as many as the route allows.
    pub(super) fn enter(&self, route: &Route) -> Result<Slot, ProxyError> {
        let home = self.shelf(route.upstream());
        // The count before is another one for each who enters, so that never more than the limit pass.
        let before = home.in_flight.inc();
        let slot = Slot { home };
        if before < i64::from(route.config().max_in_flight) {
            Ok(slot)
        } else {
            Err(ProxyError::Busy)
        }
    }

    /// A connection of its own for one request that asks for another protocol.
    ///
    /// After a 101, `hyper::upgrade::on` gives the stream. Keep the [`Link`] for as long as the tunnel is open: it
    /// counts as a call in flight.
    pub(super) async fn upgradable(&self, route: &Route) -> Result<Link, ProxyError> {
        let slot = self.enter(route)?;
        let config = route.config();
        let connection = slot.home.open(config.connect_timeout, Purpose::Upgrade).await?;
        let keep = config.keepalive_timeout;
        let terms = Terms { idle: None, over: None, keep, endless: true };
        Ok(slot.link(connection, terms))
    }

    /// The shelf of `upstream`: found by address, and by comparing settings only the first time. A configuration that is
    /// read again has new addresses, and finds the connections to an upstream that did not change.
    fn shelf(&self, upstream: &Arc<Upstream>) -> Rc<Shelf> {
        let mut all = self.0.shelves.borrow_mut();
        if let Some(known) = all.get(&Arc::as_ptr(upstream)) {
            return Rc::clone(&known.shelf);
        }
        let same = all.values().find(|known| known.shelf.is_for(upstream));
        let found = match same {
            Some(known) => Rc::clone(&known.shelf),
            None => Rc::new(Shelf::new(upstream, &self.0)),
        };
        let known = Known { upstream: Arc::downgrade(upstream), shelf: Rc::clone(&found) };
        all.insert(Arc::as_ptr(upstream), known);
        if !self.0.is_swept.replace(true) {
            spawn_local(sweep(Rc::downgrade(&self.0)));
        }
        found
    }
}

impl Slot {
    /// The connection used last among the idle ones that are still good at `now`; never waits for one.
    pub fn reuse(&self, now: Instant) -> Option<Connection> {
        self.home.take(now)
    }

    /// A new connection.
    pub async fn connect(&self, deadline: Duration) -> Result<Connection, ProxyError> {
        self.home.open(deadline, Purpose::Exchanges).await
    }

    /// Ties the call to its connection.
    pub fn link(self, connection: Connection, terms: Terms) -> Link {
        Link { connection, terms, slot: self }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.home.in_flight.dec();
    }
}

impl Shelf {
    fn new(upstream: &Upstream, pool: &Inner) -> Self {
        let scheme = if upstream.tls { "https" } else { "http" };
        Self {
            host: upstream.host.clone(),
            port: upstream.port,
            trust: upstream.trust.clone(),
            tls: upstream.tls.then(|| connector(upstream.trust.as_deref(), &pool.tls)),
            in_flight: pool.metrics.in_flight(&format!("{scheme}://{}", upstream.authority)),
            watcher: Rc::clone(&pool.watcher),
            drain: pool.drain.clone(),
            idle: RefCell::default(),
        }
    }

    fn is_for(&self, upstream: &Upstream) -> bool {
        self.port == upstream.port
            && self.tls.is_some() == upstream.tls
            && self.host == upstream.host
            && self.trust == upstream.trust
    }

    async fn open(&self, deadline: Duration, purpose: Purpose) -> Result<Connection, ProxyError> {
        let opening = connect((&self.host, self.port), self.tls.as_ref(), purpose);
        timeout(deadline, opening).await.map_err(|_| ProxyError::Timeout)?
    }

    fn take(&self, now: Instant) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut newest) = idle.pop_back() {
            if newest.is_fresh(now) && newest.is_ready(&mut Context::from_waker(Waker::noop())) {
                return Some(newest.connection);
            }
        }
        None
    }

    /// Keeps the connection if its exchange is over on both sides and nothing was left over; else closes it.
    fn put(&self, connection: Connection, keep: Duration) {
        let mut added = Idle { connection, until: Instant::now() + keep };
        if !added.is_ready(&mut Context::from_waker(&self.watcher.borrow())) {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() == MOST_IDLE {
            idle.pop_front();
        }
        idle.push_back(added);
    }

    fn drop_old(&self, cx: &mut Context<'_>) {
        let now = Instant::now();
        self.idle.borrow_mut().retain_mut(|idle| idle.is_fresh(now) && idle.is_ready(cx));
    }
}

impl Idle {
    fn is_fresh(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Whether the connection waits for a request. Nobody else drives an idle one: its end, or bytes that nobody asked
    /// for, wake `cx`.
    fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.connection.drive(cx);
        self.connection.sender.is_ready()
    }
}

impl Link {
    /// Completes when a stream or tunnel over this link must end because the process goes down; `None` for a call that
    /// ends by itself.
    pub fn ending(&self) -> Option<Ending> {
        self.terms.endless.then(|| self.slot.home.drain.ending())
    }

    /// Gives the connection back, if the exchange is over on both sides and nothing was left over; else closes it.
    pub fn release(self) {
        self.slot.home.put(self.connection, self.terms.keep);
    }
}

#[cfg(test)]
impl Link {
    /// A link of no pool.
    pub fn alone(connection: Connection, terms: Terms) -> Self {
        let (host, in_flight) = ("test".to_owned(), Gauge::default());
        let (drain, idle) = (Drain::default(), RefCell::default());
        let watcher = Rc::new(RefCell::new(Waker::noop().clone()));
        let home =
            Shelf { host, port: 80, trust: None, tls: None, in_flight, watcher, drain, idle };
        Self { connection, terms, slot: Slot { home: Rc::new(home) } }
    }
}

/// Closes what has been idle too long or was closed over there, and forgets upstreams of routes that are gone, for as long
/// as the pool lives.
async fn sweep(pool: rc::Weak<Inner>) {
    let mut next = pin!(sleep(SWEEP));
    poll_fn(|cx| {
        let Some(pool) = pool.upgrade() else { return Poll::Ready(()) };
        while next.as_mut().poll(cx).is_ready() {
            next.as_mut().reset(Instant::now() + SWEEP);
        }
        pool.watcher.borrow_mut().clone_from(cx.waker());
        pool.shelves.borrow_mut().retain(|_, known| {
            known.shelf.drop_old(cx);
            known.upstream.strong_count() > 0
        });
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
pub(super) mod tests;
