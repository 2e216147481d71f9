//! The canary: the released command runs a whole life with every secret known to the test, and none of them may be found in
//! a log, a metric, an error or an address, at the most talkative log level.

use std::time::Duration;

use cloakroom::clock::Clock;
use serde_json::{Value, json};

use super::audit_stream::{events, to_file};
use super::deny_file::folder;
use super::served::{SESSION, Served};
use super::setup::hostile_op;
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, Reply, Rotation, set};
use crate::support::stack::{CLIENT_SECRET, FETCH, KEY_ONE, LINK};

fn parameter(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
}

/// Logs in; gives every secret of the attempt.
async fn log_in(served: &mut Served, op: &HostileOp, browser: &Browser) -> Vec<String> {
    let page = served.send(browser, "GET", "/login?return_to=/", &LINK).await;
    let authorize = String::from(page.redirect().unwrap());
    let mut query = form_urlencoded::Serializer::new(String::new());
    let response = op.authorize(&authorize);
    query.extend_pairs(&response);
    let attempt_cookies = browser.jar();
    served.send(browser, "GET", &format!("/callback?{}", query.finish()), &[]).await;
    let mut secrets = vec![parameter(&authorize, "state"), parameter(&authorize, "nonce")];
    secrets.extend(response.into_iter().filter(|(name, _)| name == "code").map(|(_, code)| code));
    secrets.extend(attempt_cookies.into_iter().map(|(_, value)| value));
    secrets
}

/// Tokens and verifiers, as the authorization server and the API got them.
fn told_to_others(op: &HostileOp) -> Vec<String> {
    let mut secrets = Vec::new();
    for request in
        [Endpoint::Token, Endpoint::Revocation].map(|endpoint| op.requests(endpoint)).concat()
    {
        for name in ["code", "code_verifier", "refresh_token", "token"] {
            secrets.extend(request.field(name));
        }
        secrets.extend(request.header("authorization").map(ToOwned::to_owned));
    }
    for request in
        [Endpoint::Other, Endpoint::Userinfo].map(|endpoint| op.requests(endpoint)).concat()
    {
        let bearer =
            request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        secrets.extend(bearer.map(ToOwned::to_owned));
    }
    secrets
}

async fn a_whole_life(served: &mut Served, op: &HostileOp) -> Vec<String> {
    let browser = Browser::new();
    let mut secrets = vec![CLIENT_SECRET.to_owned(), KEY_ONE.to_owned()];
    // A second after it was issued, the token is inside the early window: the next call refreshes.
    op.turn(|knobs| {
        knobs.rotation = Rotation::Always;
        knobs.token_response = set("expires_in", Some(json!(2)));
    });
    secrets.extend(log_in(served, op, &browser).await);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    served.send(&browser, "GET", "/api/orders?page=1", &FETCH).await;
    served.send(&browser, "GET", "/session", &FETCH).await;
    served.send(&browser, "POST", "/refresh", &FETCH).await;
    secrets.extend(browser.jar().into_iter().map(|(_, value)| value));
    // What goes wrong must not talk either.
    let flipped = browser.copy();
    flipped.tamper(|_, value| Some(format!("{}AAAA", &value[..value.len() - 4])));
    served.send(&flipped, "GET", "/api/orders", &FETCH).await;
    served
        .send(&browser, "GET", "/callback?code=stolen-code-4711&state=forged-state-4711", &[])
        .await;
    secrets.extend(["stolen-code-4711".to_owned(), "forged-state-4711".to_owned()]);
    served.send(&browser, "GET", "/session?access_token=in-the-query-4711", &FETCH).await;
    secrets.push("in-the-query-4711".to_owned());
    let talkative =
        json!({ "error": "server_error", "error_description": "their-secret-text-4711" });
    op.answer_with(Endpoint::Token, Reply::json(500, &talkative));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    served.send(&browser, "POST", "/refresh", &FETCH).await;
    secrets.extend(log_in(served, op, &Browser::new()).await);
    secrets.push("their-secret-text-4711".to_owned());
    op.answer_honestly(Endpoint::Token);
    served.send(&browser, "POST", "/logout", &FETCH).await;
    served.send(&browser, "GET", "/logout/continue", &LINK).await;
    for evil in ["%0d%0a%1b[31mforged=1", "%e2%80%ae", "a%0A%7B%22target%22:%22audit%22%7D"] {
        let agent = [&FETCH[..], &[("user-agent", "evil\t\"}{")]].concat();
        served.send(&browser, "GET", &format!("/{evil}?{evil}"), &agent).await;
    }
    for _ in 0..200 {
        if op.calls(Endpoint::Revocation) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    secrets.extend(told_to_others(op));
    secrets
}

// proves: EL-04, EL-05, KM-07, CB-15
#[rstest::rstest]
#[case::in_the_log(false)]
#[case::in_a_file_with_every_call(true)]
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_anywhere_and_the_log_tells_who_did_what(#[case] is_apart: bool) {
    let op = hostile_op(Clock::system()).await;
    let file = folder(&format!("canary-{is_apart}")).join("audit");
    let more =
        if is_apart { format!("audit = true\n{}", to_file(&file, "")) } else { String::new() };
    let mut served = Served::start_with(&op, "json", (SESSION, &more)).await;
    let mut secrets = a_whole_life(&mut served, &op).await;
    let metrics = Browser::new().get(&format!("{}/metrics", served.admin)).await.body;
    let (logs, seen) = served.logs();
    let stream = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(stream.contains("\"event\":\"api_call\""), is_apart, "{stream}");
    secrets.retain(|secret| secret.len() >= 8);
    assert!(secrets.len() > 20, "the life was too short: {}", secrets.len());
    for secret in &secrets {
        for (place, text) in
            [("log", &logs), ("answer", &seen), ("metric", &metrics), ("stream", &stream)]
        {
            let at = text.find(secret.as_str());
            assert!(at.is_none(), "{secret} in a {place}: {}", context(text, at.unwrap_or(0)));
        }
    }
    let mut lines: Vec<Value> =
        logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.extend(events(&stream).into_iter().map(|mut event| {
        (event["target"], event["timestamp"]) = ("audit".into(), event["time"].clone());
        event
    }));
    assert!(!logs.contains('\u{1b}') && !logs.contains('\u{202e}'), "control characters in a log");
    assert_audit(&lines);
}

fn context(text: &str, at: usize) -> &str {
    let start =
        (0..=at.saturating_sub(200)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = (at..=(at + 100).min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[start..end.unwrap_or(text.len())]
}

fn assert_audit(lines: &[Value]) {
    let audit: Vec<&Value> = lines.iter().filter(|line| line["target"] == "audit").collect();
    for event in [
        "login_started",
        "login_succeeded",
        "login_failed",
        "refresh_succeeded",
        "refresh_failed",
        "logged_out",
    ] {
        let line = audit.iter().find(|line| line["event"] == event);
        let line = line.unwrap_or_else(|| panic!("no audit line for {event}: {audit:#?}"));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "UTC: {line}");
        assert_eq!(line["request_id"].as_str().unwrap().len(), 16, "{line}");
        assert!(!line.to_string().contains("\"alice\""), "the user by digest only: {line}");
        let about_a_session = !matches!(event, "login_started" | "login_failed");
        assert_eq!(line["session"].is_string(), about_a_session, "{line}");
    }
    let access: Vec<&Value> = lines.iter().filter(|line| line["target"] == "access").collect();
    assert!(access.len() > 10, "one access line per request");
    assert!(access.iter().all(|line| !line["path"].as_str().unwrap().contains('?')));
}
