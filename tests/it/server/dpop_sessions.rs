//! Access tokens that are bound to a key of their session's own: made at the login, sealed with the tokens, shown to nobody.

use std::collections::HashSet;
use std::path::PathBuf;

use cloakroom::config::ClientKey;
use serde_json::json;

use super::instances::{in_contact, stop};
use super::setup::{error_of, hostile_op, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, Nonces, set};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::proofs::{Expected, Proofs};
use crate::support::redis::Redis;
use crate::support::stack::{Setup, Stack};

const PER_SESSION: &str = "sender_constraint = \"dpop\"\ndpop_keys = \"session\"\nuserinfo = true\nscopes = [\"openid\"]\n";

struct Place {
    op: HostileOp,
    api: HostileUpstream,
    stack: Stack,
    proofs: Proofs,
}

fn setup(op: &HostileOp, api: &HostileUpstream, provider: &str) -> Setup {
    let route = |path: &str, more: &str| {
        format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://{}\"\n{more}\n", api.address)
    };
    Setup {
        issuer: Some(op.issuer.clone()),
        upstream: Some(api.address),
        provider: provider.to_owned(),
        more: [
            route("/orders", "token = \"exchange\"\ntoken_audience = \"orders\""),
            route("/phantom", "token = \"introspect\""),
            route("/ours", "token = \"client\"\ntoken_scopes = [\"ours\"]"),
        ]
        .concat(),
        clock: op.clock.clone(),
        ..Setup::default()
    }
}

impl Place {
    async fn start() -> Self {
        let api = HostileUpstream::answering(ok("good")).await;
        let op = hostile_op(Setup::default().clock).await;
        op.turn(|knobs| {
            knobs.dpop = Some(Nonces::Always);
            knobs.api_token = set("token_type", Some(json!("DPoP")));
        });
        let stack = Stack::start(setup(&op, &api, PER_SESSION)).await;
        Self { op, api, stack, proofs: Proofs::default() }
    }

    async fn user(&self) -> Browser {
        let browser = Browser::new();
        assert_eq!(error_of(&log_in(&self.op, &self.stack, &browser).await), None);
        browser
    }

    /// Calls, and checks the proof as a strict API does; the thumbprint of its key.
    async fn call(&mut self, browser: &Browser, path: &str) -> String {
        let page = self.stack.fetch(browser, "GET", path).await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "good"), "{path}");
        let request = self.api.requests().pop().unwrap();
        let only = |name: &str| {
            let found: Vec<&str> =
                request.lines().filter_map(|line| line.strip_prefix(name)).collect();
            let [value] = found[..] else { panic!("not one {name}: {request}") };
            value.to_owned()
        };
        let token = only("authorization: DPoP ");
        let url = format!("http://{}{path}", self.api.address);
        let now = self.op.clock.now().0;
        let expected = Expected { method: "GET", url: &url, token: Some(&token), nonce: None, now };
        self.proofs.check(&only("dpop: "), &expected).unwrap()
    }

    async fn again(self, provider: &str) -> Self {
        let again = setup(&self.op, &self.api, provider);
        Self { stack: self.stack.restart_at_same_port(again).await, ..self }
    }
}

// proves: SC-07
#[tokio::test(flavor = "multi_thread")]
async fn each_session_has_a_key_of_its_own_for_as_long_as_it_lasts() {
    let mut place = Place::start().await;
    let (alice, bob) = (place.user().await, place.user().await);
    let (hers, his) = (place.call(&alice, "/api/x").await, place.call(&bob, "/api/x").await);
    assert_ne!(hers, his);
    // Another token, another process, the same key; and no other one ever for her tokens.
    place.stack.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(place.call(&alice, "/api/x").await, hers);
    let mut place = place.again(PER_SESSION).await;
    assert_eq!(place.call(&alice, "/api/x").await, hers);
    assert_eq!(place.call(&bob, "/api/x").await, his);
    let at_the_server: HashSet<String> = place.op.bound_to().into_iter().collect();
    assert_eq!(at_the_server, HashSet::from([hers, his]));
    place.stack.stop().await;
}

// proves: SC-07, PX-20
#[tokio::test(flavor = "multi_thread")]
async fn tokens_for_apis_are_bound_to_the_sessions_key_and_those_of_the_client_to_another() {
    let mut place = Place::start().await;
    let (alice, bob) = (place.user().await, place.user().await);
    let (hers, his) = (place.call(&alice, "/api/x").await, place.call(&bob, "/api/x").await);
    assert_eq!(place.call(&alice, "/orders/x").await, hers);
    assert_eq!(place.call(&bob, "/orders/x").await, his);
    place.op.turn(|knobs| knobs.introspection = set("cnf", Some(json!({ "jkt": hers }))));
    assert_eq!(place.call(&alice, "/phantom/x").await, hers);
    let page = place.stack.fetch(&bob, "GET", "/phantom/x").await;
    assert_eq!(page.status, 502, "a JWT that is bound to somebody else's key");
    let ours = place.call(&Browser::new(), "/ours/x").await;
    assert!(ours != hers && ours != his);
    assert_eq!(place.call(&alice, "/ours/x").await, ours);
    place.stack.stop().await;
}

// proves: SC-02, SC-07
#[tokio::test(flavor = "multi_thread")]
async fn keys_come_and_go_with_the_setting_and_nobody_logs_in_again() {
    let mut place = Place::start().await;
    let alice = place.user().await;
    let hers = place.call(&alice, "/api/x").await;

    let file: PathBuf =
        std::env::temp_dir().join(format!("cloakroom-dpop-{}-switch.pem", std::process::id()));
    std::fs::write(&file, ClientKey::generate().unwrap().expose()).unwrap();
    let for_all = format!(
        "sender_constraint = \"dpop\"\ndpop_key_file = \"{}\"\nscopes = [\"openid\"]\n",
        file.display()
    );
    let mut place = place.again(&for_all).await;
    let shared = place.call(&alice, "/api/x").await;
    assert_ne!(shared, hers);
    let mut place = place.again(PER_SESSION).await;
    let second = place.call(&alice, "/api/x").await;
    assert!(second != hers && second != shared, "what is given up does not come back");

    // Without keys nothing that is bound goes out.
    place.op.turn(|knobs| knobs.dpop = None);
    let place = place.again("scopes = [\"openid\"]\n").await;
    assert_eq!(place.stack.fetch(&alice, "GET", "/api/x").await.status, 200);
    let last = place.api.requests().pop().unwrap();
    assert!(last.contains("authorization: Bearer ") && !last.contains("\ndpop: "), "{last}");
    assert_eq!(place.op.calls(Endpoint::Userinfo), 1, "one login");
    place.stack.stop().await;
}

// proves: SC-07
#[tokio::test(flavor = "multi_thread")]
async fn every_instance_signs_by_the_key_that_the_session_brings() {
    let redis = Redis::start();
    let api = HostileUpstream::answering(ok("good")).await;
    let op = hostile_op(Setup::default().clock).await;
    op.turn(|knobs| knobs.dpop = Some(Nonces::Never));
    let shared = || {
        let all = setup(&op, &api, PER_SESSION);
        let more = format!("{}[redis]\nurl = \"{}\"\n", all.more, redis.url());
        Setup { more, ..all }
    };
    let one = Stack::start(shared()).await;
    let two = one.beside(shared());
    in_contact(&one).await;
    in_contact(&two).await;
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &one, &browser).await), None);
    for _ in 0..3 {
        one.clock.advance(std::time::Duration::from_secs(301));
        let tabs: Vec<(Browser, &Stack)> =
            (0..8).map(|n| (browser.copy(), if n % 2 == 0 { &one } else { &two })).collect();
        let calls = tabs.iter().map(async |(tab, stack)| stack.fetch(tab, "GET", "/api/x").await);
        for page in futures_util::future::join_all(calls).await {
            assert_eq!(page.status, 200, "{}", page.body);
        }
        assert_eq!(two.fetch(&browser, "GET", "/api/x").await.status, 200);
    }
    let keys: HashSet<String> = op.bound_to().into_iter().collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    stop([one, two]).await;
}
