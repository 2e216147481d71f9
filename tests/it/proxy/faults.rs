//! Upstreams that do not answer at all, answer when nobody asked, or fail in TLS. Answers that break the rules or break off
//! are files of `tests/corpus/framing/behind`.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::front::{Front, TOKEN, route};
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};

// proves: PX-08
#[tokio::test]
async fn a_flood_of_interim_answers_ends_with_the_time_limit() {
    let steps = vec![Step::Read, Step::Flood(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())];
    let upstream = HostileUpstream::playing(steps).await;
    let mut short = route(upstream.address);
    short.response_timeout = Duration::from_millis(300);
    let front = Front::start(short);
    assert_eq!(front.call("GET /api/x", "").await.problem(), (504, "upstream_timeout"));
    front.stop().await;
}

// proves: PX-08
#[tokio::test]
async fn bytes_left_over_after_an_answer_reach_nobody() {
    let twice = [ok("mine"), ok("smuggled")].concat();
    let upstream = HostileUpstream::answering(twice).await;
    let front = Front::start(route(upstream.address));
    for _ in 0..5 {
        let answer = front.call("GET /api/x", "").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "mine"));
    }
    assert_eq!(upstream.connections(), 5, "a connection with bytes left over was used again");
    front.stop().await;
}

// proves: PX-08
#[tokio::test]
async fn an_answer_that_nobody_asked_for_closes_the_idle_connection() {
    let go_on = Arc::new(Notify::new());
    let waiting = Arc::clone(&go_on);
    let upstream = HostileUpstream::start(move |number| match number {
        0 => vec![
            Step::Read,
            send(ok("mine")),
            Step::Wait(Arc::clone(&waiting)),
            send(ok("smuggled")),
            Step::Hang,
        ],
        _ => vec![Step::Serve(ok("fresh"))],
    })
    .await;
    let front = Front::start(route(upstream.address));
    assert_eq!(front.call("GET /api/x", "").await.text(), "mine");
    go_on.notify_one();
    until(|| upstream.hung_up() == 1).await;
    assert_eq!(front.call("GET /api/x", "").await.text(), "fresh");
    front.stop().await;
}

#[tokio::test]
async fn an_upstream_that_refuses_or_closes_is_a_502() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let front = Front::start(route(nobody));
    assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
    front.stop().await;

    for steps in [vec![], vec![Step::Read], vec![Step::Read, send("HTTP/1.1 20")]] {
        let upstream = HostileUpstream::playing(steps).await;
        let front = Front::start(route(upstream.address));
        assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
        assert_eq!(upstream.connections(), 1, "a fresh connection is not tried twice");
        front.stop().await;
    }
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_a_504_and_its_connection_is_closed() {
    let upstream = HostileUpstream::playing(vec![Step::Read, Step::Hang]).await;
    let mut short = route(upstream.address);
    short.response_timeout = Duration::from_millis(200);
    let front = Front::start(short);
    assert_eq!(front.call("GET /api/x", "").await.problem(), (504, "upstream_timeout"));
    until(|| upstream.hung_up() == 1).await;
    front.stop().await;
}

#[tokio::test]
async fn a_handshake_that_hangs_is_a_504_and_one_that_fails_is_a_502() {
    let silent = HostileUpstream::playing(vec![Step::Hang]).await;
    let mut tls = route(silent.address);
    tls.upstream.tls = true;
    tls.connect_timeout = Duration::from_millis(200);
    let front = Front::start(tls);
    assert_eq!(front.call("GET /api/x", "").await.problem(), (504, "upstream_timeout"));
    front.stop().await;

    let plain = HostileUpstream::playing(vec![send(ok("plain text"))]).await;
    let mut tls = route(plain.address);
    tls.upstream.tls = true;
    let front = Front::start(tls);
    assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
    assert!(plain.requests().is_empty(), "nothing was sent in plain text");
    front.stop().await;
}

#[tokio::test]
async fn a_tls_upstream_is_offered_http1_only_and_asked_for_by_name() {
    let garbage = HostileUpstream::playing(vec![Step::ReadAny, send("no TLS here\r\n")]).await;
    let mut tls = route(garbage.address);
    tls.upstream.tls = true;
    tls.upstream.host = "localhost".to_owned();
    let front = Front::start(tls);
    assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
    let hello = garbage.request();
    assert!(hello.contains("http/1.1") && hello.contains("localhost"));
    assert!(!hello.contains("GET") && !hello.contains(TOKEN));
    front.stop().await;
}
