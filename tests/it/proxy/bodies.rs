//! Bodies stream both ways: chunk by chunk, no faster than the other side takes them, within their limits.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::front::{Front, read_answer, route};
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};

const BIG: usize = 64 * 1024 * 1024;
/// What sockets and buffers on the way may hold; far less than [`BIG`].
const IN_FLIGHT: usize = BIG / 2;

/// Reads until `text` has come.
async fn read_to(socket: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        assert!(socket.read_buf(&mut seen).await.unwrap() > 0, "the stream ended before {text}");
    }
}

// proves: PX-14
#[tokio::test]
async fn the_first_chunk_arrives_before_the_last_is_sent() {
    let go_on = Arc::new(Notify::new());
    let upstream = HostileUpstream::playing(vec![
        Step::Read,
        send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
        Step::Wait(Arc::clone(&go_on)),
        send("4\r\nlast\r\n0\r\n\r\n"),
        Step::Hang,
    ])
    .await;
    let front = Front::start(route(upstream.address));
    let mut socket = front.connect().await;
    let head = b"GET /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    socket.write_all(head).await.unwrap();
    read_to(&mut socket, "first").await;
    go_on.notify_one();
    read_to(&mut socket, "last\r\n0\r\n\r\n").await;
    front.stop().await;
}

// proves: PX-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_download_waits_for_a_slow_reader_and_comes_through_whole() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BIG}\r\n\r\n");
    let upstream =
        HostileUpstream::playing(vec![Step::Read, send(head), Step::SendFilling(BIG), Step::Hang])
            .await;
    let front = Front::start(route(upstream.address));
    let mut socket = front.connect().await;
    let request = b"GET /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    socket.write_all(request).await.unwrap();
    // Nobody reads: the upstream must come to a stop.
    let stuck = settled(|| upstream.sent()).await;
    assert!(stuck < IN_FLIGHT, "{stuck} bytes were taken although nobody reads");
    let answer = read_answer(&mut socket).await;
    assert_eq!(answer.field("content-length"), Some(BIG.to_string().as_str()));
    assert!(answer.is_complete && answer.body.len() == BIG);
    front.stop().await;
}

// proves: PX-14
#[rstest]
#[case::sized(true)]
#[case::chunked(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_upload_waits_for_a_slow_upstream_and_comes_through_whole(#[case] sized: bool) {
    let go_on = Arc::new(Notify::new());
    let framed = if sized { BIG } else { BIG + BIG / 65_536 * 9 };
    let upstream = HostileUpstream::playing(vec![
        Step::ReadHead,
        Step::Wait(Arc::clone(&go_on)),
        Step::ReadBytes(if sized { framed } else { BIG }),
        send(ok("thanks")),
        Step::Hang,
    ])
    .await;
    let mut big = route(upstream.address);
    big.body_limit = BIG as u64;
    big.response_timeout = Duration::from_secs(20);
    let front = Front::start(big);
    let (mut reader, mut writer) = front.connect().await.into_split();
    let (tell, told) = tokio::sync::watch::channel(0);
    let uploading = tokio::spawn(async move {
        let framing = if sized {
            format!("content-length: {BIG}")
        } else {
            "transfer-encoding: chunked".to_owned()
        };
        let head =
            format!("PUT /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{framing}\r\n\r\n");
        writer.write_all(head.as_bytes()).await.unwrap();
        let mut piece = vec![b'x'; 65_536];
        if !sized {
            piece = [b"10000\r\n".as_slice(), &piece, b"\r\n"].concat();
        }
        for done in 1..=BIG / 65_536 {
            writer.write_all(&piece).await.unwrap();
            tell.send_replace(done * 65_536);
        }
        if !sized {
            writer.write_all(b"0\r\n\r\n").await.unwrap();
        }
        writer
    });
    // The upstream does not read: the browser must come to a stop.
    let stuck = settled(|| *told.borrow()).await;
    assert!(stuck < IN_FLIGHT, "{stuck} bytes were taken although nobody reads");
    go_on.notify_one();
    let writer = uploading.await.unwrap();
    let mut answer = String::new();
    reader.read_to_string(&mut answer).await.unwrap();
    drop(writer);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("thanks"), "{answer}");
    let request = upstream.request();
    assert_eq!(request.contains(&format!("\r\ncontent-length: {BIG}\r\n")), sized);
    assert_eq!(request.contains("\r\ntransfer-encoding: chunked\r\n"), !sized);
    front.stop().await;
}

/// The value of `counter` once it has moved and then stood still for a while.
async fn settled(counter: impl Fn() -> usize) -> usize {
    let mut last = 0;
    let mut still = 0;
    while last == 0 || still < 20 {
        sleep(Duration::from_millis(25)).await;
        let now = counter();
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_the_upstream_hears_of_it() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let mut small = route(upstream.address);
    small.body_limit = 10;
    let front = Front::start(small);
    let answer = front.call("POST /api/x", "content-length: 11\r\n").await;
    assert_eq!(answer.problem(), (413, "body_too_large"));
    assert_eq!(upstream.connections(), 0);
    let exactly = "POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n\r\n0123456789";
    assert_eq!(front.raw(exactly).await.status, 200);
    front.stop().await;
}

#[tokio::test]
async fn a_chunked_body_that_grows_too_large_is_broken_off() {
    let reached = Arc::new(Notify::new());
    let steps = vec![Step::ReadHead, Step::Tell(Arc::clone(&reached)), Step::Hang];
    let upstream = HostileUpstream::playing(steps).await;
    let mut small = route(upstream.address);
    small.body_limit = 10;
    let front = Front::start(small);
    let mut socket = front.connect().await;
    let begun = b"POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                  transfer-encoding: chunked\r\n\r\n8\r\n01234567\r\n";
    socket.write_all(begun).await.unwrap();
    reached.notified().await;
    socket.write_all(b"3\r\n890\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(read_answer(&mut socket).await.problem(), (413, "body_too_large"));
    until(|| upstream.hung_up() == 1).await;
    front.stop().await;
}

#[tokio::test]
async fn a_get_with_a_chunked_body_is_framed_again_and_arrives() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let front = Front::start(route(upstream.address));
    let request = "GET /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                   transfer-encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n";
    assert_eq!(front.raw(request).await.status, 200);
    let seen = upstream.request();
    assert!(seen.ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "{seen}");
    front.stop().await;
}

#[tokio::test]
async fn an_upload_longer_than_the_time_limit_is_not_cut_off_while_it_moves() {
    let upstream = HostileUpstream::answering(ok("thanks")).await;
    let mut short = route(upstream.address);
    short.response_timeout = Duration::from_millis(600);
    let front = Front::start(short);
    let mut socket = front.connect().await;
    let head =
        b"POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n\r\n";
    socket.write_all(head).await.unwrap();
    for _ in 0..10 {
        sleep(Duration::from_millis(150)).await;
        socket.write_all(b"x").await.unwrap();
    }
    assert_eq!(read_answer(&mut socket).await.text(), "thanks");
    front.stop().await;
}

#[tokio::test]
async fn a_browser_that_stops_sending_is_a_bad_request_and_not_a_slow_upstream() {
    let upstream = HostileUpstream::playing(vec![Step::ReadHead, Step::Hang]).await;
    let mut short = route(upstream.address);
    short.response_timeout = Duration::from_millis(300);
    let front = Front::start(short);
    let mut socket = front.connect().await;
    let head =
        b"POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n\r\nxx";
    socket.write_all(head).await.unwrap();
    assert_eq!(read_answer(&mut socket).await.problem(), (400, "bad_request"));
    until(|| upstream.hung_up() == 1).await;
    front.stop().await;
}

#[rstest]
#[case::while_waiting_for_the_head("", "GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n")]
#[case::inside_the_answer(
    "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfirst",
    "GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n"
)]
#[case::inside_the_upload("", "PUT /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc")]
#[tokio::test]
async fn a_browser_that_goes_away_takes_the_upstream_call_with_it(
    #[case] begun: &'static str,
    #[case] request: &str,
) {
    let reached = Arc::new(Notify::new());
    let upstream = HostileUpstream::playing(vec![
        Step::ReadHead,
        send(begun),
        Step::Tell(Arc::clone(&reached)),
        Step::Hang,
    ])
    .await;
    let mut patient = route(upstream.address);
    patient.response_timeout = Duration::from_secs(60);
    let front = Front::start(patient);
    let mut socket = front.connect().await;
    socket.write_all(request.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(10), reached.notified()).await.unwrap();
    if !begun.is_empty() {
        read_to(&mut socket, "first").await;
    }
    assert_eq!(upstream.hung_up(), 0);
    drop(socket);
    until(|| upstream.hung_up() == 1).await;
    front.stop().await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_is_passed_on() {
    let upstream = HostileUpstream::playing(vec![
        Step::ReadHead,
        send("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno"),
        Step::Hang,
    ])
    .await;
    let front = Front::start(route(upstream.address));
    let mut socket = front.connect().await;
    let head =
        b"POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 900000\r\n\r\nx";
    socket.write_all(head).await.unwrap();
    read_to(&mut socket, "\r\n\r\nno").await;
    drop(socket);
    until(|| upstream.hung_up() == 1).await;
    front.stop().await;
}

#[tokio::test]
async fn a_browser_that_waits_for_100_continue_is_told_to_go_on() {
    let upstream = HostileUpstream::answering(ok("thanks")).await;
    let front = Front::start(route(upstream.address));
    let mut socket = front.connect().await;
    let head = b"POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                 expect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    socket.write_all(head).await.unwrap();
    read_to(&mut socket, "HTTP/1.1 100 Continue\r\n\r\n").await;
    socket.write_all(b"abc").await.unwrap();
    assert_eq!(read_answer(&mut socket).await.text(), "thanks");
    let request = upstream.request();
    assert!(request.ends_with("\r\n\r\nabc") && !request.contains("expect"), "{request}");
    front.stop().await;
}
