//! What stands between a browser, or the proxy before us, and HTTP: TLS, and the options of sockets.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};

use super::live::Live;

/// TLS 1.2 and 1.3 with the certificate of the moment. HTTP/1.1 only: what is proved of it elsewhere holds here, too.
pub(super) fn server_tls(live: &Live) -> std::io::Result<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?;
    Ok(builder.with_no_client_auth().with_cert_resolver(Arc::new(live.clone())))
}

/// The socket under a connection, whatever is spoken over it; tuned, if it is one of TCP.
pub(super) fn socket_of(stream: &dyn Any, write_timeout: Duration) -> Option<SockRef<'_>> {
    let plain = || stream.downcast_ref::<TcpStream>();
    let tls = || stream.downcast_ref::<TlsStream<TcpStream>>().map(|stream| stream.get_ref().0);
    if let Some(stream) = plain().or_else(tls) {
        tune(stream, write_timeout);
        return Some(SockRef::from(stream));
    }
    stream.downcast_ref::<UnixStream>().map(SockRef::from)
}

/// Sets what a connection's socket needs; one that cannot be told so still works.
fn tune(stream: &TcpStream, write_timeout: Duration) {
    // The end of an answer must not wait for an acknowledgement of its beginning (40 ms).
    let _ = stream.set_nodelay(true);
    // Nobody asks for more of an answer while its reader takes nothing, so no timer of ours would notice; the kernel does.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(write_timeout));
    #[cfg(not(target_os = "linux"))]
    let _ = write_timeout;
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
        tune(&stream, limit);
        assert!(stream.nodelay().unwrap());
        let set = socket2::SockRef::from(&stream).tcp_user_timeout().unwrap();
        assert_eq!(set, Some(limit));
    }
}
