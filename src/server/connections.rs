//! Closes a browser's connection that neither serves a request nor is idle within its time: one on which the head of a
//! second or later request never ends. The first head and idle connections are limited by actix; it has no limit for these.
//! Never closes a connection whose answer is not complete.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use bytes::Bytes;
use socket2::{SockRef, Socket};
use tokio::time::{Instant, sleep};

/// A body that goes to the kernel at once, whoever reads it.
const SMALL: usize = 8 * 1024;
/// How often the connections are looked through.
const LOOK: Duration = Duration::from_secs(1);

/// All open connections of the process; clones share them.
#[derive(Clone)]
pub(super) struct Connections {
    all: Arc<Mutex<Vec<Weak<Connection>>>>,
    epoch: Instant,
}

/// One of them. Ends with the connection: it lives in what actix keeps for it.
pub(super) struct Connection {
    socket: Socket,
    epoch: Instant,
    /// Requests whose answers are not complete.
    busy: AtomicU32,
    /// Milliseconds after `epoch`: when it was opened, or the last answer was complete.
    rests_since: AtomicU64,
}

impl Connections {
    /// None yet. Those that rest for longer than `limit` will be closed, for as long as clones of the value live.
    pub fn watched(limit: Duration) -> Self {
        let new = Self { all: Arc::default(), epoch: Instant::now() };
        tokio::spawn(watch(Arc::downgrade(&new.all), new.epoch, limit));
        new
    }

    /// Takes note of a new connection; `None` if the process has no descriptor left for it.
    pub fn opened(&self, socket: &SockRef<'_>) -> Option<Arc<Connection>> {
        let socket = socket.try_clone().ok()?;
        let connection = Arc::new(Connection {
            socket,
            epoch: self.epoch,
            busy: AtomicU32::new(0),
            rests_since: AtomicU64::new(millis(self.epoch)),
        });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::downgrade(&connection));
        Some(connection)
    }
}

async fn watch(all: Weak<Mutex<Vec<Weak<Connection>>>>, epoch: Instant, limit: Duration) {
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    loop {
        sleep(LOOK).await;
        let Some(all) = all.upgrade() else { return };
        let now = millis(epoch);
        all.lock().unwrap_or_else(PoisonError::into_inner).retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            // In this order: what has just come to rest has said since when before it said so.
            let rests = connection.busy.load(Ordering::Acquire) == 0;
            let rested = now.saturating_sub(connection.rests_since.load(Ordering::Relaxed));
            if rests && rested > limit {
                // The worker reads an end of the stream, and lets go of it. One that is closed already needs nothing.
                let _ = connection.socket.shutdown(std::net::Shutdown::Both);
            }
            true
        });
    }
}

fn millis(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A request on its way through, until its answer is complete.
pub(super) struct Busy(Option<Arc<Connection>>);

impl Busy {
    /// From now on.
    pub fn with(request: &HttpRequest) -> Self {
        let connection = request.conn_data::<Arc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.busy.fetch_add(1, Ordering::Relaxed);
        }
        Self(connection)
    }

    /// Until the body has been handed over, or dropped. A small body that is there as a whole is as good as that; a large
    /// one waits in the server's buffer for as long as its reader takes.
    pub fn until_the_end_of(self, response: ServiceResponse) -> ServiceResponse {
        response.map_body(|_, body| match body.try_into_bytes() {
            Ok(bytes) if bytes.len() <= SMALL => BoxBody::new(bytes),
            Ok(bytes) => BoxBody::new(Answering { body: BoxBody::new(bytes), _busy: self }),
            Err(body) => BoxBody::new(Answering { body, _busy: self }),
        })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.rests_since.store(millis(connection.epoch), Ordering::Relaxed);
            connection.busy.fetch_sub(1, Ordering::Release);
        }
    }
}

/// The body of an answer that streams.
struct Answering {
    body: BoxBody,
    _busy: Busy,
}

impl MessageBody for Answering {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
