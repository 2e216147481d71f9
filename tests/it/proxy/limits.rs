//! Time limits of bodies and of whole calls, and how many calls an upstream may have.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::config::RouteConfig;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::front::{Answer, Front, route};
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
const DOWNLOAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
const GET: &[u8] = b"GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n";

async fn read_to(socket: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        assert!(socket.read_buf(&mut seen).await.unwrap() > 0, "the stream ended before {text}");
    }
}

// proves: PX-14
#[tokio::test]
async fn a_download_that_falls_silent_is_broken_off_and_an_event_stream_is_not() {
    let upstream = HostileUpstream::playing(vec![Step::Read, send(DOWNLOAD), Step::Hang]).await;
    let short = |upstream: &HostileUpstream| RouteConfig {
        idle_timeout: Some(Duration::from_millis(200)),
        ..route(upstream.address)
    };
    let front = Front::start(short(&upstream));
    let answer = front.call("GET /api/x", "").await;
    assert!(answer.status == 200 && !answer.is_complete, "{answer:?}");
    until(|| upstream.hung_up() == 1).await;
    front.stop().await;

    let go_on = Arc::new(Notify::new());
    let waiting = Arc::clone(&go_on);
    let upstream = HostileUpstream::playing(vec![
        Step::Read,
        send(STREAM),
        Step::Wait(waiting),
        send("9\r\ndata: 2\n\n\r\n"),
        Step::Hang,
    ])
    .await;
    let front = Front::start(short(&upstream));
    let mut socket = front.connect().await;
    socket.write_all(GET).await.unwrap();
    read_to(&mut socket, "data: 1").await;
    sleep(Duration::from_millis(800)).await;
    go_on.notify_one();
    read_to(&mut socket, "data: 2").await;
    front.stop().await;
}

// proves: PX-14
#[rstest]
#[case::before_the_head("", "")]
#[case::inside_a_download(DOWNLOAD, "only this")]
#[case::inside_an_event_stream(STREAM, "data: 1")]
#[tokio::test]
async fn a_call_that_takes_longer_than_it_may_ends(
    #[case] begun: &'static str,
    #[case] first: &str,
) {
    let upstream = HostileUpstream::playing(vec![Step::Read, send(begun), Step::Hang]).await;
    let total_timeout = Some(Duration::from_millis(400));
    let front = Front::start(RouteConfig { total_timeout, ..route(upstream.address) });
    let answer = front.call("GET /api/x", "").await;
    if begun.is_empty() {
        assert_eq!(answer.problem(), (504, "upstream_timeout"));
    } else {
        assert!(!answer.is_complete && answer.text().contains(first), "{answer:?}");
    }
    until(|| upstream.hung_up() == 1).await;
    front.stop().await;
}

// proves: PX-14
#[tokio::test]
async fn an_upload_that_trickles_is_bounded_by_the_limit_of_the_whole_call() {
    let upstream = HostileUpstream::playing(vec![Step::ReadHead, Step::Hang]).await;
    let total_timeout = Some(Duration::from_millis(600));
    let front = Front::start(RouteConfig { total_timeout, ..route(upstream.address) });
    let (mut reader, mut writer) = front.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        let head = b"POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 9999\r\n\r\n";
        writer.write_all(head).await.unwrap();
        // One byte at a time, until nobody takes them any more.
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = String::new();
    let _reset_after_the_answer = reader.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_request"), "{answer}");
    until(|| upstream.hung_up() == 1).await;
    trickle.abort();
    front.stop().await;
}

fn busy(answer: &Answer) -> bool {
    answer.problem() == (503, "upstream_busy") && answer.field("retry-after") == Some("1")
}

// proves: PX-14
#[rstest]
#[case::waiting_for_the_head("")]
#[case::inside_a_download(DOWNLOAD)]
#[case::inside_an_event_stream(STREAM)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_limit_are_turned_away_by_every_worker(#[case] begun: &'static str) {
    let upstream = HostileUpstream::start(move |number| match number {
        0 | 1 => vec![Step::Read, send(begun), Step::Hang],
        _ => vec![Step::Serve(ok("room"))],
    })
    .await;
    let mut narrow = RouteConfig { max_in_flight: 2, ..route(upstream.address) };
    narrow.response_timeout = Duration::from_secs(60);
    let mut wide = RouteConfig { max_in_flight: 3, ..route(upstream.address) };
    wide.path = "/wide".to_owned();
    let front = Front::with(vec![narrow, wide], 2, false);
    // Dealt out in turn: each of the two workers has one of them.
    let mut holding = [front.connect().await, front.connect().await];
    for (done, socket) in holding.iter_mut().enumerate() {
        socket.write_all(GET).await.unwrap();
        until(|| upstream.requests().len() == done + 1).await;
    }
    for _ in 0..4 {
        let answer = front.call("GET /api/x", "").await;
        assert!(busy(&answer), "{answer:?}");
    }
    // The other route to this upstream leaves more room.
    assert_eq!(front.call("GET /wide", "").await.text(), "room");
    drop(holding);
    until(|| upstream.hung_up() == 2).await;
    for _ in 0..4 {
        assert_eq!(front.call("GET /api/x", "").await.text(), "room");
    }
    front.stop().await;
}

// proves: PX-14
#[tokio::test]
async fn every_way_a_call_ends_makes_room_for_the_next() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let single = |address| RouteConfig {
        max_in_flight: 1,
        response_timeout: Duration::from_millis(200),
        body_limit: 10,
        ..route(address)
    };
    let front = Front::start(single(gone));
    for _ in 0..3 {
        assert_eq!(front.call("GET /api/x", "").await.problem(), (502, "upstream_unavailable"));
    }
    front.stop().await;
    for script in [
        vec![],
        vec![Step::Read],
        vec![Step::Read, Step::Hang],
        vec![Step::Read, send("HTTP/1.1 999 Odd\r\n\r\n")],
        vec![Step::Read, send(DOWNLOAD)],
        vec![Step::Read, send("HTTP/1.1 204 None\r\n\r\n"), Step::Hang],
        vec![Step::Serve(ok("hi"))],
    ] {
        let upstream = HostileUpstream::playing(script).await;
        let front = Front::start(single(upstream.address));
        for request in ["GET /api/x", "HEAD /api/x", "GET /api/x"] {
            let answer = front.call(request, "").await;
            assert!(!busy(&answer), "{answer:?}");
        }
        let big = front.call("POST /api/x", "content-length: 11\r\n").await;
        assert_eq!(big.problem(), (413, "body_too_large"));
        assert!(!busy(&front.call("GET /api/x", "").await));
        front.stop().await;
    }
}
