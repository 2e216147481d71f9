//! Back-channel logout: what the authorization server says ends sessions here, and nothing that only looks like it does.

use std::time::Duration;

use serde_json::{Value, json};

use super::deny_file::{folder, with_file};
use super::setup::{callback, error_of, hostile, hostile_with, log_in};
use super::{problem_code, set_cookies};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply, SigningKeys, set};
use crate::support::hostile_upstream::until;
use crate::support::stack::{Setup, Stack};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Sends a logout token, as the authorization server does.
pub async fn tell(stack: &Stack, token: &str) -> Page {
    tell_by(&Browser::new(), stack, token).await
}

/// The same with a client that is there already: a thousand of them take their time to make.
pub async fn tell_by(client: &Browser, stack: &Stack, token: &str) -> Page {
    let url = stack.url("/backchannel-logout");
    client.send("POST", &url, &[FORM], &format!("logout_token={token}")).await
}

async fn post(stack: &Stack, headers: &[(&str, &str)], body: &str) -> Page {
    let url = stack.url("/backchannel-logout");
    let page = Browser::new().send("POST", &url, headers, body).await;
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(set_cookies(&page).is_empty());
    page
}

async fn refused(stack: &Stack, page: Page, what: &str) {
    assert_eq!(
        (page.status.as_u16(), &*problem_code(&page)),
        (400, "logout_token_refused"),
        "{what}"
    );
    let text = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
    assert!(text.contains("cloakroom_backchannel_logouts_total{result=\"Refused\"}"), "{text}");
}

/// A login whose ID token names the session `sid` of the authorization server.
pub async fn log_in_as(op: &HostileOp, stack: &Stack, sub: &str, sid: Option<&str>) -> Browser {
    let sid = sid.map(|sid| json!(sid));
    op.turn(|knobs| {
        sub.clone_into(&mut knobs.sub);
        knobs.claims = set("sid", sid);
    });
    let browser = Browser::new();
    log_in(op, stack, &browser).await;
    assert!(is_in(stack, &browser).await);
    browser
}

pub async fn is_in(stack: &Stack, browser: &Browser) -> bool {
    stack.session(&browser.copy()).await["authenticated"] == true
}

// proves: LO-13, LO-14
#[tokio::test(flavor = "multi_thread")]
async fn a_sid_ends_its_session_in_every_browser_and_no_other() {
    let (op, stack) = hostile().await;
    let there = [
        log_in_as(&op, &stack, "alice", Some("s1")).await,
        log_in_as(&op, &stack, "alice", Some("s1")).await,
    ];
    let other = log_in_as(&op, &stack, "alice", Some("s2")).await;
    for _ in 0..2 {
        // The second time nothing is left to end: that is success, too.
        let page = tell(&stack, &op.logout_token(|_, _| {})).await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, ""));
        for browser in &there {
            let page = stack.fetch(&browser.copy(), "GET", "/api/echo").await;
            assert_eq!((page.status.as_u16(), &*problem_code(&page)), (401, "session_expired"));
        }
        assert!(is_in(&stack, &other).await);
    }
    // Both browsers have shown their cookies, so both sessions' tokens could be revoked: each once, however often shown.
    until(|| op.calls(Endpoint::Revocation) == 2).await;
    stack.stop().await;
    assert_eq!(op.calls(Endpoint::Revocation), 2);
}

// proves: LO-14
#[tokio::test(flavor = "multi_thread")]
async fn without_a_sid_every_earlier_session_of_the_user_ends_and_a_later_login_works() {
    let (op, stack) = hostile().await;
    let alices = [
        log_in_as(&op, &stack, "alice", Some("s1")).await,
        log_in_as(&op, &stack, "alice", None).await,
    ];
    let bob = log_in_as(&op, &stack, "bob", Some("s3")).await;
    stack.clock.advance(Duration::from_secs(20));
    let for_alice = |_: &mut Value, claims: &mut Value| {
        claims["sub"] = json!("alice");
        claims.as_object_mut().unwrap().remove("sid");
    };
    let token = op.logout_token(for_alice);
    assert_eq!(tell(&stack, &token).await.status, 200);
    for browser in &alices {
        assert!(!is_in(&stack, browser).await);
    }
    assert!(is_in(&stack, &bob).await);
    stack.clock.advance(Duration::from_secs(1));
    let back = log_in_as(&op, &stack, "alice", Some("s4")).await;
    // A token that comes late is about sessions from before it was made, give or take the clock skew.
    let old = op.logout_token(for_alice);
    stack.clock.advance(Duration::from_secs(60));
    let later = log_in_as(&op, &stack, "alice", Some("s5")).await;
    assert_eq!(tell(&stack, &old).await.status, 200);
    assert!(!is_in(&stack, &back).await);
    assert!(is_in(&stack, &later).await);
    stack.stop().await;
}

// proves: LO-12
#[tokio::test(flavor = "multi_thread")]
async fn a_token_works_once() {
    let (op, stack) = hostile().await;
    let token = op.logout_token(|_, claims| drop(claims.as_object_mut().unwrap().remove("sid")));
    assert_eq!(tell(&stack, &token).await.status, 200);
    stack.clock.advance(Duration::from_secs(1));
    // Begun within the clock skew: a second use would end it.
    let browser = log_in_as(&op, &stack, "alice", None).await;
    assert_eq!(tell(&stack, &token).await.status, 200);
    assert!(is_in(&stack, &browser).await);
    let text = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
    assert!(text.contains("cloakroom_backchannel_logouts_total{result=\"Repeated\"} 1"), "{text}");
    stack.clock.advance(Duration::from_secs(150));
    refused(&stack, tell(&stack, &token).await, "too late").await;
    stack.stop().await;
}

// proves: LO-09, LO-13
#[tokio::test(flavor = "multi_thread")]
async fn only_a_form_with_one_token_is_a_logout_request() {
    let (op, stack) = hostile().await;
    let browser = log_in_as(&op, &stack, "alice", Some("s1")).await;
    let token = op.logout_token(|_, _| {});
    let body = format!("logout_token={token}");
    let huge = format!("{body}&x={}", "a".repeat(200_000));
    for (headers, body) in [
        (&[("content-type", "application/json")][..], &format!("{{\"logout_token\":\"{token}\"}}")),
        (&[], &body),
        (&[("content-type", "text/plain")], &body),
        (&[FORM], &format!("{body}&{body}")),
        (&[FORM], &format!("{body}&logout_token=")),
        (&[FORM], &"token=x".to_owned()),
        (&[FORM], &"logout_token=".to_owned()),
        (&[FORM], &huge),
    ] {
        refused(&stack, post(&stack, headers, body).await, body.get(..40).unwrap_or(body)).await;
    }
    let url = stack.url("/backchannel-logout");
    let page = Browser::new().send("GET", &format!("{url}?{body}"), &[], "").await;
    assert_eq!((page.status.as_u16(), &page.headers["allow"]), (405, &"POST".parse().unwrap()));
    let page = Browser::new().send("POST", &url, &[FORM, ("host", "evil.test")], &body).await;
    assert_eq!(page.status, 421);
    assert!(is_in(&stack, &browser).await);
    // No CSRF header, as servers send none; parameters that nobody knows are ignored.
    let charset = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    let page = post(&stack, &[charset], &format!("x=1&{body}&y=2&y=3")).await;
    assert_eq!(page.status, 200);
    assert!(!is_in(&stack, &browser).await);
    stack.stop().await;
}

// proves: LO-10, LO-11, LO-13
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_breaks_a_rule_ends_nothing() {
    let (op, stack) = hostile().await;
    let browser = log_in_as(&op, &stack, "alice", Some("s1")).await;
    let mut tokens = vec![("no token", "a.b.c".to_owned())];
    let mut add = |what, change: fn(&mut Value, &mut Value)| {
        tokens.push((what, op.logout_token(change)));
    };
    add("alg none", |header, _| header["alg"] = json!("none"));
    add("alg not agreed", |header, _| header["alg"] = json!("HS256"));
    add("crit", |header, _| header["crit"] = json!(["x"]));
    add("typ of ID tokens", |header, _| header["typ"] = json!("JWT"));
    add("typ of access tokens", |header, _| header["typ"] = json!("at+jwt"));
    add("no typ", |header, _| drop(header.as_object_mut().unwrap().remove("typ")));
    add("iss", |_, claims| claims["iss"] = json!("https://evil.test"));
    add("aud", |_, claims| claims["aud"] = json!("other"));
    add("expired", |_, claims| claims["exp"] = json!(1));
    add("no exp", |_, claims| drop(claims.as_object_mut().unwrap().remove("exp")));
    add("from the future", |_, claims| claims["iat"] = json!(9_999_999_999_u64));
    add("old", |_, claims| claims["iat"] = json!(1));
    add("nonce", |_, claims| claims["nonce"] = json!("n"));
    add("events is text", |_, claims| claims["events"] = json!("logout"));
    add("no events", |_, claims| drop(claims.as_object_mut().unwrap().remove("events")));
    add("nobody", |_, claims| {
        claims.as_object_mut().unwrap().retain(|name, _| name != "sub" && name != "sid");
    });
    add("no jti", |_, claims| drop(claims.as_object_mut().unwrap().remove("jti")));
    let good = op.logout_token(|_, _| {});
    let (signed, _) = good.rsplit_once('.').unwrap();
    tokens.push(("no signature", format!("{signed}.")));
    tokens.push(("another token's signature", format!("{signed}.{}", "A".repeat(342))));
    for (what, token) in tokens {
        refused(&stack, tell(&stack, &token).await, what).await;
        assert!(is_in(&stack, &browser).await, "{what}");
    }
    op.turn(|knobs| knobs.key = SigningKeys::shared().other_rsa.clone());
    let forged = op.logout_token(|_, _| {});
    op.turn(|knobs| knobs.publish(&[SigningKeys::shared().rsa.jwk(Some("k1"), &json!({}))]));
    refused(&stack, tell(&stack, &forged).await, "another key").await;
    assert!(is_in(&stack, &browser).await);
    assert_eq!(tell(&stack, &good).await.status, 200);
    assert!(!is_in(&stack, &browser).await);
    stack.stop().await;
}

// proves: LO-10, LO-11
#[tokio::test(flavor = "multi_thread")]
async fn older_servers_are_met_by_switches_and_an_id_token_still_ends_nothing() {
    let provider = "logout_token_untyped = true\nlogout_token_without_exp = true".to_owned();
    let (op, stack) = hostile_with(Setup { provider, ..Setup::default() }).await;
    for typ in [Some("JWT"), None] {
        let browser = log_in_as(&op, &stack, "alice", Some("s1")).await;
        let change = |header: &mut Value, claims: &mut Value| {
            header["typ"] = json!(typ);
            header.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            claims.as_object_mut().unwrap().remove("exp");
            claims["sid"] = json!("s9");
        };
        let id_token = op.logout_token(|header, claims| {
            change(header, claims);
            claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 300);
            claims["nonce"] = json!("n");
            claims.as_object_mut().unwrap().remove("events");
        });
        refused(&stack, tell(&stack, &id_token).await, "an ID token").await;
        assert_eq!(tell(&stack, &op.logout_token(change)).await.status, 200, "{typ:?}");
        assert!(is_in(&stack, &browser).await, "another sid");
    }
    stack.stop().await;
}

/// Asked for is not yet known: the time at which keys came is that at the end.
async fn keys_are_known(stack: &Stack) {
    let url = format!("{}/metrics", stack.admin);
    while !Browser::new().get(&url).await.body.contains("cloakroom_provider_degraded{app=\"") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// proves: LO-14
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_overtakes_the_code_exchange_wins() {
    for by_sid in [true, false] {
        let (op, stack) = hostile().await;
        op.turn(|knobs| knobs.claims = set("sid", Some(json!("s1"))));
        keys_are_known(&stack).await;
        stack.clock.advance(Duration::from_secs(3_590));
        let browser = Browser::new();
        let authorize = stack.begin_login(&browser, "?return_to=/").await;
        let url = callback(&op, &authorize, &stack.url("/callback"));
        // The keys are too old: the exchange stands still until they come, and the token does not need them.
        stack.clock.advance(Duration::from_secs(60));
        let jwk = SigningKeys::shared().rsa.jwk(Some("k1"), &json!({}));
        let slow = Reply::json(200, &json!({ "keys": [jwk] })).after(Duration::from_secs(2));
        op.answer_with(Endpoint::Jwks, slow);
        let fetched = op.calls(Endpoint::Jwks);
        let exchange = browser.get_from_elsewhere(&url);
        let logout = async {
            until(|| op.calls(Endpoint::Jwks) > fetched).await;
            let token = op.logout_token(|_, claims| {
                if !by_sid {
                    claims.as_object_mut().unwrap().remove("sid");
                }
            });
            let told = tell(&stack, &token).await;
            assert_eq!((told.status.as_u16(), op.calls(Endpoint::Token)), (200, 0));
        };
        let (landing, ()) = tokio::join!(exchange, logout);
        assert_eq!((error_of(&landing), op.calls(Endpoint::Token)), (None, 1));
        assert_eq!(landing.status, 303);
        assert!(!is_in(&stack, &browser).await, "by_sid: {by_sid}");
        stack.stop().await;
    }
}

// proves: LO-16
#[tokio::test(flavor = "multi_thread")]
async fn what_the_authorization_server_has_ended_stays_ended_after_a_restart() {
    let file = folder("backchannel").join("deny");
    let setup = Setup::default();
    let (op, stack) = hostile_with(with_file(&file, &setup)).await;
    let by_sid = log_in_as(&op, &stack, "alice", Some("s1")).await;
    let by_user = log_in_as(&op, &stack, "bob", Some("s2")).await;
    let other = log_in_as(&op, &stack, "carol", Some("s3")).await;
    tell(&stack, &op.logout_token(|_, claims| claims["sub"] = json!("alice"))).await;
    tell(
        &stack,
        &op.logout_token(|_, claims| {
            claims["sub"] = json!("bob");
            claims.as_object_mut().unwrap().remove("sid");
        }),
    )
    .await;
    let again = Setup { issuer: Some(op.issuer.clone()), ..with_file(&file, &setup) };
    let stack = stack.restart_at_same_port(again).await;
    let living = [&by_sid, &by_user, &other].map(|browser| is_in(&stack, browser));
    assert_eq!(futures_util::future::join_all(living).await, [false, false, true]);
    stack.clock.advance(Duration::from_secs(1));
    let back = log_in_as(&op, &stack, "bob", Some("s4")).await;
    assert!(is_in(&stack, &back).await, "a login after it");
    stack.stop().await;
}
