//! How a WebSocket ends: with its session, its token, its upstream or the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::tunnel::{assert_refused, logged_in, quiet, route, waits_for_metric};
use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, Step, send, until};
use crate::support::socket::{Socket, frame, handshake, switch};
use crate::support::stack::{Setup, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_closes_every_websocket_of_the_session_and_no_other() {
    let upstream = quiet().await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let other = Browser::new();
    stack.log_in(&other, "bob").await;
    let mut bobs = Socket::open(&stack, &other, "/live").await;
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(Socket::open(&stack, &browser, "/live").await);
    }
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    for socket in &mut sockets {
        assert_eq!(socket.closed_because().await, "session_ended");
    }
    until(|| upstream.hung_up() == 100).await;
    waits_for_metric(&stack, "cloakroom_tunnels_closed_total{cause=\"session_ended\"} 100").await;
    waits_for_metric(&stack, "cloakroom_tunnels_open 1").await;
    bobs.send(b"\x89\x80\0\0\0\0").await;
    let again = handshake(&stack, &browser, "/live", &format!("origin: {}\r\n", stack.app));
    let mut socket = Socket::sending(&stack, again).await;
    assert_refused(&mut socket, 401, "not_logged_in").await;
    drop(bobs);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_close_frame_stands_behind_a_whole_frame_and_nothing_behind_it() {
    let (go, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let long = frame(0x02, &vec![7; 200_000]);
    let (first, second) = long.split_at(70_003);
    let upstream = HostileUpstream::playing(vec![
        Step::ReadHead,
        send(switch("")),
        send(b"\x01\x02he"),
        send(first),
        Step::Tell(Arc::clone(&begun)),
        Step::Wait(Arc::clone(&go)),
        send(second),
        send(b"\x80\x03end"),
        Step::Hang,
    ])
    .await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let mut socket = Socket::open(&stack, &browser, "/live").await;
    assert_eq!(socket.exactly(4).await, b"\x01\x02he");
    begun.notified().await;
    let mut seen = socket.exactly(first.len()).await;
    stack.fetch(&browser, "POST", "/logout").await;
    waits_for_metric(&stack, "cloakroom_logouts_total 1").await;
    go.notify_one();
    seen.extend(socket.exactly(second.len()).await);
    assert!(seen == long, "the frame comes whole");
    assert_eq!(socket.closed_because().await, "session_ended");
    until(|| upstream.hung_up() == 1).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_never_ends_does_not_keep_a_websocket_open() {
    let steps = vec![Step::ReadHead, send(switch("")), send(b"\x82\x7d1234"), Step::Hang];
    let upstream = HostileUpstream::playing(steps).await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let mut socket = Socket::open(&stack, &browser, "/live").await;
    assert_eq!(socket.exactly(6).await, b"\x82\x7d1234");
    stack.fetch(&browser, "POST", "/logout").await;
    assert_eq!(socket.rest().await, b"", "no Close frame inside another frame");
    until(|| upstream.hung_up() == 1).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_lasts_as_long_as_its_session_or_its_token_whatever_the_idle_time() {
    for (close_at, life, reason) in
        [("session_end", 4 * 3600, "session_expired"), ("token_expiry", 300, "token_expired")]
    {
        let upstream = quiet().await;
        let more = route(upstream.address, &format!("close_at = \"{close_at}\""));
        let session = "max_age = \"4h\"\nidle_timeout = \"10m\"".to_owned();
        let stack = Stack::start(Setup { session, more, ..Setup::default() }).await;
        let browser = Browser::new();
        stack.log_in(&browser, "alice").await;
        let mut socket = Socket::open(&stack, &browser, "/live").await;
        stack.clock.advance(Duration::from_secs(life - 5));
        socket.send(b"\x89\x80\0\0\0\0").await;
        waits_for_metric(&stack, "cloakroom_tunnels_open 1").await;
        stack.clock.advance(Duration::from_secs(6));
        assert_eq!(socket.closed_because().await, reason);
        until(|| upstream.hung_up() == 1).await;
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_last_words_reach_the_browser() {
    let steps = vec![Step::ReadHead, send(switch("")), send(b"\x88\x02\x03\xe8")];
    let upstream = HostileUpstream::playing(steps).await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let mut socket = Socket::open(&stack, &browser, "/live").await;
    assert_eq!(socket.rest().await, b"\x88\x02\x03\xe8");
    waits_for_metric(&stack, "cloakroom_tunnels_closed_total{cause=\"upstream\"} 1").await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_reads_nothing_sends_nothing_more_either_once_its_session_has_ended() {
    let steps = vec![Step::ReadHead, send(switch("")), Step::Flood(frame(0x82, &[1; 4096]))];
    let upstream = HostileUpstream::playing(steps).await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let socket = Socket::open(&stack, &browser, "/live").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    stack.fetch(&browser, "POST", "/logout").await;
    waits_for_metric(&stack, "cloakroom_tunnels_closed_total{cause=\"session_ended\"} 1").await;
    drop(socket);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_down_says_so_and_waits_for_nobody() {
    let upstream = quiet().await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let mut socket = Socket::open(&stack, &browser, "/live").await;
    let stopping = tokio::spawn(stack.stop());
    // RFC 6455 section 7.4.1: 1001, going away.
    assert_eq!(socket.rest().await, b"\x88\x0a\x03\xe9shutdown");
    drop(socket);
    stopping.await.unwrap();
    until(|| upstream.hung_up() == 1).await;
}
