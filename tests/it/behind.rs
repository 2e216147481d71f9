//! The files in `deploy/behind`, each in the real proxy that it is for, with the real product behind: what a browser does
//! arrives, and arrives in time. Only addresses, names and paths in the files are replaced.

mod front;
mod house;
mod visitor;

use std::time::Duration;

use front::{Front, Kind};
use house::House;
use serde_json::Value;
use visitor::{VISITOR, Visitor};

use crate::support::socket::{KEY, frame};
use crate::support::stack::FETCH;

/// More than one buffer of 8 KiB, which is what most proxies give the head of a message unless told.
const FILLING: usize = 12 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx() {
    everything_works(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_beside_the_files_of_the_spa_as_in_compose() {
    everything_works(Kind::Compose).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy() {
    everything_works(Kind::Haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy() {
    everything_works(Kind::Caddy).await;
}

async fn everything_works(kind: Kind) {
    let house = House::start(kind.base_path()).await;
    let front = Front::start(kind, &house).await;
    let visitor = Visitor::new(&house);
    plain_http_leads_to_https(&front).await;
    visitor.log_in("alice").await;
    a_session_is_seen_and_its_calls_carry_the_token(&visitor).await;
    large_heads_pass_both_ways(&visitor).await;
    http_2_is_spoken_outside(&visitor).await;
    a_large_upload_passes(&visitor).await;
    the_clients_address_arrives(&house, &visitor).await;
    each_event_arrives_before_the_next_is_sent(&house, &visitor).await;
    a_websocket_says_everything_back(&visitor).await;
    if kind == Kind::Compose {
        the_files_of_the_spa_come_from_nginx(&visitor).await;
    }
    let out = visitor.fetch("POST", &house.own("/logout"), &[], "").await;
    assert_eq!(out.status, 200, "{}", out.body);
    assert_eq!(visitor.session().await["authenticated"], false);
    drop(front);
    house.stop().await;
}

async fn plain_http_leads_to_https(front: &Front) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    let url = format!("http://127.0.0.1:{}/x?y=1", front.plain);
    let asked = client.build().unwrap().get(url).header("host", "localhost").send().await.unwrap();
    assert!(asked.status().is_redirection(), "{asked:?}");
    let to = asked.headers()["location"].to_str().unwrap();
    assert!(to.starts_with("https://localhost") && to.ends_with("/x?y=1"), "{to}");
}

async fn a_session_is_seen_and_its_calls_carry_the_token(visitor: &Visitor) {
    let session = visitor.session().await;
    assert_eq!(
        (&session["authenticated"], &session["claims"]["sub"]),
        (&true.into(), &"alice".into())
    );
    let echo = visitor.fetch("GET", "/api/echo", &[], "").await;
    assert_eq!(echo.status, 200, "{}", echo.body);
    let echo: Value = serde_json::from_str(&echo.body).unwrap();
    assert_eq!(echo["headers"]["authorization"], "[redacted]", "{echo}");
    assert_eq!(echo["headers"]["x-forwarded-proto"], "https", "{echo}");
}

async fn large_heads_pass_both_ways(visitor: &Visitor) {
    let cookies = visitor.cookies_and(FILLING);
    assert!(cookies.len() > FILLING);
    let page = visitor.bare("GET", "/api/echo", &[("cookie", &cookies)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let page = visitor.bare("GET", "/api/open/large-head", &[]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.headers["x-filling"].len(), FILLING);
}

/// Browsers cut their cookies into many fields there; Cloakroom gets one.
async fn http_2_is_spoken_outside(visitor: &Visitor) {
    let said = visitor.over_http_2("/api/echo", &visitor.cookies_and(FILLING)).await;
    assert!(said.starts_with("HTTP/2 200"), "{said}");
}

async fn a_large_upload_passes(visitor: &Visitor) {
    let body = "x".repeat(3 * 1024 * 1024);
    let page = visitor.fetch("POST", "/api/upload", &[], &body).await;
    assert_eq!(page.status, 200, "{}", page.body);
}

/// The proxy's word counts, a visitor's own does not: neither through the proxy nor past it.
async fn the_clients_address_arrives(house: &House, visitor: &Visitor) {
    let lie = ("x-forwarded-for", "198.51.100.7");
    let page = visitor.bare("GET", "/api/open/address-1", &[lie]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(house.address_seen("/address-1"), VISITOR.to_string());

    let status = visitor.past_the_proxy("/api/open/address-2", lie).await;
    assert_eq!(status, 200);
    assert_eq!(house.address_seen("/address-2"), VISITOR.to_string());
}

async fn each_event_arrives_before_the_next_is_sent(house: &House, visitor: &Visitor) {
    let fields = format!(
        "{}accept: text/event-stream\r\ncookie: {}\r\n",
        FETCH.map(|(name, value)| format!("{name}: {value}\r\n")).concat(),
        visitor.cookies()
    );
    let mut stream = visitor.open("/api/stream/x", &fields).await;
    let head = stream.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for n in 0..house::EVENTS {
        stream.read_to(&format!("data: {n:02}\n\n")).await;
        house.next_event.notify_one();
    }
}

async fn a_websocket_says_everything_back(visitor: &Visitor) {
    let fields = format!(
        "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: {KEY}\r\norigin: {}\r\ncookie: {}\r\n",
        visitor.app,
        visitor.cookies()
    );
    let mut socket = visitor.open("/api/socket", &fields).await;
    let head = socket.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // "hi", masked with zeros.
    socket.send(b"\x81\x82\0\0\0\0hi").await;
    assert_eq!(socket.exactly(4).await, frame(0x81, b"hi"));
    // It may be silent for a while.
    tokio::time::sleep(Duration::from_secs(2)).await;
    socket.send(b"\x81\x82\0\0\0\0ho").await;
    assert_eq!(socket.exactly(4).await, frame(0x81, b"ho"));
}

/// A file is itself, a path of the SPA's router is the index page, and neither may be framed.
async fn the_files_of_the_spa_come_from_nginx(visitor: &Visitor) {
    for (path, text) in [("/", "<title>app"), ("/orders/7", "<title>app"), ("/app.js", "let x")] {
        let page = visitor.bare("GET", path, &[]).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains(text), "{path}: {}", page.body);
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
    }
    assert_eq!(visitor.bare("GET", "/assets/none.js", &[]).await.status, 404);
}
