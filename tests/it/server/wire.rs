//! What HTTP/1.1 itself can do and a call through the product keeps, changes or loses: docs/what-passes.md in tests.

use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};
use crate::support::socket::Socket;
use crate::support::stack::{Setup, Stack};

async fn public(upstream: &HostileUpstream) -> Stack {
    let more = format!(
        "[[routes]]\npath = \"/open\"\nupstream = \"http://{}\"\ntoken = \"none\"\n",
        upstream.address
    );
    Stack::start(Setup { more, ..Setup::default() }).await
}

/// Sends a request to `/open`; `line` is the method and the path, `rest` the fields, their end and the body.
async fn send_raw(stack: &Stack, line: &str, rest: &str) -> Socket {
    let port = stack.port;
    let request = format!(
        "{line} HTTP/1.1\r\nhost: localhost:{port}\r\nx-csrf: 1\r\nsec-fetch-site: same-origin\r\n\
         {rest}"
    );
    Socket::sending(stack, request).await
}

// proves: PX-15
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_waits_for_100_gets_it_here_and_the_upstream_hears_nothing_of_it() {
    let upstream = HostileUpstream::answering(ok("done")).await;
    let stack = public(&upstream).await;
    let fields = "expect: 100-continue\r\ncontent-length: 4\r\nconnection: close\r\n\r\n";
    let mut socket = send_raw(&stack, "POST /open/x", fields).await;
    assert_eq!(socket.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    socket.send("body").await;
    assert!(socket.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(socket.rest().await, b"done");
    let asked = upstream.request().to_lowercase();
    assert!(!asked.contains("expect") && asked.ends_with("\r\n\r\nbody"), "{asked}");
    stack.stop().await;
}

// proves: PX-15
#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_and_trailers_stop_here() {
    let upstream = HostileUpstream::playing(vec![
        Step::Read,
        send("HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"),
        send("HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"),
        send("2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n"),
        Step::Hang,
    ])
    .await;
    let stack = public(&upstream).await;
    let fields = "transfer-encoding: chunked\r\ntrailer: x-end\r\nte: trailers\r\n\
                  connection: close, te\r\n\r\n2\r\nyo\r\n0\r\nx-end: 1\r\n\r\n";
    let mut socket = send_raw(&stack, "POST /open/x", fields).await;
    let head = socket.head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "the reason is ours: {head}");
    assert!(!head.contains("trailer:") && !head.contains("link:"), "{head}");
    assert_eq!(socket.rest().await, b"2\r\nhi\r\n0\r\n\r\n");
    stack.stop().await;
}

// proves: PX-15
#[tokio::test(flavor = "multi_thread")]
async fn fields_keep_their_lines_and_values_and_names_come_in_lower_case() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nX-List: one\r\nX-Other: o\r\n\
                  X-List: two, three\r\n\r\n";
    let upstream = HostileUpstream::answering(answer).await;
    let stack = public(&upstream).await;
    let fields = "X-List: One\r\nX-Other: o\r\nX-List: Two,  Three\r\nconnection: close\r\n\r\n";
    let mut socket = send_raw(&stack, "GET /open/x", fields).await;
    let lines = |text: &str| {
        let found = text.lines().filter_map(|line| line.strip_prefix("x-list: "));
        found.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&socket.head().await), ["one", "two, three"]);
    assert_eq!(lines(&upstream.request()), ["One", "Two,  Three"]);
    stack.stop().await;
}

// proves: PX-15
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_gone_cancels_the_call_while_it_waits_for_its_answer() {
    let upstream = HostileUpstream::playing(vec![Step::Read, Step::Hang]).await;
    let stack = public(&upstream).await;
    let socket = send_raw(&stack, "GET /open/x", "\r\n").await;
    until(|| upstream.requests().len() == 1).await;
    drop(socket);
    until(|| upstream.hung_up() == 1).await;
    assert_eq!(stack.fetch(&Browser::new(), "GET", "/session").await.status, 200);
    stack.stop().await;
}

// proves: PX-15
#[tokio::test(flavor = "multi_thread")]
async fn head_204_and_304_have_no_body_and_the_connection_goes_on() {
    let upstream = HostileUpstream::start(|_| {
        vec![
            Step::Read,
            send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
            Step::Read,
            send("HTTP/1.1 204 No Content\r\n\r\n"),
            Step::Read,
            send("HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n"),
            Step::Read,
            send(ok("last")),
        ]
    })
    .await;
    let stack = public(&upstream).await;
    let port = stack.port;
    let next = |method: &str| {
        format!(
            "{method} /open/x HTTP/1.1\r\nhost: localhost:{port}\r\nx-csrf: 1\r\n\
             sec-fetch-site: same-origin\r\n\r\n"
        )
    };
    let mut socket = Socket::sending(&stack, next("HEAD")).await;
    let head = socket.head().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 5\r\n"), "{head}");
    for status in [204, 304] {
        socket.send(next("GET")).await;
        let head = socket.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    socket.send(next("GET")).await;
    assert!(socket.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(socket.exactly(4).await, b"last");
    assert_eq!(upstream.connections(), 1);
    drop(socket);
    stack.stop().await;
}
