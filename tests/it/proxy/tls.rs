//! Upstreams over TLS: verified against the route's own authority, with our certificate where they want one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom::config::{RouteConfig, Trust};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::front::{Front, route};
use crate::support::client_hello::ClientHello;
use crate::support::hostile_upstream::ok;
use crate::support::tls::{acceptor, ca_file, file, mutual_acceptor};

/// An upstream behind TLS that answers every request, and how many it got to see.
pub async fn served(acceptor: TlsAcceptor) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let Ok(mut socket) = acceptor.accept(socket).await else { return };
                let mut buffer = [0; 16 * 1024];
                while matches!(socket.read(&mut buffer).await, Ok(count) if count > 0) {
                    counted.fetch_add(1, Ordering::SeqCst);
                    socket.write_all(&ok("over TLS")).await.unwrap();
                    socket.flush().await.unwrap();
                }
            });
        }
    });
    (address, seen)
}

/// A route to `https://localhost`, trusting as `trust` says.
fn secure(address: SocketAddr, trust: Option<Trust>) -> RouteConfig {
    let mut secure = route(address);
    secure.upstream.tls = true;
    secure.upstream.host = "localhost".to_owned();
    secure.upstream.trust = trust.map(Arc::new);
    secure
}

fn own_ca() -> Trust {
    Trust::read(Some(&ca_file())).unwrap()
}

fn with_identity() -> Trust {
    own_ca().with_identity(&file("client.pem"), &file("client.key.pem")).unwrap()
}

// proves: PX-17
#[rstest]
#[case::own_authority(acceptor("localhost"), Some(own_ca()), true)]
#[case::unknown_authority(acceptor("localhost"), None, false)]
#[case::other_authority(acceptor("localhost"), Trust::read(Some(&file("client-ca.pem"))).ok(), false)]
#[case::other_name(acceptor("elsewhere"), Some(own_ca()), false)]
#[case::wants_no_certificate(acceptor("localhost"), Some(with_identity()), true)]
#[case::wants_our_certificate(mutual_acceptor(), Some(with_identity()), true)]
#[case::wants_one_and_gets_none(mutual_acceptor(), Some(own_ca()), false)]
#[tokio::test]
async fn an_upstream_is_spoken_to_only_if_both_sides_are_verified(
    #[case] acceptor: TlsAcceptor,
    #[case] trust: Option<Trust>,
    #[case] passes: bool,
) {
    let (address, seen) = served(acceptor).await;
    let front = Front::start(secure(address, trust));
    for _ in 0..3 {
        let answer = front.call("GET /api/x", "").await;
        if passes {
            assert_eq!((answer.status, answer.text().as_str()), (200, "over TLS"));
        } else {
            assert_eq!(answer.problem(), (502, "upstream_unavailable"));
        }
    }
    assert_eq!(seen.load(Ordering::SeqCst), if passes { 3 } else { 0 });
    front.stop().await;
}

// proves: PX-17
#[tokio::test]
async fn routes_that_trust_differently_share_no_connection() {
    let (address, seen) = served(acceptor("localhost")).await;
    let mut trusting = secure(address, Some(own_ca()));
    trusting.path = "/trusting".to_owned();
    let front = Front::with(vec![trusting, secure(address, None)], 1, false);
    for _ in 0..3 {
        assert_eq!(front.call("GET /trusting", "").await.text(), "over TLS");
        assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
    }
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    front.stop().await;
}

// proves: PX-17
#[tokio::test]
async fn nothing_older_than_tls_1_2_is_offered_or_accepted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let old = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut hello = vec![0; 5];
        socket.read_exact(&mut hello).await.unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
        socket.read_exact(&mut rest).await.unwrap();
        // ServerHello of TLS 1.1: version, 32 random bytes, no session, AES-CBC, no compression.
        let mut answer = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
        answer.extend([7; 32]);
        answer.extend([0, 0, 0x2f, 0]);
        socket.write_all(&answer).await.unwrap();
        let mut after = Vec::new();
        let _reset = socket.read_to_end(&mut after).await;
        (rest, after)
    });
    let front = Front::start(secure(address, Some(own_ca())));
    assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
    let (hello, after) = old.await.unwrap();
    // supported_versions (43): TLS 1.3 and 1.2, nothing else.
    let offered = [[0, 43, 0, 5, 4, 3, 4, 3, 3], [0, 43, 0, 5, 4, 3, 3, 3, 4]];
    assert!(hello.windows(9).any(|bytes| offered.iter().any(|one| one == bytes)));
    assert!(after.starts_with(&[21]), "an alert, and nothing else: {after:?}");
    front.stop().await;
}

// proves: FA-15
#[tokio::test]
async fn an_upstream_is_offered_recommended_cipher_suites_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for trust in [None, Some(own_ca()), Some(with_identity())] {
        let front = Front::start(secure(address, trust));
        let (answer, hello) =
            tokio::join!(front.call("GET /api/x", ""), ClientHello::recorded(&listener));
        hello.assert_good();
        assert_eq!(answer.problem(), (502, "upstream_unavailable"));
        front.stop().await;
    }
}
