//! WebSockets through the whole server: what passes, and who gets in. How they end is in `tunnel_ends.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use super::set_cookies;
use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};
use crate::support::socket::{ACCEPT, Socket, frame, handshake, switch};
use crate::support::stack::{Setup, Stack};

pub(super) fn route(upstream: SocketAddr, more: &str) -> String {
    format!(
        "[[routes]]\npath = \"/live\"\nupstream = \"http://{upstream}/sockets\"\n\
         strip_prefix = true\nwebsocket = true\n{more}\n"
    )
}

pub(super) async fn logged_in(upstream: &HostileUpstream, more: &str) -> (Stack, Browser) {
    let more = route(upstream.address, more);
    let stack = Stack::start(Setup { more, ..Setup::default() }).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    (stack, browser)
}

/// Agrees to every handshake, then hangs.
pub(super) async fn quiet() -> HostileUpstream {
    HostileUpstream::playing(vec![Step::ReadHead, send(switch("")), Step::Hang]).await
}

async fn metrics(stack: &Stack) -> String {
    Browser::new().get(&format!("{}/metrics", stack.admin)).await.body
}

pub(super) async fn waits_for_metric(stack: &Stack, line: &str) {
    for _ in 0..1_000 {
        if metrics(stack).await.contains(line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{line} is not in {}", metrics(stack).await);
}

// proves: PX-15, CS-11, PX-03, PX-04
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_joined_with_the_token_and_without_our_cookies() {
    let upstream = HostileUpstream::playing(vec![
        Step::ReadHead,
        send(switch("sec-websocket-protocol: chat\r\nset-cookie: evil=1\r\nx-more: 1\r\n")),
        send(b"\x81\x02hi"),
        Step::ReadAny,
        send(frame(0x82, &[7; 300])),
        Step::Hang,
    ])
    .await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let fields = format!(
        "origin: {}\r\nsec-websocket-protocol: chat.v2, chat\r\nauthorization: Bearer forged\r\n\
         sec-websocket-extensions: permessage-deflate\r\nsec-fetch-site: same-origin\r\n\
         sec-fetch-dest: websocket\r\nsec-fetch-mode: websocket\r\n",
        stack.app
    );
    let request = handshake(&stack, &browser, "/live/room?id=7", &fields);
    let mut socket = Socket::sending(&stack, request).await;
    let head = socket.head().await.to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    for line in ["upgrade: websocket", "connection: upgrade", "sec-websocket-protocol: chat"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    assert!(head.contains(&format!("sec-websocket-accept: {}", ACCEPT.to_lowercase())), "{head}");
    for absent in ["evil", "x-more", "content-length", "transfer-encoding", "cloakroom-error"] {
        assert!(!head.contains(absent), "{absent}: {head}");
    }
    assert_eq!(socket.exactly(4).await, b"\x81\x02hi");
    let masked = b"\x81\x82\x01\x02\x03\x04\x69\x6b";
    socket.send(masked).await;
    assert_eq!(socket.exactly(310).await, frame(0x82, &[7; 300]));
    let seen = upstream.requests();
    let asked = seen[0].to_lowercase();
    assert!(asked.starts_with("get /sockets/room?id=7 http/1.1\r\n"), "{asked}");
    for line in [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-version: 13",
        "sec-websocket-protocol: chat.v2, chat",
        "sec-websocket-extensions: permessage-deflate",
    ] {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line}: {asked}");
    }
    assert_eq!(asked.matches("authorization: bearer ").count(), 1, "{asked}");
    for absent in ["cookie", "forged", "origin", "sec-fetch", "content-length", "transfer-enc"] {
        assert!(!asked.contains(absent), "{absent}: {asked}");
    }
    assert_eq!(seen[1], String::from_utf8_lossy(masked));
    waits_for_metric(&stack, "cloakroom_tunnels_open 1").await;
    drop(socket);
    waits_for_metric(&stack, "cloakroom_tunnels_closed_total{cause=\"browser\"} 1").await;
    waits_for_metric(&stack, "cloakroom_tunnels_open 0").await;
    waits_for_metric(&stack, "cloakroom_requests_total{status=\"101\"} 1").await;
    until(|| upstream.hung_up() == 1).await;
    stack.stop().await;
}

// proves: CS-11
#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_pages_with_a_session_open_a_websocket() {
    let upstream = quiet().await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let stranger = Browser::new();
    let own = format!("origin: {}\r\n", stack.app);
    for (who, fields, status, code) in [
        (&browser, String::new(), 403, "csrf_origin"),
        (&browser, "x-csrf: 1\r\nsec-fetch-site: same-origin\r\n".to_owned(), 403, "csrf_origin"),
        (&browser, "origin: null\r\n".to_owned(), 403, "csrf_origin"),
        (&browser, "origin: https://evil.test\r\n".to_owned(), 403, "csrf_origin"),
        (&browser, format!("origin: {}0\r\n", stack.app), 403, "csrf_origin"),
        (&browser, format!("{own}{own}"), 403, "csrf_origin"),
        (&browser, format!("{own}sec-fetch-site: cross-site\r\n"), 403, "csrf_fetch_site"),
        (&browser, format!("{own}sec-fetch-site: none\r\n"), 403, "csrf_fetch_site"),
        (&browser, format!("{own}sec-fetch-dest: iframe\r\n"), 403, "forbidden_fetch_dest"),
        (&stranger, own.clone(), 401, "not_logged_in"),
    ] {
        let request = handshake(&stack, who, "/live/room", &fields);
        let mut socket = Socket::sending(&stack, request).await;
        assert_refused(&mut socket, status, code).await;
    }
    assert_eq!(upstream.connections(), 0);
    stack.fetch(&browser, "POST", "/logout").await;
    stack.stop().await;
}

/// A refusal has a length, and the connection closes after it: whatever follows is no second request.
pub(super) async fn assert_refused(socket: &mut Socket, status: u16, code: &str) {
    let head = socket.head().await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{code}: {head}");
    assert!(head.contains(&format!("\r\ncloakroom-error: {code}\r\n")), "{code}: {head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    socket.exactly(length.parse().unwrap()).await;
    // Some servers would take this for a second request.
    let _ = socket.0.write_all(b"GET /session HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(socket.rest().await, b"", "{code}");
}

// proves: PX-15, CS-11
#[tokio::test(flavor = "multi_thread")]
async fn upgrade_alone_is_an_error_wherever_it_is_sent() {
    let upstream = quiet().await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let own = format!("origin: {}\r\n", stack.app);
    let whole = |path: &str| handshake(&stack, &browser, path, &own);
    let bad = "bad_handshake";
    for (request, code) in [
        (whole("/live").replacen("GET", "POST", 1), bad),
        (whole("/live").replacen("HTTP/1.1", "HTTP/1.0", 1), bad),
        (whole("/live").replace("connection: keep-alive, Upgrade\r\n", ""), bad),
        (whole("/live").replace("version: 13", "version: 12"), bad),
        (whole("/live").replace("upgrade: websocket\r\n", "upgrade: websocket, h2c\r\n"), bad),
        (whole("/live").replace("cookie:", "content-length: 5\r\ncookie:"), bad),
        (whole("/live").replace("cookie:", "transfer-encoding: chunked\r\ncookie:"), bad),
        (whole("/api/echo"), "upgrade_unsupported"),
        (whole("/public/hello"), "upgrade_unsupported"),
        (whole("/session"), "upgrade_unsupported"),
        (whole("/logout").replacen("GET", "POST", 1), "upgrade_unsupported"),
        (whole("/login"), "upgrade_unsupported"),
    ] {
        let mut socket = Socket::sending(&stack, &request).await;
        let head = socket.head().await;
        assert!(head.starts_with("HTTP/1.1 400 ") || head.starts_with("HTTP/1.0 400 "), "{head}");
        assert!(head.contains(&format!("cloakroom-error: {code}\r\n")), "{request}{head}");
        let told = head.contains("sec-websocket-version: 13\r\n");
        assert_eq!(told, code == bad, "RFC 6455 §4.2.2: {head}");
    }
    let mut socket = Socket::sending(&stack, whole("/somewhere")).await;
    assert_refused(&mut socket, 404, "not_found").await;
    assert_eq!(upstream.connections(), 0);
    assert_eq!(stack.session(&browser).await["authenticated"], true, "nobody was logged out");
    stack.stop().await;
}

// proves: PX-15
#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_are_not_switched_to_and_connect_is_refused() {
    let upstream = HostileUpstream::answering(ok("plain")).await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let h2c = handshake(&stack, &browser, "/live", "x-csrf: 1\r\nsec-fetch-site: same-origin\r\n")
        .replace("upgrade: websocket", "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__")
        .replace("keep-alive, Upgrade", "Upgrade, HTTP2-Settings");
    let mut socket = Socket::sending(&stack, h2c).await;
    let head = socket.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(socket.rest().await, b"plain");
    let asked = upstream.request().to_lowercase();
    assert!(!asked.contains("h2c") && !asked.contains("http2") && !asked.contains("upgrade"));
    for target in [format!("localhost:{}", stack.port), "evil.test:443".to_owned()] {
        let connect = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n");
        let mut socket = Socket::sending(&stack, connect).await;
        let head = socket.head().await;
        assert!(head.starts_with("HTTP/1.1 4"), "{head}");
        socket.rest().await;
    }
    assert_eq!(upstream.connections(), 1);
    stack.stop().await;
}

// proves: PX-08, PX-15
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_switch_is_no_tunnel() {
    let long = format!("HTTP/1.1 403 No\r\ncontent-length: 99999\r\n\r\n{}", "x".repeat(99_999));
    let answers = [
        ("HTTP/1.1 403 No\r\ncontent-length: 4\r\nset-cookie: a=b\r\n\r\nnope".to_owned(), 403, ""),
        (
            "HTTP/1.1 404 No\r\ntransfer-encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n"
                .to_owned(),
            404,
            "",
        ),
        (long, 502, "upstream_invalid"),
        (switch("").replace(ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOO="), 502, "upstream_invalid"),
        (switch("sec-websocket-protocol: other\r\n"), 502, "upstream_invalid"),
        (switch("sec-websocket-extensions: x-mux\r\n"), 502, "upstream_invalid"),
        (switch("").replace("upgrade: websocket", "upgrade: h2c"), 502, "upstream_invalid"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), 502, "upstream_invalid"),
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), 502, "upstream_invalid"),
        (String::new(), 502, "upstream_unavailable"),
    ];
    let count = answers.len();
    let script = answers.clone();
    let upstream = HostileUpstream::start(move |n| {
        let mut steps = vec![Step::ReadHead, send(&script[n].0)];
        if !script[n].0.is_empty() {
            steps.push(Step::Hang);
        }
        steps
    })
    .await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let own = format!("origin: {}\r\nsec-websocket-protocol: chat\r\n", stack.app);
    for (answer, status, code) in answers {
        let request = handshake(&stack, &browser, "/live", &own);
        let mut socket = Socket::sending(&stack, request).await;
        if !code.is_empty() {
            assert_refused(&mut socket, status, code).await;
            continue;
        }
        let head = socket.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}: {head}");
        assert!(head.contains("connection: close\r\n") && head.contains("content-length: 4\r\n"));
        assert!(!head.contains("set-cookie: a") && !head.contains("cloakroom-error"), "{head}");
        assert_eq!(socket.rest().await, b"nope");
    }
    // The two refusals that came whole leave their connections usable; one closed by itself.
    until(|| upstream.hung_up() == count - 3).await;
    stack.stop().await;
}

// proves: PX-16
// proves: PX-16
// proves: PX-16
// proves: PX-16
// proves: PX-14
#[tokio::test(flavor = "multi_thread")]
async fn each_side_is_read_only_as_fast_as_the_other_takes_it() {
    const MUCH: usize = 64 << 20;
    let go = Arc::new(Notify::new());
    let upstream = HostileUpstream::playing(vec![
        Step::ReadHead,
        send(switch("")),
        Step::SendFilling(MUCH),
        Step::Wait(Arc::clone(&go)),
        Step::ReadBytes(MUCH),
        send("done"),
    ])
    .await;
    let (stack, browser) = logged_in(&upstream, "").await;
    let mut socket = Socket::open(&stack, &browser, "/live").await;
    let mut before = usize::MAX;
    while before != upstream.sent() {
        before = upstream.sent();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < MUCH / 2, "the browser reads nothing: {before}");
    for _ in 0..MUCH / (1 << 20) {
        socket.exactly(1 << 20).await;
    }
    let piece = vec![b'y'; 1 << 20];
    let mut sent = 0;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(500), socket.0.write(&piece)).await
    {
        sent += written.unwrap();
        assert!(sent < MUCH / 2, "the upstream reads nothing");
    }
    go.notify_one();
    while sent < MUCH {
        let length = piece.len().min(MUCH - sent);
        sent += socket.0.write(&piece[..length]).await.unwrap();
    }
    assert_eq!(socket.rest().await, b"done");
    stack.stop().await;
}

// proves: PX-16
// proves: RF-06
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_with_an_old_token_is_refreshed_first_and_brings_the_cookies() {
    let upstream = quiet().await;
    let (stack, browser) = logged_in(&upstream, "").await;
    stack.clock.advance(Duration::from_secs(301));
    let request = handshake(&stack, &browser, "/live", &format!("origin: {}\r\n", stack.app));
    let mut socket = Socket::sending(&stack, request).await;
    let head = socket.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.to_lowercase().contains("\r\nset-cookie: __host-http-"), "{head}");
    assert_eq!(stack.provider().calls().refreshes, 1);
    drop(socket);
    let page = stack.fetch(&browser, "GET", "/session").await;
    assert!(set_cookies(&page).is_empty());
    stack.stop().await;
}

// proves: PX-14
#[tokio::test(flavor = "multi_thread")]
async fn an_open_websocket_is_a_call_in_flight_at_its_upstream() {
    let upstream = quiet().await;
    // Each of the two workers counts for both.
    let (stack, browser) = logged_in(&upstream, "max_in_flight = 1").await;
    let first = Socket::open(&stack, &browser, "/live").await;
    let request = handshake(&stack, &browser, "/live", &format!("origin: {}\r\n", stack.app));
    let mut second = Socket::sending(&stack, &request).await;
    assert_refused(&mut second, 503, "upstream_busy").await;
    drop(first);
    until(|| upstream.hung_up() == 1).await;
    waits_for_metric(&stack, "cloakroom_tunnels_open 0").await;
    let third = Socket::open(&stack, &browser, "/live").await;
    drop(third);
    stack.stop().await;
}
