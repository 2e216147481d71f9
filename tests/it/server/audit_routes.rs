//! Sensitive routes (`audit = true`): every call leaves an event, whatever becomes of it, and other routes leave none.

use std::time::Duration;

use cloakroom::clock::Clock;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::audit::log_in;
use super::audit_stream::{events, to_file};
use super::deny_file::folder;
use super::served::{SESSION, Served};
use super::setup::hostile_op;
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, Manner, Reply};
use crate::support::hostile_upstream::until;
use crate::support::stack::FETCH;

fn calls(text: &str) -> Vec<Value> {
    events(text).into_iter().filter(|event| event["event"] == "api_call").collect()
}

// proves: EL-04, ID-18
#[tokio::test(flavor = "multi_thread")]
async fn every_call_to_a_sensitive_route_says_who_what_and_how_it_ended() {
    let op = hostile_op(Clock::system()).await;
    let file = folder("audit-routes").join("audit");
    let other = format!("[[routes]]\npath = \"/plain\"\nupstream = \"http://{}\"\n", op.address);
    let more = format!("audit = true\n{other}{}", to_file(&file, ""));
    let mut served = Served::start_with(&op, "json", (SESSION, &more)).await;
    let browser = Browser::new();
    op.answer_with(Endpoint::Other, Reply::json(200, &json!({ "secret": "4711" })));
    log_in(&mut served, &op, &browser).await;
    let ok = served.send(&browser, "GET", "/api/orders/17?secret=4711", &FETCH).await;
    served.send(&browser, "GET", "/plain/orders", &FETCH).await;
    op.answer_with(Endpoint::Other, Reply::json(404, &json!({})));
    served.send(&browser, "DELETE", "/api/orders/17", &FETCH).await;
    served.send(&browser, "POST", "/api/orders", &[("sec-fetch-site", "same-origin")]).await;
    served.send(&Browser::new(), "GET", "/api/orders", &FETCH).await;
    op.answer_with(Endpoint::Other, Reply::new(200, "text/plain", "").written(Manner::HangUp));
    served.send(&browser, "PUT", "/api/orders", &FETCH).await;
    // The caller goes away while the API thinks.
    op.answer_with(Endpoint::Other, Reply::json(200, &json!({})).after(Duration::from_secs(5)));
    let cookies: Vec<String> =
        browser.jar().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let host = served.app.strip_prefix("http://").unwrap();
    let request = format!(
        "GET /api/slow HTTP/1.1\r\nhost: {host}\r\nx-csrf: 1\r\nsec-fetch-site: same-origin\r\ncookie: {}\r\n\r\n",
        cookies.join("; ")
    );
    let seen = op.calls(Endpoint::Other);
    let mut socket = TcpStream::connect(host).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    until(|| op.calls(Endpoint::Other) > seen).await;
    drop(socket);
    until(|| calls(&std::fs::read_to_string(&file).unwrap()).len() == 6).await;
    served.logs();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("4711") && !text.contains("/api/orders\",\"method"), "{text}");
    let calls = calls(&text);
    let seen: Vec<_> = calls
        .iter()
        .map(|call| {
            let (method, status) = (call["method"].as_str().unwrap(), call["status"].as_u64());
            assert!(call["route"] == "/api" && call["ms"].is_u64(), "{call}");
            (method, status, call["code"].as_str(), call["user"].is_string())
        })
        .collect();
    let expected = [
        ("GET", Some(200), None, true),
        ("DELETE", Some(404), None, true),
        ("POST", Some(403), Some("csrf_header_missing"), false),
        ("GET", Some(401), Some("not_logged_in"), false),
        ("PUT", Some(502), Some("upstream_unavailable"), true),
        ("GET", None, Some("client_gone"), true),
    ];
    assert_eq!(seen, expected, "{text}");
    assert_eq!(calls[0]["request_id"].as_str().unwrap(), ok.headers["x-request-id"]);
    let all = events(&text);
    let login = all.iter().find(|event| event["event"] == "login_succeeded").unwrap();
    for name in ["user", "session"] {
        assert_eq!(calls[0][name], login[name], "the names that the login had");
    }
}
