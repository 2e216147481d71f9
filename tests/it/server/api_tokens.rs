//! A token for each API: exchanged, introspected, or ours; none reaches another API, and an outage ends no session.

use std::time::Duration;

use serde_json::json;

use super::problem_code;
use super::setup::{hostile_with, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Edit, Endpoint, HostileOp, Reply, edit, set};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{FETCH, LINK, Setup, Stack};

const EXCHANGE: &str = "token = \"exchange\"\ntoken_audience = \"orders\"";
const EXCHANGED: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

struct Place {
    op: HostileOp,
    stack: Stack,
    /// Behind `/one` and `/two`.
    one: HostileUpstream,
    two: HostileUpstream,
    browser: Browser,
}

impl Place {
    /// Two APIs, whose routes have these lines, and a user who is signed in.
    async fn start(one_lines: &str, two_lines: &str, provider: &str) -> Self {
        let one = HostileUpstream::answering(ok("one")).await;
        let two = HostileUpstream::answering(ok("two")).await;
        let more = format!(
            "[[routes]]\npath = \"/one\"\nupstream = \"http://{}\"\n{one_lines}\n\
             [[routes]]\npath = \"/two\"\nupstream = \"http://{}\"\n{two_lines}\n",
            one.address, two.address
        );
        let provider = format!("scopes = [\"openid\"]\n{provider}");
        let setup = Setup { provider, more, ..Setup::default() };
        let (op, stack) = hostile_with(setup).await;
        let browser = Browser::new();
        log_in(&op, &stack, &browser).await;
        Self { op, stack, one, two, browser }
    }

    async fn get(&self, path: &str) -> String {
        let page = self.stack.fetch(&self.browser, "GET", path).await;
        if page.status == 200 {
            return page.body;
        }
        format!("{}/{}", page.status.as_u16(), problem_code(&page))
    }

    /// How often a token was asked for.
    fn asked(&self, grant: &str) -> usize {
        let requests = self.op.requests(Endpoint::Token);
        requests.iter().filter(|one| one.field("grant_type").as_deref() == Some(grant)).count()
    }

    async fn is_signed_in(&self) -> bool {
        self.stack.session(&self.browser).await["authenticated"] == true
    }
}

/// The tokens that an API got.
fn tokens(api: &HostileUpstream) -> Vec<String> {
    let all = api.requests();
    let token = |one: &String| {
        let line = one.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        line.unwrap_or("none").to_owned()
    };
    all.iter().map(token).collect()
}

// proves: AR-16, AR-20, FA-11, PX-22
#[tokio::test(flavor = "multi_thread")]
async fn each_api_gets_a_token_of_its_own_and_none_that_another_could_use() {
    let two = "token = \"exchange\"\ntoken_resource = \"https://two.example/\"\ntoken_scopes = [\"two.read\"]";
    let place = Place::start(EXCHANGE, two, "").await;
    for _ in 0..3 {
        assert_eq!(
            (place.get("/one/x").await, place.get("/two/x").await),
            ("one".into(), "two".into())
        );
    }
    assert_eq!(place.asked(EXCHANGED), 2, "each once");
    let (one, two) = (tokens(&place.one), tokens(&place.two));
    assert!(one.iter().all(|token| token == &one[0] && token.starts_with("exchanged-orders-")));
    let named = "exchanged-httpstwoexampletworead-";
    assert!(two.iter().all(|token| token == &two[0] && token.starts_with(named)), "{two:?}");
    let requests = place.op.requests(Endpoint::Token);
    for request in requests.iter().filter(|one| one.field("subject_token").is_some()) {
        let body = &request.body;
        assert!(request.basic().is_some() && !body.contains("client_secret"), "{body}");
        assert!(request.field("subject_token").unwrap().starts_with("access-"), "{body}");
        assert!(!body.contains("refresh"), "the refresh token is nobody's subject: {body}");
    }
    place.stack.stop().await;
}

// proves: PX-22
#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_asks_of_the_login_is_not_asked_of_the_token_of_its_api() {
    let lines =
        format!("{EXCHANGE}\ntoken_scopes = [\"orders.read\"]\nrequire_scopes = [\"openid\"]");
    let place = Place::start(&lines, "", "").await;
    place.op.turn(|knobs| knobs.api_token = set("scope", Some(json!("orders.read"))));
    assert_eq!(place.get("/one/x").await, "one");
    place.stack.stop().await;
}

// proves: PX-22
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_wait_for_one_exchange_and_users_share_nothing() {
    let place = Place::start(EXCHANGE, EXCHANGE, "").await;
    let other = Browser::new();
    log_in(&place.op, &place.stack, &other).await;
    let tabs: Vec<Browser> = (0..20).map(|_| place.browser.copy()).collect();
    let calls = tabs.iter().map(|tab| place.stack.fetch(tab, "GET", "/one/x"));
    for page in futures_util::future::join_all(calls).await {
        assert_eq!(page.body, "one");
    }
    assert_eq!(place.asked(EXCHANGED), 1);
    assert_eq!(place.stack.fetch(&other, "GET", "/one/x").await.body, "one");
    assert_eq!(place.asked(EXCHANGED), 2);
    let sent = tokens(&place.one);
    assert_ne!(sent[0], sent[20], "another user's");
    // A token is not used until its last second, and not longer than the route says.
    place.stack.clock.advance(Duration::from_secs(111));
    assert_eq!(place.get("/one/x").await, "one");
    assert_eq!(place.asked(EXCHANGED), 3);
    place.stack.stop().await;
}

// proves: PX-22
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_access_token_is_not_sent_and_an_outage_ends_no_session() {
    let place = Place::start(EXCHANGE, EXCHANGE, "").await;
    let odd: Vec<(Edit, &str)> = vec![
        (
            set("issued_token_type", Some(json!("urn:ietf:params:oauth:token-type:refresh_token"))),
            "api_token_refused",
        ),
        (
            set("issued_token_type", Some(json!("urn:ietf:params:oauth:token-type:id_token"))),
            "api_token_refused",
        ),
        (set("issued_token_type", None), "api_token_refused"),
        (set("token_type", Some(json!("N_A"))), "api_token_refused"),
        (set("token_type", Some(json!("DPoP"))), "api_token_refused"),
        (set("access_token", None), "api_token_refused"),
        (set("access_token", Some(json!("a b"))), "api_token_refused"),
    ];
    for (edit, code) in odd {
        place.op.turn(|knobs| knobs.api_token = edit);
        let asked = place.asked(EXCHANGED);
        for _ in 0..3 {
            assert_eq!(place.get("/one/x").await, format!("502/{code}"));
        }
        assert_eq!(place.asked(EXCHANGED) - asked, 1, "a refusal is believed for a while");
        place.stack.clock.advance(Duration::from_secs(31));
    }
    place.op.turn(|knobs| knobs.api_token = Edit::default());
    place.op.answer_with(Endpoint::Token, Reply::new(503, "text/plain", "later"));
    let page = place.stack.fetch(&place.browser, "GET", "/one/x").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (503, "provider_unavailable"));
    assert!(page.headers.contains_key("retry-after"));
    place.op.answer_honestly(Endpoint::Token);
    place.stack.clock.advance(Duration::from_secs(3));
    assert_eq!(place.get("/one/x").await, "one");
    assert!(place.is_signed_in().await);
    assert!(tokens(&place.one).iter().all(|token| token.starts_with("exchanged-")));
    place.stack.stop().await;
}

// proves: PX-18, PX-22
#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_is_refused_is_refreshed_once_whatever_the_method() {
    let place = Place::start(EXCHANGE, EXCHANGE, "").await;
    place.op.revoke_access_tokens();
    let own = [&FETCH[..], &[("origin", place.stack.app.as_str())]].concat();
    let page = place.browser.send("POST", &place.stack.url("/one/x"), &own, "a body").await;
    assert_eq!(page.body, "one", "nothing of the body was gone");
    assert_eq!((place.asked("refresh_token"), place.asked(EXCHANGED)), (1, 2));
    assert!(place.one.requests()[0].contains("a body"));
    // A server that never takes a subject costs a few refreshes, and no session.
    place.op.turn(|knobs| {
        knobs.token_response = set("access_token", Some(json!("unknown")));
        knobs.id_token_at_refresh = false;
    });
    place.op.revoke_access_tokens();
    place.stack.clock.advance(Duration::from_secs(115));
    for _ in 0..5 {
        assert_eq!(place.get("/one/x").await, "401/token_inactive");
    }
    assert!(place.asked("refresh_token") <= 3, "{}", place.asked("refresh_token"));
    assert!(place.is_signed_in().await);
    place.stack.stop().await;
}

// proves: PX-20
#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_becomes_the_jwt_that_it_stands_for() {
    let place = Place::start("token = \"introspect\"\ntoken_cache = \"60s\"", "", "").await;
    for _ in 0..3 {
        assert_eq!(place.get("/one/x").await, "one");
    }
    assert_eq!(place.op.calls(Endpoint::Introspection), 1);
    assert_eq!(place.get("/two/x").await, "two");
    let jwt = tokens(&place.one).remove(0);
    let claims: serde_json::Value = jsonwebtoken::dangerous::insecure_decode_claims(&jwt).unwrap();
    assert_eq!(claims["aud"], "https://orders.example");
    assert!(tokens(&place.two)[0].starts_with("access-"), "the login's own");
    // Revoked over there, it is used until the cache says so, and then it is over here as well.
    place.op.revoke_access_tokens();
    assert_eq!(place.get("/one/x").await, "one");
    place.stack.clock.advance(Duration::from_secs(61));
    assert_eq!(place.get("/one/x").await, "one", "a refresh brings a token that is active");
    assert_eq!((place.op.calls(Endpoint::Introspection), place.asked("refresh_token")), (3, 1));
    place.stack.stop().await;
}

// proves: PX-20, PX-21
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_acceptable_lets_no_call_through() {
    let forged = |place: &Place| {
        place.op.turn(|knobs| {
            knobs.key = crate::support::hostile_op::SigningKeys::shared().other_rsa.clone();
        });
    };
    for (form, odd) in [
        ("jwt", set("iss", Some(json!("https://evil.example")))),
        ("jwt", set("exp", None)),
        ("signed", set("aud", Some(json!("another")))),
        ("signed", set("iss", Some(json!("https://evil.example")))),
        ("signed", set("token_introspection", None)),
        ("json", set("active", Some(json!("yes")))),
    ] {
        let provider = format!("introspection = \"{form}\"");
        let place = Place::start("token = \"introspect\"", "", &provider).await;
        assert_eq!(place.get("/one/x").await, "one", "{form}");
        place.op.turn(|knobs| knobs.introspection = odd);
        place.stack.clock.advance(Duration::from_secs(121));
        assert_eq!(place.get("/one/x").await, "502/api_token_refused", "{form}");
        assert!(place.is_signed_in().await);
        place.stack.stop().await;
    }
    for (typ, form) in [
        ("JWT", "signed"),
        ("at+jwt", "signed"),
        ("token-introspection+jwt", "jwt"),
        ("logout+jwt", "jwt"),
    ] {
        let provider = format!("introspection = \"{form}\"");
        let place = Place::start("token = \"introspect\"", "", &provider).await;
        place.op.turn(|knobs| {
            knobs.introspection_header =
                edit(move |header| drop(header.insert("typ".into(), json!(typ))));
        });
        assert_eq!(place.get("/one/x").await, "502/api_token_refused", "{typ}");
        assert_eq!(place.one.requests().len(), 0);
        place.stack.stop().await;
    }
    let place = Place::start("token = \"introspect\"", "", "introspection = \"signed\"").await;
    let known = place.op.requests(Endpoint::Jwks).len();
    assert!(known > 0);
    place.op.turn(|knobs| knobs.publish(&[knobs.key.jwk(Some("k1"), &json!({}))]));
    forged(&place);
    assert_eq!(place.get("/one/x").await, "502/api_token_refused");
    place.stack.stop().await;
}

// proves: PX-20, PX-21
#[tokio::test(flavor = "multi_thread")]
async fn scopes_are_those_that_the_introspection_names_and_the_logins_token_goes_on() {
    let lines = "token = \"introspect\"\nrequire_scopes = [\"openid\"]";
    for form in ["signed", "json"] {
        let place = Place::start(lines, "", &format!("introspection = \"{form}\"")).await;
        assert_eq!(place.get("/one/x").await, "one");
        assert!(tokens(&place.one)[0].starts_with("access-"));
        let narrow = edit(|members| {
            let inner = if members.contains_key("token_introspection") {
                members["token_introspection"].as_object_mut().unwrap()
            } else {
                members
            };
            inner.insert("scope".into(), json!("orders.read"));
        });
        place.op.turn(|knobs| knobs.introspection = narrow);
        place.stack.clock.advance(Duration::from_secs(121));
        assert_eq!(place.get("/one/x").await, "403/scope_missing", "{form}");
        place.op.answer_with(Endpoint::Introspection, Reply::new(500, "text/plain", ""));
        place.stack.clock.advance(Duration::from_secs(121));
        assert_eq!(place.get("/one/x").await, "503/provider_unavailable");
        assert!(place.is_signed_in().await);
        place.stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_session_get_our_own_token_and_still_need_the_header() {
    let place = Place::start("token = \"client\"\ntoken_scopes = [\"catalog.read\"]", "", "").await;
    let nobody = Browser::new();
    for _ in 0..2 {
        assert_eq!(place.stack.fetch(&nobody, "GET", "/one/x").await.body, "one");
    }
    assert_eq!(place.asked("client_credentials"), 1);
    assert!(tokens(&place.one).iter().all(|token| token.starts_with("client-catalogread-")));
    let without = nobody.send("GET", &place.stack.url("/one/x"), &LINK, "").await;
    assert_eq!(without.status, 403);
    place
        .op
        .answer_with(Endpoint::Token, Reply::json(400, &json!({ "error": "unauthorized_client" })));
    place.stack.clock.advance(Duration::from_secs(121));
    let page = place.stack.fetch(&nobody, "GET", "/one/x").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (502, "api_token_refused"));
    place.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_drops_the_tokens_of_its_session() {
    let place = Place::start(EXCHANGE, "", "").await;
    assert_eq!(place.get("/one/x").await, "one");
    let copy = place.browser.copy();
    let page = place.stack.fetch(&place.browser, "POST", "/logout").await;
    assert_eq!(page.status, 200);
    let page = place.stack.fetch(&copy, "GET", "/one/x").await;
    assert_eq!(page.status, 401);
    assert_eq!(place.one.requests().len(), 1);
    place.stack.stop().await;
}
