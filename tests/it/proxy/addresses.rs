//! Upstreams with several addresses, and on Unix sockets: each has its turn, and one that is away costs no call.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom::config::{Address, RouteConfig, Trust};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::front::{Front, route};
use super::tls::served;
use crate::support::hostile_upstream::{HostileUpstream, Step, ok};
use crate::support::port::free_port;
use crate::support::tls::{acceptor, ca_file};

fn tcp(port: u16) -> Address {
    Address::Tcp("127.0.0.1".to_owned(), port)
}

/// A route whose URL names nobody, to these addresses.
fn to(addresses: Vec<Address>) -> RouteConfig {
    let mut config = route("127.0.0.1:9".parse().unwrap());
    config.upstream.authority = "orders.internal".to_owned();
    config.upstream.host = "orders.internal".to_owned();
    config.upstream.addresses = addresses;
    config
}

/// An HTTP server on a Unix socket; answers with the `Host` that it was sent.
fn on_unix_socket() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("upstream-{}-{number}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while let Ok(count @ 1..) = socket.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
                    socket.write_all(&ok(host)).await.unwrap();
                }
            });
        }
    });
    path
}

#[tokio::test]
async fn each_address_has_its_turn_and_its_own_connections() {
    let (a, b) =
        (HostileUpstream::answering(ok("a")).await, HostileUpstream::answering(ok("b")).await);
    let front = Front::start(to(vec![tcp(a.address.port()), tcp(b.address.port())]));
    let mut said = String::new();
    for _ in 0..6 {
        said.push_str(&front.call("GET /api/x", "").await.text());
    }
    assert!(said == "ababab" || said == "bababa", "{said}");
    assert_eq!((a.connections(), b.connections()), (1, 1), "kept and used again");
    assert!(a.requests()[0].contains("host: orders.internal\r\n"));
    front.stop().await;
}

#[tokio::test]
async fn an_address_that_takes_no_connection_costs_no_call_whatever_the_method() {
    let alive = HostileUpstream::answering(ok("alive")).await;
    let front = Front::start(to(vec![tcp(free_port()), tcp(alive.address.port())]));
    for _ in 0..8 {
        let answer = front.call("POST /api/x", "content-length: 0\r\n").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "alive"));
    }
    assert_eq!(alive.requests().len(), 8);
    front.stop().await;
}

#[tokio::test]
async fn an_address_that_breaks_off_is_left_out_after_three_calls() {
    let broken = HostileUpstream::playing(vec![Step::Read]).await;
    let alive = HostileUpstream::answering(ok("alive")).await;
    let front = Front::start(to(vec![tcp(broken.address.port()), tcp(alive.address.port())]));
    let mut failed = 0;
    for _ in 0..20 {
        let answer = front.call("POST /api/x", "content-length: 0\r\n").await;
        // What an upstream has taken is never sent to another one.
        if answer.status == 502 {
            failed += 1;
        }
    }
    assert_eq!((failed, broken.requests().len(), alive.requests().len()), (3, 3, 17));
    front.stop().await;
}

#[tokio::test]
async fn with_no_address_left_the_call_fails_and_the_next_one_tries_again() {
    let port = free_port();
    let front = Front::start(to(vec![tcp(port), tcp(free_port())]));
    for _ in 0..5 {
        assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let back = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _count = socket.read(&mut buffer).await.unwrap();
        socket.write_all(&ok("back")).await.unwrap();
    });
    assert_eq!(
        front.call("GET /api/x", "").await.text(),
        "back",
        "the last ones are never given up"
    );
    back.await.unwrap();
    front.stop().await;
}

#[tokio::test]
async fn a_unix_socket_is_an_address_like_any_other() {
    let (path, other) = (on_unix_socket(), HostileUpstream::answering(ok("tcp")).await);
    let front = Front::start(to(vec![Address::Unix(path.clone())]));
    for _ in 0..3 {
        assert_eq!(front.call("GET /api/x", "").await.text(), "orders.internal");
    }
    front.stop().await;
    let both = vec![Address::Unix(path.clone()), tcp(other.address.port())];
    let front = Front::start(to(both));
    std::fs::remove_file(path).unwrap();
    for _ in 0..3 {
        assert_eq!(front.call("GET /api/x", "").await.text(), "tcp");
    }
    front.stop().await;
}

// proves: PX-17
#[tokio::test]
async fn tls_verifies_the_name_in_the_url_whatever_the_address() {
    let (address, seen) = served(acceptor("localhost")).await;
    for (name, passes) in [("localhost", true), ("orders.internal", false)] {
        let mut config = to(vec![tcp(address.port())]);
        config.upstream.tls = true;
        config.upstream.host = name.to_owned();
        config.upstream.trust = Trust::read(Some(&ca_file())).ok().map(std::sync::Arc::new);
        let front = Front::start(config);
        let answer = front.call("GET /api/x", "").await;
        assert_eq!(answer.status == 200, passes, "{answer:?}");
        front.stop().await;
    }
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_is_late_puts_nobody_out() {
    let slow = HostileUpstream::playing(vec![Step::Read, Step::Hang]).await;
    let mut config = to(vec![tcp(slow.address.port()), tcp(slow.address.port())]);
    config.response_timeout = std::time::Duration::from_millis(50);
    let front = Front::start(config);
    for _ in 0..4 {
        assert_eq!(front.call("GET /api/x", "").await.problem(), (504, "upstream_timeout"));
    }
    assert_eq!(slow.requests().len(), 4);
    front.stop().await;
}
