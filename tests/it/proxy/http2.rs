//! Upstreams that speak HTTP/2: many calls over one connection, none of which holds up or ends another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cloakroom::config::{RouteConfig, Trust};
use futures_util::future::join_all;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::front::{Front, TOKEN, read_answer, route};
use super::tls::served;
use crate::support::hostile_upstream::{HostileUpstream, ok, until};
use crate::support::http2_upstream::Http2Upstream;
use crate::support::nginx::Nginx;
use crate::support::port::free_port;
use crate::support::tls::{acceptor, ca_file, file, speaking};

fn http2(address: SocketAddr) -> RouteConfig {
    let mut route = route(address);
    route.upstream.http2 = true;
    route
}

fn secure(address: SocketAddr) -> RouteConfig {
    let mut secure = http2(address);
    secure.upstream.tls = true;
    secure.upstream.host = "localhost".to_owned();
    secure.upstream.trust = Some(Arc::new(Trust::read(Some(&ca_file())).unwrap()));
    secure
}

async fn started() -> (Http2Upstream, Front) {
    let upstream = Http2Upstream::start(None, 200).await;
    let front = Front::start(http2(upstream.address));
    (upstream, front)
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn calls_at_the_same_time_share_one_connection() {
    let (upstream, front) = started().await;
    assert_eq!(front.call("GET /api/first", "").await.text(), "hello");
    let calls = join_all((0..60).map(|_| front.call("GET /api/wait", "")));
    let all_are_there = async {
        while upstream.heads().len() < 61 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        upstream.go_on();
    };
    let (answers, ()) = tokio::join!(calls, all_are_there);
    let others: Vec<_> = answers.iter().filter(|answer| answer.text() != "hello").collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(upstream.connections(), 1);
    front.stop().await;
}

// proves: PX-03, PX-06, PX-13
#[tokio::test]
async fn the_head_is_that_of_http_2_and_holds_what_every_upstream_gets() {
    let (upstream, front) = started().await;
    let fields = "te: trailers\r\nkeep-alive: timeout=5\r\nproxy-connection: close\r\naccept: text/plain\r\n\
                  authorization: Bearer other\r\ncookie: __Host-Http-x=y\r\nx-forwarded-for: 6.6.6.6\r\n";
    assert_eq!(front.call("GET /api/x?a=b%20c", fields).await.status, 200);
    let chunked = "POST /api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(front.raw(chunked).await.text(), "abc");
    assert_eq!(front.raw(post("/api/x", "abcd")).await.text(), "abcd");
    let heads = upstream.heads();
    let head = &heads[0];
    assert_eq!(head.uri().to_string(), format!("http://{}/api/x?a=b%20c", upstream.address));
    let mut names: Vec<&str> = head.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "forwarded",
            "via",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id"
        ]
    );
    assert_eq!(head.headers()["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(head.headers()["x-forwarded-for"], "192.0.2.7");
    let length = |at: usize| heads[at].headers().get("content-length").cloned();
    assert_eq!((length(0), length(1)), (None, None));
    assert_eq!(length(2).unwrap(), "4");
    front.stop().await;
}

// proves: PX-09
#[tokio::test]
async fn answers_without_a_body_are_whole_however_the_stream_ends() {
    let (_upstream, front) = started().await;
    let answer = front.call("GET /api/204", "").await;
    assert_eq!((answer.status, answer.field("content-length"), answer.body.len()), (204, None, 0));
    let answer = front.call("GET /api/304", "").await;
    assert_eq!((answer.status, answer.field("content-length")), (304, Some("77")));
    let answer = front.call("HEAD /api/length", "").await;
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("12")));
    assert!(answer.body.is_empty());
    let answer = front.call("GET /api/trailers", "").await;
    assert_eq!(answer.text(), "4\r\nbody\r\n0\r\n\r\n", "trailers stop here");
    assert_eq!(front.call("GET /api/large-head", "").await.problem(), (502, "upstream_invalid"));
    let lie = front.call("GET /api/lies", "").await;
    assert!(lie.status == 502 || !lie.is_complete, "{lie:?}");
    front.stop().await;
}

#[tokio::test]
async fn bodies_larger_than_every_window_pass_both_ways() {
    let upstream = Http2Upstream::start(None, 200).await;
    let body_limit = 64 * 1024 * 1024;
    let front = Front::start(RouteConfig { body_limit, ..http2(upstream.address) });
    let body = "0123456789abcdef".repeat(300_000);
    let answers = join_all((0..3).map(|_| front.raw(post("/api/x", &body)))).await;
    for answer in answers {
        assert!(answer.status == 200 && answer.text() == body, "{}", answer.body.len());
    }
    front.stop().await;
}

// proves: PX-15
#[tokio::test]
async fn a_caller_who_goes_away_or_stalls_ends_or_holds_up_nothing_but_its_own_call() {
    let (upstream, front) = started().await;
    assert_eq!(front.call("GET /api/first", "").await.text(), "hello");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    // Ten who read nothing of what floods them, one who waits, and one who goes away.
    let mut stalled = Vec::new();
    for _ in 0..10 {
        let mut socket = front.connect().await;
        socket.write_all(get("/api/flood").as_bytes()).await.unwrap();
        socket.read_exact(&mut [0; 12]).await.unwrap();
        stalled.push(socket);
    }
    let mut waiting = front.connect().await;
    waiting.write_all(get("/api/wait").as_bytes()).await.unwrap();
    let mut leaving = front.connect().await;
    leaving.write_all(get("/api/hang").as_bytes()).await.unwrap();
    until(|| upstream.heads().len() == 13).await;
    drop(leaving);
    until(|| upstream.resets() == 1).await;
    assert_eq!(front.call("GET /api/x", "").await.text(), "hello");
    upstream.go_on();
    let answer = read_answer(&mut waiting).await;
    assert_eq!(answer.text(), "hello");
    drop(stalled);
    until(|| upstream.resets() == 11).await;
    assert_eq!(upstream.connections(), 1);
    front.stop().await;
}

// proves: PX-16
#[tokio::test]
async fn what_the_upstream_has_not_begun_with_is_sent_once_more() {
    let (upstream, front) = started().await;
    assert_eq!(front.call("GET /api/first", "").await.text(), "hello");
    let answer = front.raw(
        "POST /api/refuse HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    );
    assert_eq!(answer.await.text(), "at last");
    assert_eq!(upstream.heads().len(), 3);
    // Only once, and not at all when it was begun with, or has a body that is gone.
    for (request, sent) in
        [("GET /api/refuse-always", 2), ("GET /api/broken", 1), ("POST /api/refuse-always\nabc", 1)]
    {
        let before = upstream.heads().len();
        let answer = match request.split_once('\n') {
            None => front.call(request, "").await,
            Some((line, body)) => front.raw(post(line.trim_start_matches("POST "), body)).await,
        };
        assert_eq!(answer.problem(), (502, "upstream_unavailable"), "{request}");
        assert_eq!(upstream.heads().len() - before, sent, "{request}");
    }
    front.stop().await;
}

#[tokio::test]
async fn an_upstream_that_goes_away_finishes_what_it_has_and_gets_the_next_calls_anew() {
    let (upstream, front) = started().await;
    assert_eq!(front.call("GET /api/first", "").await.text(), "hello");
    let going = async {
        until(|| upstream.heads().len() == 2).await;
        upstream.go_away();
        // As long as it goes away, the others find another way.
        while upstream.connections() < 2 {
            assert_eq!(front.call("GET /api/x", "").await.text(), "hello");
        }
        upstream.go_on();
    };
    let (waited, ()) = tokio::join!(front.call("GET /api/wait", ""), going);
    assert_eq!(waited.text(), "hello");
    front.stop().await;
}

// proves: PX-14
#[tokio::test]
async fn a_call_that_waits_in_vain_brings_no_others_onto_its_connection() {
    let upstream = Http2Upstream::start(None, 200).await;
    let mut short = http2(upstream.address);
    short.path = "/api/hang".to_owned();
    short.response_timeout = Duration::from_millis(200);
    let front = Front::with(vec![short, http2(upstream.address)], 1, false);
    assert_eq!(front.call("GET /api/first", "").await.text(), "hello");
    let going = async {
        until(|| upstream.heads().len() == 2).await;
        assert_eq!(front.call("GET /api/hang", "").await.problem(), (504, "upstream_timeout"));
        until(|| upstream.resets() == 1).await;
        assert_eq!(front.call("GET /api/x", "").await.text(), "hello");
        assert_eq!(upstream.connections(), 2);
        upstream.go_on();
    };
    let (waited, ()) = tokio::join!(front.call("GET /api/wait", ""), going);
    assert_eq!(waited.text(), "hello", "what was under way goes on");
    front.stop().await;
}

#[tokio::test]
async fn an_upstream_that_takes_few_at_a_time_gets_more_connections() {
    let upstream = Http2Upstream::start(None, 2).await;
    let front = Front::start(http2(upstream.address));
    assert_eq!(front.call("GET /api/first", "").await.text(), "hello");
    let going = async {
        until(|| upstream.heads().len() == 7).await;
        upstream.go_on();
    };
    let (answers, ()) =
        tokio::join!(join_all((0..6).map(|_| front.call("GET /api/wait", ""))), going);
    assert!(answers.iter().all(|answer| answer.text() == "hello"));
    // The first has room for one or two more, and each of the others was opened by one call.
    assert!((3..=6).contains(&upstream.connections()), "{}", upstream.connections());
    front.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_as_long_as_the_route_says() {
    let upstream = Http2Upstream::start(None, 200).await;
    let keepalive_timeout = Duration::from_millis(300);
    let front = Front::start(RouteConfig { keepalive_timeout, ..http2(upstream.address) });
    for _ in 0..3 {
        assert_eq!(front.call("GET /api/x", "").await.text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
    tokio::time::sleep(keepalive_timeout * 2).await;
    assert_eq!(front.call("GET /api/x", "").await.text(), "hello");
    assert_eq!(upstream.connections(), 2);
    front.stop().await;
}

// proves: PX-17
#[rstest]
#[case::agreed(&["h2"], true)]
#[case::one_of_two(&["http/1.1", "h2"], true)]
#[case::another(&["http/1.1"], false)]
#[case::none(&[], false)]
#[tokio::test]
async fn over_tls_the_version_is_agreed_on_or_nothing_is_sent(
    #[case] offered: &[&str],
    #[case] passes: bool,
) {
    if passes {
        let upstream = Http2Upstream::start(Some(speaking(offered)), 200).await;
        let front = Front::start(secure(upstream.address));
        for _ in 0..3 {
            assert_eq!(front.call("GET /api/x", "").await.text(), "hello");
        }
        assert_eq!(upstream.connections(), 1);
        assert_eq!(upstream.heads()[0].uri().scheme_str(), Some("https"));
        front.stop().await;
    } else {
        let (address, seen) = served(speaking(offered)).await;
        let front = Front::start(secure(address));
        assert_eq!(front.call("GET /api/x", "").await.status, 502);
        assert_eq!(seen.load(Ordering::SeqCst), 0, "no falling back");
        front.stop().await;
    }
}

#[tokio::test]
async fn an_upstream_of_another_version_is_an_error_and_hears_no_token() {
    let upstream = HostileUpstream::answering(ok("1.1")).await;
    let front = Front::start(http2(upstream.address));
    assert_eq!(front.call("GET /api/x", "").await.status, 502);
    assert!(upstream.requests().iter().all(|one| !one.contains(TOKEN)));
    front.stop().await;
    // And the other way round: without the setting nothing but HTTP/1.1 is offered.
    let (address, _seen) = served(acceptor("localhost")).await;
    let mut plain = secure(address);
    plain.upstream.http2 = false;
    let front = Front::start(plain);
    assert_eq!(front.call("GET /api/x", "").await.text(), "over TLS");
    front.stop().await;
}

#[tokio::test]
async fn a_real_server_is_spoken_to_with_and_without_tls() {
    let (port, plain) = (free_port(), free_port());
    let (cert, key) = (file("localhost.pem"), file("localhost.key.pem"));
    let body = "x".repeat(200_000);
    let nginx = Nginx::start(port, |folder| {
        std::fs::write(folder.join("large"), &body).unwrap();
        format!(
            "server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {}; ssl_certificate_key {};
               root {folder}; location /api/ {{ return 200 \"$server_protocol $http_authorization\"; }}
               location /api/large {{ alias {folder}/large; }} }}
             server {{ listen 127.0.0.1:{plain} http2;
               location /api/ {{ return 200 \"$server_protocol $host\"; }} }}",
            cert.display(),
            key.display(),
            folder = folder.display(),
        )
    })
    .await;
    let front = Front::start(secure(nginx.address));
    let said = format!("HTTP/2.0 Bearer {TOKEN}");
    assert_eq!(front.call("GET /api/x", "").await.text(), said);
    let answers = join_all((0..20).map(|_| front.call("GET /api/large", ""))).await;
    assert!(answers.iter().all(|answer| answer.is_complete && answer.text() == body));
    front.stop().await;
    let front = Front::start(http2(SocketAddr::from(([127, 0, 0, 1], plain))));
    assert_eq!(front.call("GET /api/x", "").await.text(), "HTTP/2.0 127.0.0.1");
    front.stop().await;
}
