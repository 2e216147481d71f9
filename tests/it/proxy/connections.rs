//! Upstream connections: used again when whole, tried again when dead, each worker for itself.

use std::sync::Arc;

use cloakroom::config::{Retry, RouteConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::front::{Front, route};
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};

#[tokio::test]
async fn one_connection_serves_calls_one_after_another() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for answer in [ok("hello"), chunked.as_bytes().to_vec()] {
        let upstream = HostileUpstream::answering(answer).await;
        let front = Front::start(route(upstream.address));
        for _ in 0..10 {
            assert!(front.call("GET /api/x", "").await.is_complete);
        }
        let with_body =
            "POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
        for _ in 0..5 {
            assert!(front.raw(with_body).await.is_complete);
        }
        assert_eq!((upstream.requests().len(), upstream.connections()), (15, 1));
        front.stop().await;
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_closes_is_not_used_again() {
    let closing = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
    let upstream = HostileUpstream::playing(vec![Step::Read, send(closing)]).await;
    let front = Front::start(route(upstream.address));
    for _ in 0..3 {
        assert_eq!(front.call("GET /api/x", "").await.text(), "hi");
    }
    assert_eq!(upstream.connections(), 3);
    front.stop().await;
}

/// The first connection serves one call and dies on the second; all later ones serve.
async fn dying_once() -> HostileUpstream {
    HostileUpstream::start(|number| {
        if number == 0 {
            vec![Step::Read, send(ok("first")), Step::ReadHead]
        } else {
            vec![Step::Serve(ok("second"))]
        }
    })
    .await
}

/// A route that repeats what may be repeated.
fn repeating(upstream: &HostileUpstream) -> RouteConfig {
    RouteConfig { retry: Retry::Idempotent, ..route(upstream.address) }
}

#[tokio::test]
async fn a_read_that_meets_a_dead_connection_is_tried_once_more_if_the_route_says_so() {
    for method in ["GET", "DELETE"] {
        let upstream = dying_once().await;
        let front = Front::start(repeating(&upstream));
        assert_eq!(front.call("GET /api/x", "").await.text(), "first");
        let again = front.call(&format!("{method} /api/x?again"), "").await;
        assert_eq!(again.text(), "second");
        assert_eq!((upstream.requests().len(), upstream.connections()), (3, 2));
        assert_eq!(upstream.requests()[1], upstream.requests()[2]);
        front.stop().await;
    }
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_never_sent_twice() {
    let with_body =
        "PUT /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    let without =
        "POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let read = "GET /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (request, repeats) in [(with_body, true), (without, true), (read, false)] {
        let upstream = dying_once().await;
        let route = if repeats { repeating(&upstream) } else { route(upstream.address) };
        let front = Front::start(route);
        assert_eq!(front.call("GET /api/x", "").await.text(), "first");
        assert_eq!(front.raw(request).await.problem(), (502, "upstream_unavailable"));
        assert_eq!((upstream.requests().len(), upstream.connections()), (2, 1));
        front.stop().await;
    }
}

#[tokio::test]
async fn a_second_dead_connection_is_an_error_and_not_a_loop() {
    let upstream = HostileUpstream::start(|number| match number {
        0 => vec![Step::Read, send(ok("first")), Step::ReadHead],
        _ => vec![Step::ReadHead],
    })
    .await;
    let front = Front::start(repeating(&upstream));
    assert_eq!(front.call("GET /api/x", "").await.text(), "first");
    assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
    assert_eq!(upstream.connections(), 2);
    front.stop().await;
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_nobody_an_error() {
    let close = Arc::new(Notify::new());
    let waiting = Arc::clone(&close);
    let upstream = HostileUpstream::start(move |number| match number {
        0 => vec![Step::Read, send(ok("first")), Step::Wait(Arc::clone(&waiting))],
        _ => vec![Step::Serve(ok("second"))],
    })
    .await;
    let front = Front::start(route(upstream.address));
    assert_eq!(front.call("GET /api/x", "").await.text(), "first");
    close.notify_one();
    // Give the end of the stream time to arrive; a call that comes sooner is the dead-connection case above.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let post =
        "POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    assert_eq!(front.raw(post).await.text(), "second");
    front.stop().await;
}

#[tokio::test]
async fn a_connection_is_not_kept_longer_than_the_upstream_keeps_it() {
    for (hint, connections) in [("timeout=1", 3), ("timeout=60, max=100", 1)] {
        let answer =
            format!("HTTP/1.1 200 OK\r\nkeep-alive: {hint}\r\ncontent-length: 2\r\n\r\nhi");
        let upstream = HostileUpstream::answering(answer).await;
        let front = Front::start(route(upstream.address));
        for _ in 0..3 {
            assert_eq!(front.call("GET /api/x", "").await.text(), "hi");
        }
        assert_eq!(upstream.connections(), connections, "{hint}");
        front.stop().await;
    }
}

#[tokio::test]
async fn two_routes_to_one_upstream_share_connections_and_two_upstreams_do_not() {
    let one = HostileUpstream::answering(ok("one")).await;
    let two = HostileUpstream::answering(ok("two")).await;
    let routes = [("/api/a", &one), ("/api/b", &one), ("/api/c", &two)].map(|(path, upstream)| {
        let mut route = route(upstream.address);
        route.path = path.to_owned();
        route
    });
    let front = Front::with(routes.to_vec(), 1, false);
    for _ in 0..3 {
        for (path, expected) in [("/api/a", "one"), ("/api/b", "one"), ("/api/c", "two")] {
            assert_eq!(front.call(&format!("GET {path}"), "").await.text(), expected);
        }
    }
    assert_eq!((one.connections(), two.connections()), (1, 1));
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_worker_keeps_its_own_connection() {
    let upstream = HostileUpstream::answering(ok("hello")).await;
    let front = Front::with(vec![route(upstream.address)], 2, false);
    // The server deals connections out in turn, so two kept-alive ones reach both workers.
    let mut sockets = [front.connect().await, front.connect().await];
    for _ in 0..5 {
        for socket in &mut sockets {
            socket.write_all(b"GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"hello") {
                assert!(socket.read_buf(&mut seen).await.unwrap() > 0);
            }
        }
    }
    until(|| upstream.requests().len() == 10).await;
    assert_eq!(upstream.connections(), 2);
    drop(sockets);
    front.stop().await;
}
