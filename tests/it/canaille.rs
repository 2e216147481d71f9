//! The whole server with an authorization server of another house: what works with one implementation only is no standard.

use cloakroom::clock::Clock;
use serde_json::json;

use crate::support::browser::{Browser, log_out};
use crate::support::canaille::Canaille;
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send};
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, LINK, Setup, Stack, free_port};

const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=\"invalid_token\"\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

// proves: LO-01, LO-04, PX-18, PX-20
#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_calls_the_api_refreshes_and_signs_out_here_and_there() {
    let port = free_port();
    let app = format!("http://localhost:{port}");
    let server = Canaille::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "redirect_uri": format!("{app}/callback"),
        "post_logout_redirect_uri": format!("{app}/logged-out"),
    }))
    .await;
    // It refuses the second call's token: a new one must come from the authorization server.
    let api = HostileUpstream::start(|call| {
        vec![Step::Read, send(if call == 1 { REFUSED.into() } else { ok("the API's own") })]
    })
    .await;
    let setup = Setup {
        issuer: Some(server.issuer.clone()),
        upstream: Some(api.address),
        provider: "scopes = [\"openid\", \"profile\", \"email\"]\nuserinfo = true\nintrospection = \"json\"\n".to_owned(),
        more: format!("[[routes]]\npath = \"/told\"\nupstream = \"http://{}\"\ntoken = \"introspect\"\n", api.address),
        clock: Clock::system(),
        ..Setup::default()
    };
    let stack = Stack::start_at(port, setup).await;
    let browser = Browser::new();
    let landed = stack.log_in(&browser, "alice").await;
    assert_eq!(landed.redirect().unwrap().as_str(), stack.url("/"));
    let session = stack.session(&browser).await;
    assert_eq!(
        session["claims"],
        json!({ "sub": "alice", "name": "Alice Adams", "email": "alice@example.com" })
    );
    for _ in 0..2 {
        assert_eq!(stack.fetch(&browser, "GET", "/api/orders").await.status, 200);
    }
    // It says itself that the token is good (RFC 7662).
    assert_eq!(stack.fetch(&browser, "GET", "/told").await.status, 200);
    let [first, refused, third, told] = &tokens(&api)[..] else { panic!("{:?}", api.requests()) };
    assert_eq!(first, refused);
    assert_ne!(first, third, "a new token");
    assert_eq!(third, told);

    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    let away = browser.send("GET", &stack.url("/logout/continue"), &LINK, "").await;
    let away = away.redirect().unwrap();
    let back = log_out(&browser, away.as_str()).await;
    assert!(back.starts_with(&stack.url("/logged-out")), "{back}");
    assert_eq!(stack.fetch(&browser, "GET", "/api/orders").await.status, 401);
    stack.stop().await;
}

fn tokens(api: &HostileUpstream) -> Vec<String> {
    let of = |request: &String| {
        let line = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        line.unwrap_or_else(|| panic!("no token: {request}")).to_owned()
    };
    api.requests().iter().map(of).collect()
}
