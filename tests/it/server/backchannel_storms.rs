//! Logout tokens by the thousand, good and forged: streams end, and the authorization server is left in peace.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::backchannel::{is_in, log_in_as, tell, tell_by};
use super::setup::{hostile, hostile_with};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, SigningKeys};
use crate::support::hostile_upstream::{HostileUpstream, Step, send, until};
use crate::support::socket::Socket;
use crate::support::stack::Setup;

const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";

// proves: LO-10, ID-08
#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_fetch_keys_once_in_a_while_and_delay_no_rotation() {
    let (op, stack) = hostile().await;
    let browser = log_in_as(&op, &stack, "alice", Some("s1")).await;
    let before = op.calls(Endpoint::Jwks);
    op.turn(|knobs| knobs.key = SigningKeys::shared().other_rsa.clone());
    let forged: Vec<String> = (0..300)
        .map(|n| op.logout_token(|header, _| header["kid"] = json!(format!("k{n}"))))
        .collect();
    op.turn(|knobs| knobs.key = SigningKeys::shared().rsa.clone());
    let sender = Browser::new();
    let pages = join_all(forged.iter().map(|token| tell_by(&sender, &stack, token))).await;
    assert!(pages.iter().all(|page| page.status == 400));
    assert_eq!(op.calls(Endpoint::Jwks), before + 1);
    assert!(is_in(&stack, &browser).await);
    // The keys rotate just now: logins do not wait until the storm's cool-down is over.
    op.turn(|knobs| knobs.sign_with(&SigningKeys::shared().ec, "ES256", Some("new")));
    let other = log_in_as(&op, &stack, "bob", Some("s2")).await;
    assert_eq!(op.calls(Endpoint::Jwks), before + 2);
    // And a logout token under the new key is believed.
    assert_eq!(tell(&stack, &op.logout_token(|_, _| {})).await.status, 200);
    assert!(!is_in(&stack, &browser).await && is_in(&stack, &other).await);
    stack.stop().await;
}

// proves: LO-10
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_noticed_by_a_logout_token() {
    let (op, stack) = hostile().await;
    let browser = log_in_as(&op, &stack, "alice", Some("s1")).await;
    op.turn(|knobs| knobs.sign_with(&SigningKeys::shared().ec, "ES256", Some("new")));
    assert_eq!(tell(&stack, &op.logout_token(|_, _| {})).await.status, 200);
    assert!(!is_in(&stack, &browser).await);
    stack.stop().await;
}

// proves: LO-13, LO-14
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_logouts_at_once_all_work() {
    let (op, stack) = hostile().await;
    let ended = log_in_as(&op, &stack, "alice", Some("s999")).await;
    let living = log_in_as(&op, &stack, "alice", Some("s1000")).await;
    let tokens: Vec<String> = (0..1_000)
        .map(|n| op.logout_token(|_, claims| claims["sid"] = json!(format!("s{n}"))))
        .collect();
    let sender = Browser::new();
    for burst in tokens.chunks(250) {
        let pages = join_all(burst.iter().map(|token| tell_by(&sender, &stack, token))).await;
        assert!(pages.iter().all(|page| page.status == 200));
    }
    assert!(!is_in(&stack, &ended).await && is_in(&stack, &living).await);
    stack.stop().await;
}

// proves: LO-14, PX-16
#[tokio::test(flavor = "multi_thread")]
async fn open_streams_of_the_ended_sessions_end_and_no_others() {
    let steps = vec![Step::Read, send(EVENTS), Step::Hang];
    let upstream = HostileUpstream::playing(steps).await;
    let more = format!(
        "[[routes]]\npath = \"/stream\"\nupstream = \"http://{}\"\nstrip_prefix = true\n",
        upstream.address
    );
    let (op, stack) = hostile_with(Setup { more, ..Setup::default() }).await;
    let mut streams = Vec::new();
    for (sub, sid) in [("alice", Some("s1")), ("bob", None), ("alice", Some("s2"))] {
        let browser = log_in_as(&op, &stack, sub, sid).await;
        let pair = |(name, value)| format!("{name}={value}");
        let cookies: Vec<String> = browser.jar().into_iter().map(pair).collect();
        let request = format!(
            "GET /stream/x HTTP/1.1\r\nhost: localhost:{}\r\nx-csrf: 1\r\n\
             sec-fetch-site: same-origin\r\ncookie: {}\r\n\r\n",
            stack.port,
            cookies.join("; ")
        );
        let mut socket = Socket::sending(&stack, request).await;
        assert!(socket.head().await.starts_with("HTTP/1.1 200 "));
        socket.exactly(14).await;
        streams.push(socket);
    }
    let bob = op.logout_token(|_, claims| {
        claims["sub"] = json!("bob");
        claims.as_object_mut().unwrap().remove("sid");
    });
    for (number, token) in [op.logout_token(|_, _| {}), bob].iter().enumerate() {
        assert_eq!(tell(&stack, token).await.status, 200);
        assert_eq!(streams[number].exactly(5).await, b"0\r\n\r\n");
        until(|| upstream.hung_up() == number + 1).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(upstream.hung_up(), 2, "the third goes on");
    drop(streams);
    stack.stop().await;
}
