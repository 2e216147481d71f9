//! What the log of the released command says of logins, refreshes and refusals, and what nobody can write into it.

use std::time::Duration;

use cloakroom::clock::Clock;
use serde_json::{Value, json};

use super::served::Served;
use super::setup::{callback, hostile_op};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, Reply, set};
use crate::support::stack::{FETCH, LINK};

pub async fn log_in(served: &mut Served, op: &HostileOp, browser: &Browser) {
    let page = served.send(browser, "GET", "/login", &LINK).await;
    let path = callback(op, page.redirect().unwrap().as_str(), "/callback");
    served.send(browser, "GET", &path, &[]).await;
}

/// Waits until the token, which lives a second, has ended by the server's own clock, and refreshes.
async fn refresh(served: &mut Served, browser: &Browser) {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    served.send(browser, "POST", "/refresh", &FETCH).await;
}

/// One thing after another that security people ask about; the comments are the audit lines.
async fn an_eventful_day(served: &mut Served, op: &HostileOp) {
    let browser = Browser::new();
    op.turn(|knobs| knobs.token_response = set("expires_in", Some(json!(1))));
    log_in(served, op, &browser).await; // 0 login_started, 1 login_succeeded (alice)
    refresh(served, &browser).await; // 2 refresh_succeeded
    op.answer_with(Endpoint::Token, Reply::json(503, &json!({})));
    refresh(served, &browser).await; // 3 refresh_failed
    op.answer_honestly(Endpoint::Token);
    log_in(served, op, &browser).await; // 4, 5: alice again, in the same browser
    op.answer_with(Endpoint::Token, Reply::json(400, &json!({ "error": "invalid_grant" })));
    refresh(served, &browser).await; // 6 refresh_failed, session_ended
    log_in(served, op, &browser).await; // 7 login_started, 8 login_failed
    op.answer_honestly(Endpoint::Token);
    op.turn(|knobs| knobs.sub = "bob".to_owned());
    let bobs = Browser::new();
    log_in(served, op, &bobs).await; // 9, 10: bob
    served.send(&bobs, "POST", "/logout", &[("sec-fetch-site", "same-origin")]).await; // 11 refused
    served.send(&bobs, "GET", "/api/orders?secret=1", &[("x-csrf", "1"), ("origin", "null")]).await; // 12 refused
    served.send(&bobs, "POST", "/logout", &FETCH).await; // 13 logged_out
}

/// Event and reason code of every audit line of that day.
const DAY: [(&str, Option<&str>); 14] = [
    ("login_started", None),
    ("login_succeeded", None),
    ("refresh_succeeded", None),
    ("refresh_failed", Some("token_unavailable")),
    ("login_started", None),
    ("login_succeeded", None),
    ("refresh_failed", Some("invalid_grant")),
    ("login_started", None),
    ("login_failed", Some("code_rejected")),
    ("login_started", None),
    ("login_succeeded", None),
    ("refused", Some("csrf_header_missing")),
    ("refused", Some("csrf_origin")),
    ("logged_out", None),
];

// proves: CK-13, EL-04
#[tokio::test(flavor = "multi_thread")]
async fn every_event_names_request_reason_session_and_user_by_digests_that_join_its_lines() {
    let op = hostile_op(Clock::system()).await;
    let mut served = Served::start(&op, "json").await;
    an_eventful_day(&mut served, &op).await;
    let (log, _) = served.logs();
    let audit: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["target"] == "audit")
        .collect();
    let seen: Vec<_> =
        audit.iter().map(|line| (line["event"].as_str().unwrap(), line["code"].as_str())).collect();
    assert_eq!(seen, DAY, "{log}");
    let mut requests = std::collections::HashSet::new();
    for line in &audit {
        assert!(requests.insert(line["request_id"].as_str().unwrap()), "one request, one event");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "UTC: {line}");
        for of_a_user in ["alice", "bob", "op-session", "example.com"] {
            assert!(!line.to_string().contains(of_a_user), "{line}");
        }
    }
    let of = |at: usize, name: &str| {
        let text = audit[at][name].as_str().unwrap_or_else(|| panic!("no {name}: {}", audit[at]));
        text.to_owned()
    };
    let [first, second, bobs] = [1, 5, 10].map(|at| of(at, "session"));
    for at in [2, 3] {
        assert_eq!(of(at, "session"), first, "a refresh is part of the session");
    }
    assert_ne!(second, first, "a login makes a new session, in the same browser too");
    assert_eq!(of(6, "session"), second);
    assert_eq!([&audit[3]["session_ended"], &audit[6]["session_ended"]], [false, true]);
    assert_eq!(of(13, "session"), bobs);
    assert_eq!(of(1, "user"), of(5, "user"), "the same user");
    assert_ne!(of(10, "user"), of(1, "user"), "another user");
    assert_eq!(of(13, "user"), of(10, "user"));
    for at in [1, 5, 10, 13] {
        assert_eq!(of(at, "issuer"), op.issuer);
        assert_eq!((of(at, "session").len(), of(at, "user").len()), (22, 22));
    }
    assert_eq!([of(11, "route"), of(12, "route")], ["/logout", "/api/orders"], "without a query");
}

pub const MARK: &str = "forged4711";
/// What writes into a log, a terminal or an eye: line ends, ANSI, C1, DEL, text that runs backwards, JSON and key=value.
pub const EVIL: [&str; 7] = [
    "\u{1b}[31mred",
    "\u{9b}31mred",
    "\u{202e}txet\u{2066}",
    "\u{7f}\u{2028}\u{85}",
    "x\r\n2026-01-01T00:00:00Z INFO audit: event=\"login_succeeded\"",
    "\"}\n{\"target\":\"audit\",\"event\":\"login_succeeded\"}",
    "x\t event=\"login_succeeded\"",
];

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The text in every place of a request that a stranger can write to, raw and percent-encoded.
pub fn evil_requests(host: &str, text: &str) -> Vec<Vec<u8>> {
    let text = format!("{MARK}{text}");
    let code = encoded(&text);
    let raw_path = text.replace([' ', '\r', '\n', '\t'], "");
    let request = |target: &str, host: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n")
            .into_bytes()
    };
    let mut requests = vec![
        request("/session", &text, ""),
        request(&format!("/{raw_path}"), host, ""),
        request(&format!("/api/{raw_path}"), host, "X-CSRF: 1\r\n"),
        request(&format!("/{code}?{code}"), host, ""),
        request(&format!("/api/{code}"), host, "X-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n"),
        request(&format!("/login?return_to=/{code}&prompt={code}"), host, ""),
        request(&format!("/callback?code={code}&state={code}&iss={code}"), host, ""),
        request(&format!("/callback?error={code}&state={code}&error_description={code}"), host, ""),
    ];
    for name in [
        "Origin",
        "X-Forwarded-For",
        "User-Agent",
        "Sec-Fetch-Site",
        "Cookie",
        "X-CSRF",
        "X-Request-Id",
    ] {
        requests.push(request("/session", host, &format!("{name}: {text}\r\n")));
        requests.push(request("/callback", host, &format!("{name}: {code}\r\n")));
    }
    requests
}

// proves: CB-05, EL-05
#[rstest::rstest]
#[case::json("json")]
#[case::pretty("pretty")]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_lines_colours_or_backward_text_into_the_log(#[case] format: &str) {
    let op = hostile_op(Clock::system()).await;
    let mut served = Served::start(&op, format).await;
    let host = served.app.strip_prefix("http://").unwrap().to_owned();
    for text in EVIL {
        for request in evil_requests(&host, text) {
            let seen = served.seen.len();
            let status = served.raw(&request).await;
            if request.starts_with(b"GET /login?") {
                // The page that asks for a click repeats its own address, and the way there holds `prompt`.
                served.seen.truncate(seen);
            }
            let shown = String::from_utf8_lossy(&request);
            assert!((200..500).contains(&status), "{status}: {}", shown.escape_debug());
        }
        // With a login under way, the callback reads further.
        let browser = Browser::new();
        let page = served.send(&browser, "GET", "/login?return_to=/back", &LINK).await;
        let authorize = String::from(page.redirect().unwrap());
        let state = authorize.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let code = encoded(&format!("{MARK}{text}"));
        let long = "A".repeat(30_000);
        let path = format!(
            "/callback?state={state}&iss={}&error={code}&error_description={code}{long}&error_uri=https://{MARK}",
            encoded(&op.issuer)
        );
        let page = served.send(&browser, "GET", &path, &[]).await;
        assert_eq!(page.status, 303);
        let location = page.headers["location"].to_str().unwrap();
        assert!(location.contains("auth_error=login_failed") && location.len() < 200, "{location}");
    }
    let (log, seen) = served.logs();
    assert!(!seen.contains(MARK), "an answer repeats what it was told");
    assert!(log.contains(&format!("{MARK}%1B%5B31mred")), "paths are logged, as they came");
    for line in log.lines() {
        let forged = line.chars().find(|c| c.is_control() || is_invisible(*c));
        assert_eq!(forged, None, "in the log: {}", line.escape_debug());
        assert!(line.starts_with(['{', '2']), "a line of its own: {line}");
        if format == "json" {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["event"] != "login_succeeded", "{line}");
        } else {
            assert!(!line.contains("event=\"login_succeeded\""), "{line}");
        }
    }
}

/// Line separators, and marks that turn the direction of text.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

// proves: CB-05
#[tokio::test(flavor = "multi_thread")]
async fn an_error_text_of_a_hundred_kilobytes_is_refused_and_written_nowhere() {
    let op = hostile_op(Clock::system()).await;
    let mut served = Served::start(&op, "json").await;
    let host = served.app.strip_prefix("http://").unwrap().to_owned();
    for (kilobytes, expected) in [(60, 303), (100, 400)] {
        let text = MARK.repeat(kilobytes * 100);
        let request = format!(
            "GET /callback?error=x&state=y&error_description={text} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        );
        let status = served.raw(request.as_bytes()).await;
        assert_eq!(status, expected, "{kilobytes} kB");
    }
    assert_eq!(
        served.send(&Browser::new(), "GET", "/session", &FETCH).await.status,
        200,
        "still here"
    );
    let (log, seen) = served.logs();
    for (place, text) in [("answer", &seen), ("log", &log)] {
        assert!(!text.contains(MARK), "in the {place}");
    }
}
