//! Access tokens that are bound to a key: proofs for the authorization server and for APIs, nonces of both, another key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::config::ClientKey;
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpListener;

use super::instances::{in_contact, stop};
use super::problem_code;
use super::setup::{error_of, hostile_op, log_in};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp, Nonces, Reply, Request, serve, set};
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send};
use crate::support::proofs::{Expected, Proofs};
use crate::support::redis::Redis;
use crate::support::stack::{FETCH, Setup, Stack};

/// A new key in a file of its own.
fn key_file(name: &str) -> PathBuf {
    let file =
        std::env::temp_dir().join(format!("cloakroom-dpop-{}-{name}.pem", std::process::id()));
    std::fs::write(&file, ClientKey::generate().unwrap().expose()).unwrap();
    file
}

struct Place {
    op: HostileOp,
    stack: Stack,
    api: HostileUpstream,
    browser: Browser,
}

fn setup(key: &Path, op: &HostileOp, api: &HostileUpstream) -> Setup {
    let provider = format!(
        "sender_constraint = \"dpop\"\ndpop_key_file = \"{}\"\nuserinfo = true\n",
        key.display()
    );
    let more = format!(
        "[[routes]]\npath = \"/orders\"\nupstream = \"http://{}/v1\"\nstrip_prefix = true\n",
        api.address
    );
    Setup {
        issuer: Some(op.issuer.clone()),
        upstream: Some(api.address),
        provider,
        more,
        clock: op.clock.clone(),
        ..Setup::default()
    }
}

impl Place {
    /// Logged in, before an API that gives these answers one after another, and then 200.
    async fn start(name: &str, nonces: Nonces, answers: Vec<String>) -> Self {
        let api = HostileUpstream::start(move |call| {
            let answer = answers.get(call).map_or_else(|| ok("good"), |one| one.clone().into());
            vec![Step::Read, send(answer)]
        })
        .await;
        let op = hostile_op(Setup::default().clock).await;
        op.turn(|knobs| knobs.dpop = Some(nonces));
        let stack = Stack::start(setup(&key_file(name), &op, &api)).await;
        let browser = Browser::new();
        let landed = log_in(&op, &stack, &browser).await;
        assert_eq!(error_of(&landed), None);
        Self { op, stack, api, browser }
    }

    async fn post(&self, body: &str) -> Page {
        let url = self.stack.url("/api/orders");
        self.browser.send("POST", &url, &FETCH, body).await
    }

    /// Checks the call `n` as a strict API does; gives the thumbprint of its key.
    fn checked(
        &self,
        proofs: &mut Proofs,
        n: usize,
        (method, path, nonce): (&str, &str, Option<&str>),
    ) -> String {
        let request = &self.api.requests()[n];
        let only = |name: &str| {
            let found: Vec<&str> =
                request.lines().filter_map(|line| line.strip_prefix(name)).collect();
            let [value] = found[..] else { panic!("not one {name}: {request}") };
            value.to_owned()
        };
        let token = only("authorization: ");
        let token = token.strip_prefix("DPoP ").expect("never as one of bearers");
        let url = format!("http://{}{path}", self.api.address);
        let now = self.op.clock.now().0;
        let expected = Expected { method, url: &url, token: Some(token), nonce, now };
        proofs.check(&only("dpop: "), &expected).unwrap()
    }
}

fn wants_nonce(scheme: &str, nonces: &[&str]) -> String {
    let nonces: Vec<_> = nonces.iter().map(|nonce| format!("DPoP-Nonce: {nonce}\r\n")).collect();
    let nonces = nonces.concat();
    format!(
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: {scheme} error=\"use_dpop_nonce\"\r\n{nonces}\
         content-length: 0\r\nconnection: close\r\n\r\n"
    )
}

// proves: FA-08, SC-01, SC-02, SC-03, SC-04
#[rstest]
#[case::never("never", Nonces::Never, (1, 1))]
#[case::always("always", Nonces::Always, (2, 1))]
#[case::another_each_time("each", Nonces::EachTime, (2, 1))]
#[tokio::test(flavor = "multi_thread")]
async fn every_call_has_a_proof_of_its_own_with_the_nonce_that_is_wanted(
    #[case] name: &str,
    #[case] nonces: Nonces,
    #[case] (at_login, at_refresh): (usize, usize),
) {
    let place = Place::start(name, nonces, Vec::new()).await;
    assert_eq!(place.op.calls(Endpoint::Token), at_login);
    let url = "/orders/a%20b/c?x=1&y=%2F";
    assert_eq!(place.stack.fetch(&place.browser, "GET", url).await.status, 200);
    assert_eq!(place.post("{}").await.status, 200);
    let mut proofs = Proofs::default();
    let first = place.checked(&mut proofs, 0, ("GET", "/v1/a%20b/c", None));
    assert_eq!(first, place.checked(&mut proofs, 1, ("POST", "/api/orders", None)));
    assert!(place.op.bound_to().iter().all(|bound| *bound == first));

    place.stack.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(place.stack.fetch(&place.browser, "GET", "/api/orders").await.status, 200);
    place.checked(&mut proofs, 2, ("GET", "/api/orders", None));
    assert_eq!(place.op.calls(Endpoint::Token), at_login + at_refresh);
    place.stack.stop().await;
}

// proves: SC-04, SC-05
#[tokio::test(flavor = "multi_thread")]
async fn an_apis_nonce_costs_one_more_try_and_a_small_body_goes_with_it() {
    let refusals =
        vec![wants_nonce("dPOP", &["first"]), ok_text(), wants_nonce("DPoP", &["second"])];
    let place = Place::start("nonce", Nonces::Never, refusals).await;
    let page = place.stack.fetch(&place.browser, "GET", "/api/orders").await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "fine"));
    let body = "x".repeat(1024);
    assert_eq!(place.post(&body).await.status, 200);
    let requests = place.api.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests[3].ends_with(&body), "{}", requests[3]);
    let mut proofs = Proofs::default();
    for (n, method, nonce) in [
        (0, "GET", None),
        (1, "GET", Some("first")),
        (2, "POST", Some("first")),
        (3, "POST", Some("second")),
    ] {
        place.checked(&mut proofs, n, (method, "/api/orders", nonce));
    }
    assert_eq!(place.op.calls(Endpoint::Token), 1, "no reason to refresh");
    place.stack.stop().await;
}

fn ok_text() -> String {
    String::from_utf8(ok("fine")).unwrap()
}

// proves: SC-05
#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_not_sent_twice_and_the_next_try_has_the_nonce() {
    let place = Place::start("large", Nonces::Never, vec![wants_nonce("DPoP", &["one"])]).await;
    let body = "x".repeat(100_000);
    let page = place.post(&body).await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (503, "api_nonce_needed"));
    assert_eq!(place.api.requests().len(), 1);
    assert_eq!(place.post(&body).await.status, 200);
    place.checked(&mut Proofs::default(), 1, ("POST", "/api/orders", Some("one")));
    assert_eq!(place.stack.session(&place.browser).await["authenticated"], true);
    place.stack.stop().await;
}

// proves: SC-04
#[tokio::test(flavor = "multi_thread")]
async fn two_nonces_are_none_and_a_server_that_is_never_content_is_asked_twice_at_most() {
    let two = wants_nonce("DPoP", &["one", "two"]);
    let place = Place::start("two", Nonces::Never, vec![two]).await;
    let page = place.stack.fetch(&place.browser, "GET", "/api/orders").await;
    assert_eq!((page.status.as_u16(), place.api.requests().len()), (401, 1));
    assert!(page.headers.iter().all(|(name, _)| name != "dpop-nonce"), "{:?}", page.headers);
    place.stack.stop().await;

    let never = (0..9).map(|n| wants_nonce("DPoP", &[&format!("nonce-{n}")])).collect();
    let place = Place::start("loop", Nonces::Never, never).await;
    assert_eq!(place.stack.fetch(&place.browser, "GET", "/api/orders").await.status, 401);
    assert_eq!(place.api.requests().len(), 2);
    place.stack.stop().await;
}

// proves: FA-01, SC-06
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_bearers_is_not_taken_where_tokens_are_bound() {
    let place = Place::start("downgrade", Nonces::Never, Vec::new()).await;
    place.op.turn(|knobs| knobs.token_response = set("token_type", Some(json!("Bearer"))));
    let other = Browser::new();
    let landed = log_in(&place.op, &place.stack, &other).await;
    assert_eq!(error_of(&landed).as_deref(), Some("login_failed"));
    assert_eq!(place.stack.fetch(&other, "GET", "/api/orders").await.status, 401);
    assert!(place.api.requests().is_empty());
    place.stack.stop().await;
}

// proves: SC-07
#[tokio::test(flavor = "multi_thread")]
async fn another_key_means_another_token_before_the_next_call_and_nobody_logs_in_again() {
    let place = Place::start("old-key", Nonces::Never, Vec::new()).await;
    assert_eq!(place.stack.fetch(&place.browser, "GET", "/api/orders").await.status, 200);
    let mut proofs = Proofs::default();
    let old = place.checked(&mut proofs, 0, ("GET", "/api/orders", None));
    let again = setup(&key_file("new-key"), &place.op, &place.api);
    let stack = place.stack.restart_at_same_port(again).await;
    let place = Place { stack, ..place };
    for n in 1..3 {
        assert_eq!(place.post("{}").await.status, 200);
        let new = place.checked(&mut proofs, n, ("POST", "/api/orders", None));
        assert_ne!(old, new);
    }
    assert_eq!(place.op.calls(Endpoint::Token), 2, "one refresh");

    // Without a key the token is not sent as one of bearers.
    let plain = Setup {
        provider: "userinfo = true\n".to_owned(),
        ..setup(&key_file("none"), &place.op, &place.api)
    };
    let stack = place.stack.restart_at_same_port(plain).await;
    let place = Place { stack, ..place };
    place.op.turn(|knobs| knobs.dpop = None);
    assert_eq!(place.post("{}").await.status, 200);
    let last = place.api.requests().pop().unwrap();
    assert!(last.contains("authorization: Bearer ") && !last.contains("\ndpop: "), "{last}");
    assert_eq!(place.op.calls(Endpoint::Token), 3);
    place.stack.stop().await;
}

// proves: SC-10
#[tokio::test(flavor = "multi_thread")]
async fn proofs_have_the_servers_time_where_ours_is_wrong() {
    let place = Place::start("clock", Nonces::Never, Vec::new()).await;
    place.op.turn(|knobs| knobs.ahead = 120);
    // The first refresh is refused, which ends no session; its answer says what time it is.
    for (waited, expected) in [(301, 503), (60, 200)] {
        place.stack.clock.advance(std::time::Duration::from_secs(waited));
        let page = place.stack.fetch(&place.browser, "GET", "/api/orders").await;
        assert_eq!(page.status.as_u16(), expected, "{}", page.body);
    }
    place.stack.stop().await;
}

/// An API that takes a proof with its nonce only, and is slow to refuse, so that many calls are out by then.
async fn strict_api() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, refused) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&refused);
    let answer = move |request: Request| {
        let proof = request.header("dpop").unwrap().split('.').nth(1).unwrap().to_owned();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(proof).unwrap()).unwrap();
        if claims.contains("\"nonce\":\"the-apis\"") {
            return Reply::new(200, "text/plain", "good");
        }
        count.fetch_add(1, Ordering::Relaxed);
        Reply::new(401, "text/plain", "")
            .with_header("www-authenticate", "DPoP error=\"use_dpop_nonce\"")
            .with_header("dpop-nonce", "the-apis")
            .after(std::time::Duration::from_millis(300))
    };
    tokio::spawn(serve(listener, None, Arc::new(answer)));
    (address, refused)
}

// proves: SC-04, SC-05
#[tokio::test(flavor = "multi_thread")]
async fn of_many_calls_at_once_each_gets_the_new_nonce() {
    let (address, refused) = strict_api().await;
    let op = hostile_op(Setup::default().clock).await;
    op.turn(|knobs| knobs.dpop = Some(Nonces::Never));
    let api = HostileUpstream::answering(ok("unused")).await;
    let all = setup(&key_file("many"), &op, &api);
    let stack = Stack::start(Setup { upstream: Some(address), ..all }).await;
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &stack, &browser).await), None);
    let calls = (0..10).map(|_| stack.fetch(&browser, "GET", "/api/orders"));
    for page in futures_util::future::join_all(calls).await {
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "good"));
    }
    assert!(refused.load(Ordering::Relaxed) > 1, "more than one went out without it");
    stack.stop().await;
}

// proves: SC-02
#[tokio::test(flavor = "multi_thread")]
async fn what_another_instance_has_fetched_otherwise_is_not_sent_as_it_is() {
    let redis = Redis::start();
    let api = HostileUpstream::answering(ok("good")).await;
    let op = hostile_op(Setup::default().clock).await;
    let shared = |provider: &str| Setup {
        issuer: Some(op.issuer.clone()),
        upstream: Some(api.address),
        provider: provider.to_owned(),
        more: format!("[redis]\nurl = \"{}\"\n", redis.url()),
        clock: op.clock.clone(),
        ..Setup::default()
    };
    let key = key_file("mixed");
    let dpop = format!("sender_constraint = \"dpop\"\ndpop_key_file = \"{}\"\n", key.display());
    let plain = Stack::start(shared("")).await;
    let bound = plain.beside(shared(&dpop));
    in_contact(&plain).await;
    in_contact(&bound).await;
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &plain, &browser).await), None);
    plain.clock.advance(std::time::Duration::from_secs(301));
    let other_tab = browser.copy();
    op.turn(|knobs| knobs.dpop = Some(Nonces::Never));
    assert_eq!(bound.fetch(&browser, "GET", "/api/orders").await.status, 200);
    // The other tab's call comes to the instance without a key, which hears of the bound token.
    let page = plain.fetch(&other_tab, "GET", "/api/orders").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (503, "provider_unavailable"));
    op.turn(|knobs| knobs.dpop = None);
    assert_eq!(plain.fetch(&other_tab, "GET", "/api/orders").await.status, 200);
    let schemes: Vec<bool> =
        api.requests().iter().map(|request| request.contains("authorization: DPoP ")).collect();
    assert_eq!(schemes, [true, false]);
    stop([plain, bound]).await;
}

// proves: PX-20, SC-02
#[rstest]
#[case::ours(None, 200)]
#[case::anothers(Some(json!({ "jkt": "another" })), 502)]
#[case::nobodys(Some(json!({})), 502)]
#[tokio::test(flavor = "multi_thread")]
async fn the_jwt_behind_a_bound_token_is_bound_to_the_same_key(
    #[case] cnf: Option<serde_json::Value>,
    #[case] status: u16,
) {
    let api = HostileUpstream::answering(ok("good")).await;
    let op = hostile_op(Setup::default().clock).await;
    op.turn(|knobs| knobs.dpop = Some(Nonces::Never));
    let key = key_file(&format!("phantom-{status}-{}", cnf.is_some()));
    let thumbprint = ClientKey::parse(
        &cloakroom::secret::Secret::new(std::fs::read_to_string(&key).unwrap()),
        false,
    );
    let own = json!({ "jkt": thumbprint.unwrap().id() });
    op.turn(|knobs| knobs.introspection = set("cnf", Some(cnf.unwrap_or(own))));
    let more = format!(
        "[[routes]]\npath = \"/phantom\"\nupstream = \"http://{}\"\ntoken = \"introspect\"\n",
        api.address
    );
    let stack = Stack::start(Setup { more, ..setup(&key, &op, &api) }).await;
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &stack, &browser).await), None);
    let page = stack.fetch(&browser, "GET", "/phantom/x").await;
    assert_eq!(page.status, status, "{}", page.body);
    assert_eq!(api.requests().len(), usize::from(status == 200));
    stack.stop().await;
}
