//! Opens a connection to an upstream: name, TCP, TLS, HTTP/1.1; and what drives it.
//! Never falls back: a certificate that does not verify is an error, not plain text (PX-17).

#[cfg(test)]
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::{JoinHandle, spawn_local, unconstrained};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::error::ProxyError;
use super::relay::Relay;
use super::upload::Upload;
use crate::config::{Address, Trust, Upstream};

/// The largest response head, bytes. Also bounds the read buffer of a connection.
const MOST_HEAD_BYTES: usize = 64 * 1024;

/// An open connection. Dropping it closes the connection at once, whatever is still on its way; a stream that was handed
/// over after an upgrade is no longer part of it.
///
/// Whoever waits for something on it drives it meanwhile: no other task has to be woken for each message, which is a tenth
/// of what a small call costs.
pub struct Connection {
    pub sender: SendRequest<Upload>,
    driver: Driver,
    relay: Arc<Relay>,
    /// The relay once more, as hyper wants it.
    waker: Waker,
    /// Wakes the relay; see [`Connection::is_past`].
    alarm: Option<Pin<Box<Sleep>>>,
}

/// More than any message takes; one that takes more is no reason to let others wait.
const MOST_ROUNDS: usize = 8;

enum Driver {
    /// Driven by [`Connection::drive`]; `None` once the connection has ended.
    Inline(Option<Pin<Box<dyn Future<Output = hyper::Result<()>>>>>),
    /// Driven by a task of its own.
    Task(JoinHandle<()>),
}

impl Driver {
    fn drive(&mut self, cx: &mut Context<'_>) {
        // Whoever waits for an answer gets the error; an idle connection that ends is no news.
        if let Self::Inline(open) = self
            && open.as_mut().is_some_and(|open| open.as_mut().poll(cx).is_ready())
        {
            *open = None;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Driver::Task(task) = &self.driver {
            task.abort();
        }
    }
}

impl Connection {
    /// Polls `wanted`, which waits for something on this connection, and drives the connection for it.
    pub fn poll_for<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut polling = self.relay.polling(cx);
        let mut relayed = Context::from_waker(&self.waker);
        for _ in 0..MOST_ROUNDS {
            if !polling.woken() {
                return Poll::Pending;
            }
            if let Poll::Ready(value) = wanted(&mut relayed) {
                polling.unfinished();
                return Poll::Ready(value);
            }
            // Whatever `wanted` has woken is driven now.
            polling.woken();
            self.driver.drive(&mut relayed);
        }
        // It goes on and on: others have their turn first.
        polling.unfinished();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done now; `cx` is woken when there is more to do. An idle connection that the other side closed
    /// is no longer ready afterwards.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        let _pending: Poll<()> = self.poll_for(cx, |_| Poll::Pending);
    }

    /// Lets a task of its own drive the connection from now on: for an exchange that goes on although nobody waits for it.
    pub fn detach(&mut self) {
        if let Driver::Inline(driver) = &mut self.driver
            && let Some(open) = driver.take()
        {
            self.driver = Driver::Task(spawn_local(async move {
                let _ = open.await;
            }));
        }
    }

    /// Sends `request`; the future gives the head of the answer, when it is polled by [`Connection::poll_for`].
    pub fn ask(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<>
    {
        // Whoever watches the connection while it is idle need not hear that it is used.
        self.relay.renew();
        self.sender.try_send_request(request)
    }

    /// Whether it is `due` or later. If not, whoever polls the connection is woken by then: by one alarm for all calls over
    /// this connection, which may ring early, so that a call costs no timer.
    pub fn is_past(&mut self, due: Instant) -> bool {
        let is_set = |alarm: &Pin<Box<Sleep>>| !alarm.is_elapsed() && alarm.deadline() <= due;
        if self.alarm.as_ref().is_some_and(is_set) {
            return false;
        }
        if due <= Instant::now() {
            return true;
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        alarm.as_mut().reset(due);
        // Unconstrained, for a poll that is put off would not set it.
        let mut set = pin!(unconstrained(alarm.as_mut()));
        set.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready()
    }
}

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Exchanges, one after another.
    Exchanges,
    /// One exchange that may end in another protocol: after a 101 the stream is handed over (`hyper::upgrade`).
    Upgrade,
}

/// TLS as `system` does it, but for what the route says about trust and identity.
pub fn connector(trust: Option<&Trust>, system: &Arc<ClientConfig>) -> TlsConnector {
    let Some(trust) = trust else { return TlsConnector::from(Arc::clone(system)) };
    let mut config = ClientConfig::clone(system);
    // A session that was verified by other authorities must not be taken up again.
    config.resumption = Resumption::default();
    if let Some(verifier) = trust.verifier() {
        // rustls's own verifier, over the configured authorities: nothing is switched off.
        config.dangerous().set_certificate_verifier(verifier);
    }
    if let Some(identity) = trust.identity() {
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
    }
    TlsConnector::from(Arc::new(config))
}

/// Connects to `address`, with TLS for the server `name` if there is a connector. The caller sets the deadline.
pub async fn connect(
    address: &Address,
    tls: Option<(&TlsConnector, &str)>,
    purpose: Purpose,
) -> Result<Connection, ProxyError> {
    match address {
        Address::Tcp(host, port) => {
            let opening = TcpStream::connect((host.as_str(), *port));
            let tcp = opening.await.map_err(|_| ProxyError::Connect)?;
            // Small requests must not wait for more bytes; a socket that cannot be told so still works.
            let _ = tcp.set_nodelay(true);
            over(tcp, tls, purpose).await
        }
        Address::Unix(path) => {
            let socket = UnixStream::connect(path).await.map_err(|_| ProxyError::Connect)?;
            over(socket, tls, purpose).await
        }
    }
}

async fn over<S>(
    stream: S,
    tls: Option<(&TlsConnector, &str)>,
    purpose: Purpose,
) -> Result<Connection, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some((tls, name)) = tls else {
        return handshake(stream, purpose).await;
    };
    let name = ServerName::try_from(name.to_owned()).map_err(|_| ProxyError::Tls)?;
    let stream = tls.connect(name, stream).await.map_err(|_| ProxyError::Tls)?;
    handshake(stream, purpose).await
}

/// Where an upstream is connected to: its addresses, or the one that its URL names.
pub fn addresses(upstream: &Upstream) -> Vec<Address> {
    if upstream.addresses.is_empty() {
        vec![Address::Tcp(upstream.host.clone(), upstream.port)]
    } else {
        upstream.addresses.clone()
    }
}

/// Whether an upstream can be reached as a call would reach it, at each of its addresses within `limit`; sends no request.
///
/// # Errors
/// Name or port, TLS, or time; with the address.
pub async fn reach(
    upstream: &Upstream,
    system: &Arc<ClientConfig>,
    limit: Duration,
) -> Result<(), (Address, ProxyError)> {
    let tls = upstream.tls.then(|| connector(upstream.trust.as_deref(), system));
    let tls = tls.as_ref().map(|tls| (tls, upstream.host.as_str()));
    for address in addresses(upstream) {
        let opening = timeout(limit, connect(&address, tls, Purpose::Exchanges)).await;
        if let Err(error) = opening.unwrap_or(Err(ProxyError::Timeout)) {
            return Err((address, error));
        }
    }
    Ok(())
}

/// Speaks HTTP/1.1 over `stream`.
pub async fn handshake<S>(stream: S, purpose: Purpose) -> Result<Connection, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = Builder::new()
        .max_buf_size(MOST_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ProxyError::Connect)?;
    let driver = match purpose {
        Purpose::Exchanges => Driver::Inline(Some(Box::pin(connection))),
        Purpose::Upgrade => Driver::Task(spawn_local(async move {
            let _ = connection.with_upgrades().await;
        })),
    };
    let relay = Arc::new(Relay::new());
    let waker = Waker::from(Arc::clone(&relay));
    Ok(Connection { sender, driver, relay, waker, alarm: None })
}

#[cfg(test)]
impl Connection {
    /// Drives the connection until it waits for a request.
    pub async fn ready(&mut self) {
        poll_fn(|cx| {
            self.drive(cx);
            if self.sender.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests;
