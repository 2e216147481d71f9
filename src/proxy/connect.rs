//! Opens a connection to an upstream: name, TCP, TLS, and HTTP in the version that the route names.
//! Never falls back: a certificate that does not verify is an error, not plain text (PX-17), and another version is none.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::error::ProxyError;
use super::multiplexed;
use super::wire::Wire;
use crate::config::{Address, Trust, Upstream};

/// As TLS names it (RFC 9113 §3.2).
const HTTP_2: &[u8] = b"h2";

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Exchanges, one after another.
    Exchanges,
    /// Exchanges, many at the same time: HTTP/2, and nothing else.
    Streams,
    /// One exchange that may end in another protocol: after a 101 the stream is handed over.
    Upgrade,
}

impl Purpose {
    /// What a connection to `upstream` is mostly opened for.
    pub fn of(upstream: &Upstream) -> Self {
        if upstream.http2 { Self::Streams } else { Self::Exchanges }
    }
}

/// TLS as `system` does it, but for what the route says about trust, identity and version.
pub fn connector(upstream: &Upstream, system: &Arc<ClientConfig>) -> TlsConnector {
    if upstream.trust.is_none() && !upstream.http2 {
        return TlsConnector::from(Arc::clone(system));
    }
    let mut config = ClientConfig::clone(system);
    // A session that was verified by other authorities, or for another version, must not be taken up again.
    config.resumption = Resumption::default();
    if upstream.http2 {
        config.alpn_protocols = vec![HTTP_2.to_vec()];
    }
    if let Some(trust) = &upstream.trust {
        apply(trust, &mut config);
    }
    TlsConnector::from(Arc::new(config))
}

fn apply(trust: &Trust, config: &mut ClientConfig) {
    if let Some(verifier) = trust.verifier() {
        // rustls's own verifier, over the configured authorities: nothing is switched off.
        config.dangerous().set_certificate_verifier(verifier);
    }
    if let Some(identity) = trust.identity() {
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
    }
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
    if purpose == Purpose::Streams && stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
        return Err(ProxyError::Invalid("the upstream does not agree on HTTP/2"));
    }
    match purpose {
        Purpose::Streams => handshake(stream, purpose).await,
        Purpose::Exchanges | Purpose::Upgrade => Ok(Connection::own(Wire::new(stream).over_tls())),
    }
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
    let tls = upstream.tls.then(|| connector(upstream, system));
    let purpose = Purpose::of(upstream);
    let tls = tls.as_ref().map(|tls| (tls, upstream.host.as_str()));
    for address in addresses(upstream) {
        let opening = timeout(limit, connect(&address, tls, purpose)).await;
        if let Err(error) = opening.unwrap_or(Err(ProxyError::Timeout)) {
            return Err((address, error));
        }
    }
    Ok(())
}

/// Speaks HTTP over `stream`.
pub async fn handshake<S>(stream: S, purpose: Purpose) -> Result<Connection, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match purpose {
        Purpose::Streams => multiplexed::handshake(stream).await.map(Connection::shared),
        Purpose::Exchanges | Purpose::Upgrade => Ok(Connection::own(Wire::new(stream))),
    }
}
