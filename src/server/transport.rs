//! What stands between a browser, or the proxy before us, and HTTP: TLS, and the options of sockets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::live::Live;

/// TLS 1.2 and 1.3 with the certificate of the moment. HTTP/1.1 only: what is proved of it elsewhere holds here, too.
pub(super) fn server_tls(live: &Live) -> std::io::Result<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?;
    let mut tls = builder.with_no_client_auth().with_cert_resolver(Arc::new(live.clone()));
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

/// What HTTP is spoken over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Sets what the socket under it needs; one that cannot be told so still works.
    fn tune(&self, write_timeout: Duration);
    /// Who is on the other end, where that is an address.
    fn peer(&self) -> Option<IpAddr>;
    /// When it closes, the other end cannot take that for the end of what was sent.
    fn reset(&self);
}

impl Transport for TcpStream {
    fn tune(&self, write_timeout: Duration) {
        // The end of an answer must not wait for an acknowledgement of its beginning (40 ms).
        let _ = self.set_nodelay(true);
        // Nobody asks for more of an answer while its reader takes nothing, so no timer of ours would notice; the kernel does.
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(self).set_tcp_user_timeout(Some(write_timeout));
        #[cfg(not(target_os = "linux"))]
        let _ = write_timeout;
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer_addr().ok().map(|address| address.ip())
    }

    fn reset(&self) {
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Transport for TlsStream<TcpStream> {
    fn tune(&self, write_timeout: Duration) {
        self.get_ref().0.tune(write_timeout);
    }

    fn peer(&self) -> Option<IpAddr> {
        self.get_ref().0.peer()
    }

    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

impl Transport for UnixStream {
    fn tune(&self, _: Duration) {}

    fn peer(&self) -> Option<IpAddr> {
        None
    }

    fn reset(&self) {}
}

#[cfg(test)]
impl Transport for tokio::io::DuplexStream {
    fn tune(&self, _: Duration) {}

    fn peer(&self) -> Option<IpAddr> {
        None
    }

    fn reset(&self) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    // proves: PX-14
    #[tokio::test]
    async fn sockets_send_at_once_and_give_up_a_reader_that_takes_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let limit = Duration::from_secs(7);
        stream.tune(limit);
        assert!(stream.nodelay().unwrap());
        let set = socket2::SockRef::from(&stream).tcp_user_timeout().unwrap();
        assert_eq!(set, Some(limit));
    }
}
