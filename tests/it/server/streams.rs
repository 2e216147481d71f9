//! Event streams and long downloads: what was sent arrives, and what a session opened ends with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, Step, send, until};
use crate::support::socket::Socket;
use crate::support::stack::{Setup, Stack};

const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\nx-accel-buffering: no\r\n\r\n";
const ROWS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:X}\r\n{text}\r\n", text.len())
}

async fn logged_in(upstream: &HostileUpstream, more: &str, session: &str) -> (Stack, Browser) {
    let more = format!(
        "[[routes]]\npath = \"/stream\"\nupstream = \"http://{}\"\nstrip_prefix = true\n{more}\n",
        upstream.address
    );
    let session = session.to_owned();
    let stack = Stack::start(Setup { session, more, ..Setup::default() }).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    (stack, browser)
}

/// Opens the stream as the app's page does; the head is read.
async fn open(stack: &Stack, browser: &Browser) -> Socket {
    let cookies: Vec<String> =
        browser.jar().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = format!(
        "GET /stream/x HTTP/1.1\r\nhost: localhost:{}\r\nx-csrf: 1\r\n\
         sec-fetch-site: same-origin\r\naccept: text/event-stream\r\ncookie: {}\r\n\r\n",
        stack.port,
        cookies.join("; ")
    );
    let mut socket = Socket::sending(stack, request).await;
    let head = socket.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    socket
}

async fn metrics(stack: &Stack) -> String {
    Browser::new().get(&format!("{}/metrics", stack.admin)).await.body
}

// proves: PX-15
#[tokio::test(flavor = "multi_thread")]
async fn each_event_arrives_before_the_next_is_sent() {
    let go = Arc::new(Notify::new());
    let mut steps = vec![Step::Read, send(EVENTS)];
    for n in 0..20 {
        steps.push(send(chunk(&format!("data: {n:02}\n\n"))));
        steps.push(Step::Wait(Arc::clone(&go)));
    }
    steps.push(send("0\r\n\r\n"));
    let upstream = HostileUpstream::playing(steps).await;
    let (stack, browser) = logged_in(&upstream, "", "").await;
    let mut socket = open(&stack, &browser).await;
    for n in 0..20 {
        let event = chunk(&format!("data: {n:02}\n\n"));
        assert_eq!(socket.exactly(event.len()).await, event.as_bytes());
        go.notify_one();
    }
    assert_eq!(socket.exactly(5).await, b"0\r\n\r\n");
    assert!(!metrics(&stack).await.contains("streams_ended_total{"), "it came to its own end");
    stack.stop().await;
}

// proves: PX-16
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_the_event_streams_of_the_session_cleanly_and_no_others() {
    let steps = vec![Step::Read, send(EVENTS), send(chunk("data: 1\n\n")), Step::Hang];
    let upstream = HostileUpstream::playing(steps).await;
    let (stack, browser) = logged_in(&upstream, "", "").await;
    let other = Browser::new();
    stack.log_in(&other, "bob").await;
    let mut bobs = open(&stack, &other).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = open(&stack, &browser).await;
        stream.exactly(14).await;
        streams.push(stream);
    }
    stack.fetch(&browser, "POST", "/logout").await;
    for stream in &mut streams {
        // The browser's EventSource asks again, and gets 401.
        assert_eq!(stream.exactly(5).await, b"0\r\n\r\n");
    }
    assert_eq!(stack.fetch(&browser, "GET", "/stream/x").await.status, 401);
    until(|| upstream.hung_up() == 50).await;
    let text = metrics(&stack).await;
    assert!(text.contains("cloakroom_streams_ended_total{cause=\"session_ended\"} 50"), "{text}");
    assert_eq!(bobs.exactly(14).await, chunk("data: 1\n\n").as_bytes());
    drop((bobs, streams));
    until(|| upstream.hung_up() == 51).await;
    stack.stop().await;
}

// proves: PX-09, PX-16
#[tokio::test(flavor = "multi_thread")]
async fn a_long_download_breaks_off_when_its_session_ends() {
    let steps = vec![Step::Read, send(ROWS), send(chunk("a;b\n")), Step::Hang];
    let upstream = HostileUpstream::playing(steps).await;
    let (stack, browser) = logged_in(&upstream, "", "").await;
    let mut socket = open(&stack, &browser).await;
    assert_eq!(socket.exactly(9).await, b"4\r\na;b\n\r\n");
    stack.fetch(&browser, "POST", "/logout").await;
    assert_eq!(socket.rest().await, b"", "no last chunk: the message is not complete");
    until(|| upstream.hung_up() == 1).await;
    stack.stop().await;
}

// proves: PX-16
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_lasts_as_long_as_its_session_or_its_token_whatever_the_idle_time() {
    for (close_at, life, cause) in
        [("session_end", 4 * 3600, "session_expired"), ("token_expiry", 300, "token_expired")]
    {
        let steps = vec![Step::Read, send(EVENTS), send(chunk("data: 1\n\n")), Step::Hang];
        let upstream = HostileUpstream::playing(steps).await;
        let session = "max_age = \"4h\"\nidle_timeout = \"10m\"";
        let more = format!("close_at = \"{close_at}\"");
        let (stack, browser) = logged_in(&upstream, &more, session).await;
        let mut socket = open(&stack, &browser).await;
        socket.exactly(14).await;
        stack.clock.advance(Duration::from_secs(life - 5));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!metrics(&stack).await.contains("streams_ended_total{"), "too early");
        stack.clock.advance(Duration::from_secs(6));
        assert_eq!(socket.exactly(5).await, b"0\r\n\r\n");
        let text = metrics(&stack).await;
        assert!(text.contains(&format!("streams_ended_total{{cause=\"{cause}\"}} 1")), "{text}");
        stack.stop().await;
    }
}

// proves: PX-16
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_gone_ends_what_the_session_holds_open() {
    let steps = vec![Step::Read, send(EVENTS), send(chunk("data: 1\n\n")), Step::Hang];
    let upstream = HostileUpstream::playing(steps).await;
    let more = format!(
        "[[routes]]\npath = \"/stream\"\nupstream = \"http://{}\"\nstrip_prefix = true\n",
        upstream.address
    );
    let (op, stack) = super::setup::hostile_with(Setup { more, ..Setup::default() }).await;
    let browser = Browser::new();
    super::setup::log_in(&op, &stack, &browser).await;
    let mut socket = open(&stack, &browser).await;
    socket.exactly(14).await;
    let gone = serde_json::json!({ "error": "invalid_grant" });
    op.answer_with(
        crate::support::hostile_op::Endpoint::Token,
        crate::support::hostile_op::Reply::json(400, &gone),
    );
    stack.clock.advance(Duration::from_secs(301));
    assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 401);
    assert_eq!(socket.exactly(5).await, b"0\r\n\r\n");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_cancels_its_upstream_call() {
    let steps = vec![Step::Read, send(EVENTS), send(chunk("data: 1\n\n")), Step::Hang];
    let upstream = HostileUpstream::playing(steps).await;
    let (stack, browser) = logged_in(&upstream, "", "").await;
    let mut socket = open(&stack, &browser).await;
    socket.exactly(14).await;
    drop(socket);
    until(|| upstream.hung_up() == 1).await;
    stack.stop().await;
}
