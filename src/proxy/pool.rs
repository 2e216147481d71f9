//! The open connections of one worker, by upstream: taken for one exchange, given back when its last byte was read; and
//! how many calls an upstream may have, over all workers.
//! Never crosses threads, never hands out a connection with an exchange unfinished or bytes left over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{self, Rc};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use rustls::ClientConfig;
use smallvec::SmallVec;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::connect::Purpose;
use super::connection::Connection;
use super::drain::{Drain, Ending};
use super::error::ProxyError;
use super::route::Route;
use super::shelf::{Shelf, Watcher};
use crate::config::Upstream;
use crate::telemetry::Metrics;

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

/// An upstream that a request asked for. The weak reference keeps its address from being given to another one.
struct Known {
    upstream: Weak<Upstream>,
    shelf: Rc<Shelf>,
}

/// The right to one call at an upstream, until it is dropped.
pub struct Slot {
    home: Rc<Shelf>,
    /// Which of the addresses it goes to.
    at: Cell<usize>,
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
    /// An empty pool; upstreams with TLS are verified by `tls`. What is in flight is counted
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
        let at = Cell::new(home.rotation.next());
        let slot = Slot { home, at };
        if before < i64::from(route.config().max_in_flight) {
            Ok(slot)
        } else {
            Err(ProxyError::Busy)
        }
    }

    /// A connection of its own for one request that asks for another protocol.
    ///
    /// After a 101, [`Connection::switch`] gives the stream. Keep the [`Link`] for as long as the tunnel is open: it
    /// counts as a call in flight.
    pub(super) async fn upgradable(&self, route: &Route) -> Result<Link, ProxyError> {
        let slot = self.enter(route)?;
        let config = route.config();
        let connection = slot.open(config.connect_timeout, Purpose::Upgrade).await?;
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
        let found = if let Some(known) = same {
            Rc::clone(&known.shelf)
        } else {
            let Inner { tls, metrics, drain, watcher, .. } = &*self.0;
            Rc::new(Shelf::new(upstream, tls, metrics, drain, watcher))
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
    /// What is kept for the upstream.
    pub fn home(&self) -> Rc<Shelf> {
        Rc::clone(&self.home)
    }

    /// The connection used last among the idle ones that are still good at `now`; never waits for one.
    pub fn reuse(&self, now: Instant) -> Option<Connection> {
        self.home.places.get(self.at.get())?.take(now)
    }

    /// A new connection; `deadline` holds for each address that is tried.
    pub async fn connect(&self, deadline: Duration) -> Result<Connection, ProxyError> {
        self.open(deadline, self.home.purpose).await
    }

    /// A new connection to the address of this call, or to the next one that takes it: nothing has been sent yet.
    async fn open(&self, deadline: Duration, purpose: Purpose) -> Result<Connection, ProxyError> {
        let mut tried = SmallVec::<[usize; 8]>::new();
        loop {
            let at = self.at.get();
            let error = match Box::pin(self.home.open(at, deadline, purpose)).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            self.failed();
            tried.push(at);
            match self.home.rotation.after(&tried) {
                Some(next) => self.at.set(next),
                None => return Err(error),
            }
        }
    }

    /// The address could not be used.
    pub fn failed(&self) {
        let (home, at) = (&self.home, self.at.get());
        let Some(out) = home.rotation.failed(at) else { return };
        let address = home.places.get(at).map(|place| place.address.to_string());
        let address = address.unwrap_or_default();
        home.metrics.ejected(&home.origin, &address);
        tracing::warn!(
            upstream = home.origin,
            address,
            seconds = out.as_secs(),
            "an address of an upstream fails and is left out for a while"
        );
    }

    /// The address has answered.
    pub fn worked(&self) {
        let (home, at) = (&self.home, self.at.get());
        if home.places.len() > 1 && home.rotation.worked(at) {
            let address = home.places.get(at).map(|place| place.address.to_string());
            tracing::info!(upstream = home.origin, address, "an address of an upstream is back");
        }
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

impl Link {
    /// Completes when a stream or tunnel over this link must end because the process goes down; `None` for a call that
    /// ends by itself.
    pub fn ending(&self) -> Option<Ending> {
        self.terms.endless.then(|| self.slot.home.drain.ending())
    }

    /// Gives the connection back, if the exchange is over on both sides and nothing was left over; else closes it.
    pub fn release(self) {
        let Slot { home, at } = &self.slot;
        if let Some(place) = home.places.get(at.get()) {
            place.put(self.connection, self.terms.keep, &home.watcher);
        }
    }
}

#[cfg(test)]
impl Link {
    /// A link of no pool.
    pub fn alone(connection: Connection, terms: Terms) -> Self {
        let home = Rc::new(Shelf::alone());
        Self { connection, terms, slot: Slot { home, at: Cell::new(0) } }
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
            for place in &known.shelf.places {
                place.drop_old(cx);
            }
            known.upstream.strong_count() > 0
        });
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
pub(super) mod tests;
