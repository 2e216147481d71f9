//! The demo API.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Fixture, text};

#[tokio::test]
async fn echo_shows_the_request_and_the_claims_but_never_the_token() {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("alice").await;
    let token = text(&tokens, "access_token");
    let request = fixture
        .client
        .patch(fixture.api(&format!("/api/echo/deeper?q=1&access_token={token}")))
        .bearer_auth(token)
        .header("x-copy", format!("also {token}"))
        .header("x-twice", "a")
        .header("x-twice", "b")
        .body("12345");
    let body = request.send().await.unwrap().text().await.unwrap();
    assert!(!body.contains(token) && !body.contains(token.rsplit('.').next().unwrap()), "{body}");
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&told["method"], &told["path"]), (&json!("PATCH"), &json!("/api/echo/deeper")));
    assert_eq!(told["query"], "q=1&access_token=[redacted]");
    assert_eq!((&told["claims"]["sub"], &told["body_bytes"]), (&json!("alice"), &json!(5)));
    assert_eq!(told["headers"]["authorization"], "[redacted]");
    assert_eq!(
        (&told["headers"]["x-copy"], &told["headers"]["x-twice"]),
        (&json!("also [redacted]"), &json!("a, b"))
    );
}

#[tokio::test]
async fn a_caller_without_a_good_token_is_told_so_on_every_route() {
    let (fixture, foreign) = (Fixture::start().await, Fixture::start().await);
    let tokens = fixture.tokens("alice").await;
    let foreign = foreign.tokens("alice").await;
    let good = text(&tokens, "access_token");
    let payload = good.split('.').nth(1).unwrap();
    let unsigned = |header: &str| format!("Bearer {}.{payload}.", URL_SAFE_NO_PAD.encode(header));
    let hmac_with_nothing = good.rsplit_once('.').unwrap().0;
    for bad in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {good}"),
        format!("Bearer {hmac_with_nothing}.AAAA"),
        format!("Bearer {}", text(&foreign, "access_token")),
        format!("Bearer {}", text(&tokens, "id_token")),
        format!("Bearer {}", text(&tokens, "refresh_token")),
        unsigned(r#"{"alg":"none","typ":"at+jwt"}"#),
        unsigned(r#"{"alg":"HS256","typ":"at+jwt"}"#),
    ] {
        for path in [
            "/api/echo",
            "/api/forbidden",
            "/api/error",
            "/api/slow?ms=0",
            "/api/download/report.csv",
        ] {
            let request = fixture.client.get(fixture.api(path)).header("authorization", &bad);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401, "{path} with {bad}");
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.starts_with("Bearer "), "{challenge}");
        }
    }
    let twice = fixture.client.get(fixture.api("/api/echo")).bearer_auth(good).bearer_auth(good);
    assert_eq!(twice.send().await.unwrap().status(), 401, "two tokens are none");

    let now = fixture.client.get(fixture.api("/api/echo")).bearer_auth(good);
    assert_eq!(now.send().await.unwrap().status(), 200);
    fixture.clock.advance(Duration::from_secs(300));
    let later = fixture.client.get(fixture.api("/api/echo")).bearer_auth(good);
    assert_eq!(later.send().await.unwrap().status(), 401, "expired");
}

#[rstest]
#[case("/api/error", 500, "demo_failure")]
#[case("/api/forbidden", 403, "insufficient_scope")]
#[case("/api/nothing", 404, "not_found")]
#[tokio::test]
async fn failures_are_json(#[case] path: &str, #[case] status: u16, #[case] error: &str) {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("alice").await;
    let request = fixture.client.get(fixture.api(path)).bearer_auth(text(&tokens, "access_token"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), status);
    let challenge = answer.headers().get("www-authenticate").cloned();
    assert_eq!(
        challenge.is_some_and(|c| c.to_str().unwrap().contains("insufficient_scope")),
        status == 403
    );
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "error": error }));
}

#[tokio::test]
async fn uploads_are_hashed_downloads_are_attachments_slow_answers_and_hello_needs_nobody() {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("bob").await;
    let token = text(&tokens, "access_token");
    let upload = fixture.client.post(fixture.api("/api/upload")).bearer_auth(token);
    // A million times `a`: the third test vector of FIPS 180-2.
    let told: Value =
        upload.body(vec![b'a'; 1_000_000]).send().await.unwrap().json().await.unwrap();
    let sha256 = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    assert_eq!(told, json!({ "bytes": 1_000_000, "sha256": sha256 }));
    let get = fixture.client.get(fixture.api("/api/upload")).bearer_auth(token);
    assert_eq!(get.send().await.unwrap().status(), 405);

    let report = fixture.client.get(fixture.api("/api/download/report.csv")).bearer_auth(token);
    let report = report.send().await.unwrap();
    assert_eq!(report.headers()["content-disposition"], "attachment; filename=\"report.csv\"");
    assert!(report.text().await.unwrap().contains("us,bob"));

    let slow = fixture.client.get(fixture.api("/api/slow?ms=1")).bearer_auth(token);
    let told: Value = slow.send().await.unwrap().json().await.unwrap();
    assert_eq!(told, json!({ "slept_ms": 1 }));

    let hello = fixture.client.get(fixture.api("/public/hello")).send().await.unwrap();
    assert_eq!(hello.json::<Value>().await.unwrap(), json!({ "hello": "world" }));
}

/// A masked frame, as browsers send.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 0x7e);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[tokio::test]
async fn a_websocket_says_everything_back_and_needs_a_token() {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("alice").await;
    let address = fixture.api("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let ask = |token: &str| {
        format!(
            "GET /api/socket HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {token}\r\n\r\n"
        )
    };
    let mut refused = TcpStream::connect(&address).await.unwrap();
    refused.write_all(ask("none").as_bytes()).await.unwrap();
    let mut start = [0; 12];
    refused.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 401");
    let mut socket = TcpStream::connect(&address).await.unwrap();
    socket.write_all(ask(text(&tokens, "access_token")).as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    let (short, long) = (masked(0x81, b"hi"), masked(0x82, &[7; 300]));
    let (ping, close) = (masked(0x89, b"?"), masked(0x88, &[0x03, 0xe8]));
    let sent = [short, long, ping, masked(0x8a, b"!"), close].concat();
    for piece in sent.chunks(7) {
        socket.write_all(piece).await.unwrap();
    }
    let mut told = Vec::new();
    let _ = socket.read_to_end(&mut told).await;
    let expected = [
        b"\x81\x02hi\x82\x7e\x01\x2c".to_vec(),
        vec![7; 300],
        b"\x8a\x01?\x88\x02\x03\xe8".to_vec(),
    ];
    assert_eq!(told, expected.concat());
}

#[tokio::test]
async fn the_feed_counts_for_as_long_as_somebody_listens() {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("bob").await;
    let request = fixture.client.get(fixture.api("/api/events"));
    let mut feed = request.bearer_auth(text(&tokens, "access_token")).send().await.unwrap();
    assert_eq!(feed.headers()["content-type"], "text/event-stream");
    for count in 0..2 {
        let event = feed.chunk().await.unwrap().unwrap();
        let expected = format!("id: {count}\ndata: {{\"count\":{count},\"sub\":\"bob\"}}\n\n");
        assert_eq!(String::from_utf8_lossy(&event), expected);
    }
}
