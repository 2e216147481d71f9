//! Tokens for single APIs, cut from the login's grant by refreshing (RFC 8707), while the refresh token changes under every one of them.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::instances::{in_contact, stop};
use super::problem_code;
use super::resource_apis::{APIS, Apis, url_of};
use super::setup::{error_of, hostile_op, log_in};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply, Request, Rotation, set};
use crate::support::hostile_upstream::until;
use crate::support::redis::Redis;
use crate::support::stack::{Setup, Stack};

fn setup(op: &HostileOp, apis: &Apis, more: &str) -> Setup {
    let resources = APIS.map(url_of);
    Setup {
        issuer: Some(op.issuer.clone()),
        provider: format!(
            "scopes = [\"openid\", \"read\", \"write\"]\nresources = {resources:?}\n"
        ),
        login: "loop_limit = 100".to_owned(),
        more: format!("{}{more}", apis.routes("token_scopes = [\"read\"]")),
        clock: op.clock.clone(),
        ..Setup::default()
    }
}

/// The first two APIs once more, with the token of the login.
fn with_login_token(setup: Setup) -> Setup {
    let ports = setup.more.split("127.0.0.1:").skip(1).filter_map(|rest| rest.split('"').next());
    let paths = ["/login-token", "/login-token-for-billing"];
    let plain: Vec<String> = paths
        .iter()
        .zip(ports)
        .map(|(path, port)| {
            format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://127.0.0.1:{port}\"\n")
        })
        .collect();
    Setup { more: format!("{}{}", setup.more, plain.concat()), ..setup }
}

struct Place {
    op: Arc<HostileOp>,
    apis: Apis,
    stack: Stack,
    browser: Browser,
}

impl Place {
    async fn start(rotation: Rotation) -> Self {
        Self::start_with(rotation, |setup| setup).await
    }

    async fn start_with(rotation: Rotation, change: impl FnOnce(Setup) -> Setup) -> Self {
        let op = Arc::new(hostile_op(Setup::default().clock).await);
        op.turn(|knobs| knobs.rotation = rotation);
        let apis = Apis::start(&op).await;
        let stack = Stack::start(change(setup(&op, &apis, ""))).await;
        let browser = Browser::new();
        assert_eq!(error_of(&log_in(&op, &stack, &browser).await), None);
        Self { op, apis, stack, browser }
    }

    async fn get(&self, path: &str) -> Page {
        self.stack.fetch(&self.browser, "GET", path).await
    }

    async fn code(&self, path: &str) -> String {
        let page = self.get(path).await;
        if page.status == 200 {
            return page.body;
        }
        format!("{}/{}", page.status.as_u16(), problem_code(&page))
    }

    async fn is_signed_in(&self) -> bool {
        self.stack.session(&self.browser).await["authenticated"] == true
    }

    /// The `resource` of each token request, oldest first.
    fn asked(&self) -> Vec<String> {
        let name = |request: &Request| {
            let resource = request.field("resource").unwrap_or_default();
            resource.trim_start_matches("https://").trim_end_matches(".example.com").to_owned()
        };
        self.op.requests(Endpoint::Token).iter().map(name).collect()
    }
}

// proves: AR-16, AR-20, FA-11
#[rstest]
#[case::rotating(Rotation::Always)]
#[case::lasting(Rotation::Never)]
#[tokio::test(flavor = "multi_thread")]
async fn each_api_gets_a_token_that_the_others_refuse(#[case] rotation: Rotation) {
    let place = Place::start_with(rotation, with_login_token).await;
    let authorize = place.stack.begin_login(&Browser::new(), "").await;
    let asked: Vec<String> = url::Url::parse(&authorize)
        .unwrap()
        .query_pairs()
        .filter(|(name, _)| name == "resource")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(asked, APIS.map(url_of), "the grant is for all of them");
    for _ in 0..3 {
        for name in APIS {
            assert_eq!(place.code(&format!("/{name}/x")).await, name);
        }
    }
    // The login's own token is for the first alone.
    assert_eq!(place.code("/login-token/x").await, "orders");
    assert_eq!(place.get("/login-token-for-billing/x").await.status, 403);
    assert_eq!(place.asked(), ["orders", "orders", "billing", "stock"], "each once");
    let refreshes = place.op.requests(Endpoint::Token);
    for request in refreshes.iter().skip(1) {
        assert_eq!(request.field("scope").as_deref(), Some("read"), "no more than the route needs");
    }
    let counts: Vec<usize> = (0..3).map(|index| place.apis.tokens(index).len()).collect();
    assert_eq!((counts, place.op.reused()), (vec![2, 2, 1], 0));
    place.stack.stop().await;
}

// proves: RF-03, RF-04, AR-20
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_to_many_apis_at_once_use_each_refresh_token_once_and_the_browser_gets_the_last()
{
    let place = Place::start(Rotation::Always).await;
    for round in 1..=3 {
        let tabs: Vec<(Browser, &str)> =
            (0..21).map(|n| (place.browser.copy(), APIS[n % 3])).collect();
        let calls = tabs.iter().map(async |(tab, name)| {
            (place.stack.fetch(tab, "GET", &format!("/{name}/x")).await, *name)
        });
        for (page, name) in futures_util::future::join_all(calls).await {
            assert_eq!((page.status.as_u16(), page.body.as_str()), (200, name), "{round}");
        }
        assert_eq!(place.op.reused(), 0, "{round}");
        // One of the tabs' answers came last, and has the newest; the jar of a real browser is one.
        assert_eq!(place.code("/orders/x").await, "orders");
        // The login's token ends, and those that were got beside it.
        place.stack.clock.advance(Duration::from_secs(301));
    }
    // Once for each API in each round, and for the login's own in the second and the third.
    assert_eq!(place.asked().len(), 1 + 3 + 2 * 4);
    // Whoever has forgotten everything goes on with what the browser has.
    let again = setup(&place.op, &place.apis, "");
    let stack = place.stack.restart_at_same_port(again).await;
    let place = Place { stack, ..place };
    assert_eq!(place.code("/billing/x").await, "billing");
    assert_eq!((place.op.reused(), place.op.refresh_tokens()), (0, 1));
    place.stack.stop().await;
}

// proves: RF-04
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_the_call_that_a_token_was_cut_for_brings_the_next_refresh_token() {
    let place = Place::start(Rotation::Always).await;
    assert_eq!(place.code("/billing/x").await, "billing");
    // Nobody remembers anything but the browser.
    let stack = place.stack.restart_at_same_port(setup(&place.op, &place.apis, "")).await;
    let place = Place { stack, ..place };
    assert_eq!((place.code("/stock/x").await.as_str(), place.op.reused()), ("stock", 0));
    place.stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_token_is_replaced_though_a_newer_generation_has_the_same_one() {
    let place = Place::start_with(Rotation::Always, with_login_token).await;
    let stale = place.browser.copy();
    assert_eq!(place.code("/billing/x").await, "billing");
    *place.apis.refuse.lock().unwrap() = 1;
    let page = place.stack.fetch(&stale, "GET", "/login-token/x").await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "orders"));
    assert_eq!((place.apis.tokens(0).len(), place.op.reused()), (2, 0));
    place.stack.stop().await;
}

// proves: RF-05, PX-22
#[rstest]
#[case::invalid_target("invalid_target")]
#[case::invalid_scope("invalid_scope")]
#[case::unauthorized("unauthorized_client")]
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_the_server_gives_no_token_for_costs_nobody_the_session(#[case] error: &str) {
    let place = Place::start(Rotation::Always).await;
    let refusal = Reply::json(400, &json!({ "error": error }));
    place.op.answer_with(Endpoint::Token, refusal);
    for _ in 0..3 {
        assert_eq!(place.code("/billing/x").await, "502/api_token_refused");
    }
    assert_eq!(place.asked(), ["orders", "billing"], "a refusal is believed for a while");
    place.op.answer_honestly(Endpoint::Token);
    assert!(place.is_signed_in().await);
    // No pause for the others, as after an outage.
    assert_eq!(place.code("/orders/x").await, "orders");
    place.stack.clock.advance(Duration::from_secs(31));
    assert_eq!(place.code("/billing/x").await, "billing");
    assert_eq!(place.op.reused(), 0);
    place.stack.stop().await;
}

// proves: RF-05
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_one_and_a_grant_that_is_gone_ends_the_session() {
    let place = Place::start(Rotation::Always).await;
    place.op.answer_with(Endpoint::Token, Reply::new(500, "text/html", "<h1>"));
    assert_eq!(place.code("/billing/x").await, "503/provider_unavailable");
    assert!(place.is_signed_in().await);
    place.op.answer_honestly(Endpoint::Token);
    place.stack.clock.advance(Duration::from_secs(30));
    assert_eq!(place.code("/billing/x").await, "billing");

    let gone = Reply::json(400, &json!({ "error": "invalid_grant" }));
    place.op.answer_with(Endpoint::Token, gone);
    let page = place.get("/stock/x").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (401, "session_expired"));
    assert!(place.browser.jar().is_empty(), "{:?}", place.browser.jar());
    assert_eq!(place.code("/orders/x").await, "401/not_logged_in");
    place.stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_its_api_refuses_is_replaced_and_the_call_repeated_once() {
    let place = Place::start(Rotation::Always).await;
    assert_eq!(place.code("/billing/x").await, "billing");
    *place.apis.refuse.lock().unwrap() = 1;
    assert_eq!(place.code("/billing/x").await, "billing");
    assert_eq!(place.apis.tokens(1).len(), 2, "another one");
    *place.apis.refuse.lock().unwrap() = 9;
    assert_eq!(place.get("/billing/x").await.status, 401);
    assert_eq!(*place.apis.refuse.lock().unwrap(), 7, "twice, no oftener");
    assert_eq!(place.op.reused(), 0);
    assert!(place.is_signed_in().await);
    place.stack.stop().await;
}

// proves: RF-04
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_given_up_loses_no_refresh_token() {
    let place = Place::start(Rotation::Always).await;
    // The answer never reaches this tab: its cookies stay what they were.
    let given_up = place.browser.copy();
    let call = place.stack.fetch(&given_up, "GET", "/billing/x");
    let _gone = tokio::time::timeout(Duration::from_millis(1), call).await;
    until(|| place.asked().len() == 2).await;
    let cookies = place.browser.jar();
    until(|| place.op.refresh_tokens() == 1).await;
    // Whatever is asked next brings what changed, though everybody has forgotten it then.
    for _ in 0..100 {
        assert_eq!(place.stack.fetch(&place.browser, "POST", "/refresh").await.status, 200);
        if place.browser.jar() != cookies {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(place.browser.jar(), cookies);
    let stack = place.stack.restart_at_same_port(setup(&place.op, &place.apis, "")).await;
    let place = Place { stack, ..place };
    place.stack.clock.advance(Duration::from_secs(301));
    assert_eq!(place.code("/orders/x").await, "orders");
    assert_eq!(place.op.reused(), 0);
    place.stack.stop().await;
}

// proves: LO-03
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_revokes_the_last_refresh_token_and_drops_the_tokens_of_apis() {
    let place = Place::start(Rotation::Always).await;
    for name in APIS {
        assert_eq!(place.code(&format!("/{name}/x")).await, name);
    }
    assert_eq!(place.op.refresh_tokens(), 1);
    assert_eq!(place.stack.fetch(&place.browser, "POST", "/logout").await.status, 200);
    until(|| place.op.refresh_tokens() == 0).await;
    assert_eq!(place.code("/orders/x").await, "401/not_logged_in");
    place.stack.stop().await;
}

// proves: PX-22
#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_a_refresh_token_gets_a_clear_answer_and_stays() {
    let place = Place::start(Rotation::Always).await;
    place.op.turn(|knobs| knobs.token_response = set("refresh_token", None));
    let other = Browser::new();
    assert_eq!(error_of(&log_in(&place.op, &place.stack, &other).await), None);
    let place = Place { browser: other, ..place };
    let before = place.op.calls(Endpoint::Token);
    assert_eq!(place.code("/billing/x").await, "502/api_token_refused");
    assert_eq!(place.op.calls(Endpoint::Token), before);
    assert!(place.is_signed_in().await);
    place.stack.stop().await;
}

// proves: RF-03, RF-07
#[rstest]
#[case::in_cookies("")]
#[case::on_the_server("store = \"redis\"\n")]
#[tokio::test(flavor = "multi_thread")]
async fn instances_take_turns_and_each_has_a_token_of_its_own(#[case] store: &str) {
    let redis = Redis::start();
    let op = Arc::new(hostile_op(Setup::default().clock).await);
    op.turn(|knobs| knobs.rotation = Rotation::Always);
    let apis = Apis::start(&op).await;
    let shared = || Setup {
        session: store.to_owned(),
        ..setup(&op, &apis, &format!("[redis]\nurl = \"{}\"\n", redis.url()))
    };
    let one = Stack::start(shared()).await;
    let two = one.beside(shared());
    in_contact(&one).await;
    in_contact(&two).await;
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &one, &browser).await), None);
    for round in 1..=3 {
        let tabs: Vec<(Browser, &Stack, &str)> = (0..24)
            .map(|n| (browser.copy(), if n % 2 == 0 { &one } else { &two }, APIS[n % 3]))
            .collect();
        let calls = tabs.iter().map(async |(tab, stack, name)| {
            (stack.fetch(tab, "GET", &format!("/{name}/x")).await, *name)
        });
        for (page, name) in futures_util::future::join_all(calls).await {
            assert_eq!((page.status.as_u16(), page.body.as_str()), (200, name), "{round}");
        }
        assert_eq!(op.reused(), 0, "{round}");
        assert_eq!(one.fetch(&browser, "GET", "/orders/x").await.body, "orders");
        op.clock.advance(Duration::from_secs(301));
    }
    // For each instance and API once in each round, and the login's own once for both.
    let calls = op.calls(Endpoint::Token);
    assert!((1 + 6 * 3 + 2..=1 + 6 * 3 + 2 * 2).contains(&calls), "{calls}");
    assert_eq!(op.refresh_tokens(), 1);
    stop([one, two]).await;
}
