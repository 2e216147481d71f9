//! What a login asks for in detail (RFC 9396): the operator's words alone, and what was granted of it in plain sight.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::setup::{error_of, hostile_with, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{HostileOp, set};
use crate::support::stack::{LINK, Setup, Stack};

const ASKED: &str = r#"[{"type":"accounts","actions":["list","read"]}]"#;

async fn started(more: &str) -> (HostileOp, Stack) {
    let provider = format!("authorization_details = '{ASKED}'\n{more}");
    hostile_with(Setup { provider, ..Setup::default() }).await
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

// proves: AR-19
#[rstest]
#[case::in_the_address("")]
#[case::pushed("pushed_requests = \"always\"\n")]
#[tokio::test(flavor = "multi_thread")]
async fn every_login_asks_for_what_is_configured_and_no_page_can_change_it(#[case] more: &str) {
    let (op, stack) = started(more).await;
    let asked: Vec<(String, String)> = if more.is_empty() {
        let authorize = stack.begin_login(&Browser::new(), "?return_to=/").await;
        url::Url::parse(&authorize).unwrap().query_pairs().into_owned().collect()
    } else {
        stack.begin_login(&Browser::new(), "?return_to=/").await;
        let pushed = op.all_requests().into_iter().find(|(_, request)| request.path == "/par");
        pushed.unwrap().1.form()
    };
    let details: Vec<&String> = asked
        .iter()
        .filter(|(name, _)| name == "authorization_details")
        .map(|(_, value)| value)
        .collect();
    assert_eq!(details.len(), 1, "{asked:?}");
    assert_eq!(parsed(details[0]), parsed(ASKED));
    let wish = "/login?authorization_details=%5B%7B%22type%22%3A%22payments%22%7D%5D";
    let page = Browser::new().send("GET", &stack.url(wish), &LINK, "").await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["cloakroom-error"]),
        (400, &"bad_parameter".parse().unwrap())
    );
    stack.stop().await;
}

// proves: AR-19
#[rstest]
#[case::as_asked(json!([{"type": "accounts", "actions": ["list", "read"]}]))]
#[case::less(json!([{"type": "accounts", "actions": ["list"]}]))]
#[case::with_what_the_user_chose(json!([{"type": "accounts", "actions": ["list", "read"], "accounts": ["DE89"]}]))]
#[case::more_than_was_asked_for(json!([{"type": "payments"}]))]
#[case::nothing(json!([]))]
#[tokio::test(flavor = "multi_thread")]
async fn what_was_granted_stands_in_the_session_until_a_refresh_says_otherwise(
    #[case] granted: Value,
) {
    let (op, stack) = started("").await;
    op.turn(|knobs| {
        knobs.token_response = set("authorization_details", Some(granted.clone()));
    });
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &stack, &browser).await), None);
    assert_eq!(stack.session(&browser).await["authorization_details"], granted);
    // A server that does not repeat it has not changed it.
    op.turn(|knobs| knobs.token_response = set("authorization_details", None));
    stack.clock.advance(Duration::from_secs(301));
    assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
    assert_eq!(stack.session(&browser).await["authorization_details"], granted);
    let less = json!([{"type": "accounts", "actions": []}]);
    op.turn(|knobs| knobs.token_response = set("authorization_details", Some(less.clone())));
    stack.clock.advance(Duration::from_secs(301));
    assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
    assert_eq!(stack.session(&browser).await["authorization_details"], less);
    stack.stop().await;
}

// proves: AR-19
#[rstest]
#[case::no_list(json!({"type": "accounts"}))]
#[case::text(json!("[{\"type\":\"accounts\"}]"))]
#[case::without_type(json!([{"actions": ["read"]}]))]
#[case::null(json!(null))]
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_compared_is_no_login(#[case] said: Value) {
    let (op, stack) = started("").await;
    op.turn(|knobs| knobs.token_response = set("authorization_details", Some(said)));
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &stack, &browser).await).as_deref(), Some("login_failed"));
    assert_eq!(stack.session(&browser).await["authenticated"], false);
    stack.stop().await;
}

// proves: AR-19
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_asked_for_nothing_is_kept_and_a_large_answer_is_not_either() {
    let (op, stack) = hostile_with(Setup::default()).await;
    let granted = json!([{"type": "accounts"}]);
    op.turn(|knobs| knobs.token_response = set("authorization_details", Some(granted)));
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &stack, &browser).await), None);
    assert!(stack.session(&browser).await.get("authorization_details").is_none());
    stack.stop().await;

    let (op, stack) = started("").await;
    let large =
        json!([{"type": "accounts", "actions": ["list", "read"], "more": "x".repeat(5_000)}]);
    op.turn(|knobs| knobs.token_response = set("authorization_details", Some(large)));
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &stack, &browser).await), None);
    let session = stack.session(&browser).await;
    assert!(session["authenticated"] == true && session.get("authorization_details").is_none());
    stack.stop().await;
}
