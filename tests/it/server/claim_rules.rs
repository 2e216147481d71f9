//! Routes that ask for scopes and claims, choose their upstream by a claim, and tell the upstream who calls.

use cloakroom::clock::Clock;
use serde_json::{Value, json};

use super::audit::log_in as log_in_at;
use super::served::{SESSION, Served};
use super::setup::{callback, hostile_op, hostile_with, log_in};
use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, set};
use crate::support::hostile_upstream::{HostileUpstream, ok, until};
use crate::support::stack::{FETCH, Setup, Stack};

async fn upstream() -> HostileUpstream {
    HostileUpstream::answering(ok("here")).await
}

fn missing(page: &crate::support::browser::Page) -> Value {
    serde_json::from_str::<Value>(&page.body).unwrap()["missing"].clone()
}

/// What the only request to `upstream` says in the field called `name`.
fn told(upstream: &HostileUpstream, name: &str) -> Vec<String> {
    let request = upstream.request();
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(field, _)| *field == name).map(|(_, value)| value.to_owned()).collect()
}

/// Routes by region, one that needs scopes, one that needs claims, and a plain one.
fn routes(own: &HostileUpstream, eu: &HostileUpstream, us: &HostileUpstream) -> String {
    let (own, eu, us) = (own.address, eu.address, us.address);
    format!(
        r#"
[[routes]]
path = "/home"
upstream = "http://{own}"
claim_headers = {{ x-region = "region", X-Groups = "groups", x-subject = "sub" }}
[routes.upstream_by]
claim = "region"
upstreams = {{ eu = "http://{eu}/v2", us = "http://{us}" }}
missing = "upstream"
[[routes]]
path = "/scoped"
upstream = "http://{own}"
require_scopes = ["sales", "orders:write"]
[[routes]]
path = "/sales"
upstream = "http://{own}"
require_claims = {{ "/realm_access/roles" = ["sales", "support"], email_verified = [] }}
"#
    )
}

async fn place(more: String) -> (HostileOp, Stack) {
    hostile_with(Setup { more, ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_calls_go_to_their_region_and_nobody_can_claim_another() {
    let (own, eu, us) = (upstream().await, upstream().await, upstream().await);
    let (op, stack) = place(routes(&own, &eu, &us)).await;
    op.turn(|knobs| knobs.claims = set("region", Some(json!("eu"))));
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    // Every spelling, and the trick to have our own field dropped as a hop-by-hop one.
    let mut headers = FETCH.to_vec();
    headers.extend([
        ("x-region", "us"),
        ("X_Region", "us"),
        ("x.region", "us"),
        ("x-groups", "admin"),
        ("connection", "x-region, x-subject"),
    ]);
    let page = browser.send("GET", &stack.url("/home/orders?q=1"), &headers, "").await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "here"));
    assert!(eu.request().starts_with("GET /v2/home/orders?q=1 HTTP/1.1\r\n"), "{}", eu.request());
    assert_eq!(told(&eu, "x-region"), ["eu"]);
    assert_eq!(told(&eu, "host"), [eu.address.to_string()]);
    assert!(told(&eu, "x-groups").is_empty(), "a claim that is not there");
    let sent = eu.request().to_lowercase();
    assert!(!sent.contains("admin") && !sent.contains("x_region") && !sent.contains("x.region"));
    assert!(own.requests().is_empty() && us.requests().is_empty());

    // On another route of the app the field is nobody's to set, either.
    let page = browser
        .send("GET", &stack.url("/api/x"), &[&FETCH[..], &[("x-region", "us")]].concat(), "")
        .await;
    assert!(!page.body.contains("\"x-region\""), "{}", page.body);

    op.turn(|knobs| knobs.claims = set("region", Some(json!("us"))));
    log_in(&op, &stack, &browser).await;
    assert_eq!(stack.fetch(&browser, "GET", "/home/orders").await.status, 200);
    assert_eq!(us.requests().len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_region_goes_where_it_is_said_and_an_unknown_one_goes_nowhere() {
    let (own, eu, us) = (upstream().await, upstream().await, upstream().await);
    let (op, stack) = place(routes(&own, &eu, &us)).await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    assert_eq!(stack.fetch(&browser, "GET", "/home/x").await.status, 200);
    assert!(told(&own, "x-region").is_empty());

    op.turn(|knobs| knobs.claims = set("region", Some(json!("mars"))));
    log_in(&op, &stack, &browser).await;
    let page = stack.fetch(&browser, "GET", "/home/x").await;
    assert_eq!((page.status.as_u16(), problem_code(&page)), (403, "claim_unknown".to_owned()));
    assert_eq!(missing(&page), json!(["region"]));
    assert!(!page.body.contains("mars") && set_cookies(&page).is_empty(), "{}", page.body);
    assert_eq!(own.requests().len() + eu.requests().len() + us.requests().len(), 1);
    // The session itself is none the worse.
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_and_the_call_goes_nowhere() {
    let (own, eu, us) = (upstream().await, upstream().await, upstream().await);
    let (op, stack) = place(routes(&own, &eu, &us)).await;
    for (granted, lacking) in [
        (Some("openid sales"), vec!["orders:write"]),
        (Some("openid"), vec!["sales", "orders:write"]),
        // Silence says that all was granted that was asked for (RFC 6749 §5.1), and that was not.
        (None, vec!["orders:write"]),
        (Some("openid orders:write sales"), vec![]),
    ] {
        op.turn(|knobs| knobs.token_response = set("scope", granted.map(Value::from)));
        let browser = Browser::new();
        log_in(&op, &stack, &browser).await;
        let page = stack.fetch(&browser, "POST", "/scoped").await;
        if lacking.is_empty() {
            assert_eq!(page.status, 200);
        } else {
            assert_eq!(
                (page.status.as_u16(), problem_code(&page)),
                (403, "scope_missing".to_owned())
            );
            assert_eq!(missing(&page), json!(lacking));
        }
    }
    assert_eq!(own.requests().len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_are_those_of_the_login_and_of_the_latest_refresh() {
    let own = upstream().await;
    let more = format!(
        "[[routes]]\npath = \"/scoped\"\nupstream = \"http://{}\"\nrequire_scopes = [\"sales\"]\n\
         [[routes]]\npath = \"/admins\"\nupstream = \"http://{}\"\nrequire_scopes = [\"orders:write\"]\n",
        own.address, own.address
    );
    let login = "allowed_params = [\"scope\"]".to_owned();
    let (op, stack) = hostile_with(Setup { login, more, ..Setup::default() }).await;
    op.turn(|knobs| knobs.token_response = set("scope", None));
    let browser = Browser::new();
    // It asked for less than is configured, and the answer is silent: it has been granted less.
    let authorize = stack.begin_login(&browser, "?return_to=/&scope=openid").await;
    browser.get_from_elsewhere(&callback(&op, &authorize, &stack.url("/callback"))).await;
    assert_eq!(problem_code(&stack.fetch(&browser, "GET", "/scoped").await), "scope_missing");
    // Nor is it granted what it was never asked for: the wish of a browser is cut to what is configured.
    let wish = "?return_to=/&scope=openid+orders:write";
    let authorize = stack.begin_login(&browser, wish).await;
    assert!(!authorize.contains("orders"), "{authorize}");
    browser.get_from_elsewhere(&callback(&op, &authorize, &stack.url("/callback"))).await;
    let page = stack.fetch(&browser, "GET", "/admins").await;
    assert_eq!((problem_code(&page), own.requests().len()), ("scope_missing".to_owned(), 0));
    log_in(&op, &stack, &browser).await;
    assert_eq!(stack.fetch(&browser, "GET", "/scoped").await.status, 200);
    // A refresh may narrow it: the call that causes it is judged by what came of it, and brings its cookies.
    op.turn(|knobs| knobs.token_response = set("scope", Some(json!("openid"))));
    stack.clock.advance(std::time::Duration::from_secs(301));
    let page = stack.fetch(&browser, "GET", "/scoped").await;
    assert_eq!((problem_code(&page), own.requests().len()), ("scope_missing".to_owned(), 1));
    assert!(!set_cookies(&page).is_empty(), "the new tokens are not lost");
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    assert_eq!(op.calls(Endpoint::Token), 4, "three logins and one refresh");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_for_those_who_have_the_claims() {
    let (own, eu, us) = (upstream().await, upstream().await, upstream().await);
    let (op, stack) = place(routes(&own, &eu, &us)).await;
    let secret = "role-that-nobody-else-may-read";
    for (roles, verified, lacking) in [
        (json!(["x", "support"]), json!(true), json!([])),
        (json!([secret]), json!(true), json!(["/realm_access/roles"])),
        (json!("sales"), json!(false), json!(["email_verified"])),
        (Value::Null, Value::Null, json!(["/realm_access/roles", "email_verified"])),
    ] {
        let (access, verified) = (json!({ "roles": roles }), verified.clone());
        op.turn(|knobs| {
            knobs.claims = crate::support::hostile_op::edit(move |claims| {
                claims.insert("realm_access".to_owned(), access.clone());
                claims.insert("email_verified".to_owned(), verified.clone());
            });
        });
        let browser = Browser::new();
        log_in(&op, &stack, &browser).await;
        let page = stack.fetch(&browser, "GET", "/sales").await;
        if lacking == json!([]) {
            assert_eq!(page.status, 200);
            continue;
        }
        assert_eq!((page.status.as_u16(), problem_code(&page)), (403, "claim_missing".to_owned()));
        assert_eq!(missing(&page), lacking);
        assert!(!page.body.contains(secret));
    }
    assert_eq!(own.requests().len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_change_without_a_restart_and_a_login_later_their_claims_are_there() {
    let op = hostile_op(Clock::system()).await;
    op.turn(|knobs| knobs.claims = set("department", Some(json!("sales"))));
    let own = upstream().await;
    let plain =
        format!("[[routes]]\npath = \"/ruled\"\nupstream = \"http://{}\"\n# end\n", own.address);
    let mut served = Served::start_with(&op, "json", (SESSION, &plain)).await;
    let browser = Browser::new();
    log_in_at(&mut served, &op, &browser).await;
    assert_eq!(served.send(&browser, "GET", "/ruled", &FETCH).await.status, 200);

    let ruled = plain.replace("# end", "require_claims = { department = [\"sales\"] }\n# end");
    served.rewrite(&plain, &ruled);
    served.signal("HUP");
    until(|| served.log_so_far().contains("\"event\":\"routes_changed\"")).await;
    let page = served.send(&browser, "GET", "/ruled", &FETCH).await;
    assert_eq!(problem_code(&page), "claim_missing", "this session never kept it");
    log_in_at(&mut served, &op, &browser).await;
    assert_eq!(served.send(&browser, "GET", "/ruled", &FETCH).await.status, 200);
    served.logs();
}
