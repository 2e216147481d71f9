//! Upstreams and tokens that want to be more than they are: neither takes our place in the browser.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::set_cookies;
use super::setup::{hostile_with, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, set};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{FETCH, Setup, Stack, free_port};

fn route(path: &str, upstream: SocketAddr, more: &str) -> String {
    format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://{upstream}{path}\"\n{more}\n")
}

// proves: CK-16
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_sets_no_cookie_of_ours_on_any_route_and_disturbs_no_session() {
    let port = free_port();
    let names = ["t.0", "t.1", "a", "trail", "login-00000000"]
        .map(|end| format!("__Host-Http-app-{port}-{end}"))
        .into_iter()
        .chain([format!("__Secure-app-{port}-hint"), format!("__secure-app-{port}-bye")])
        .chain([format!("__HOST-HTTP-app-{port}-t.0"), "__Http-x".to_owned(), String::new()]);
    let lines = names.map(|name| format!("Set-Cookie: {name}=evil; Path=/; Secure; HttpOnly\r\n"));
    let mut lines = lines.collect::<Vec<_>>().concat();
    lines += "Set-Cookie: theme=dark; Domain=localhost\r\nSet-Cookie: other=evil\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{lines}\r\nhi");
    let upstream = HostileUpstream::answering(answer).await;
    let more = [
        route("/listed", upstream.address, "response_cookies = [\"theme\"]"),
        route("/open", upstream.address, "token = \"none\""),
    ]
    .concat();
    let setup = Setup { upstream: Some(upstream.address), more, ..Setup::default() };
    let stack = Stack::start_at(port, setup).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let before = browser.jar();
    for (path, expected) in
        [("/api/x", vec![]), ("/open/x", vec![]), ("/listed/x", vec!["theme=dark"])]
    {
        let page = stack.fetch(&browser, "GET", path).await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "hi"), "{path}");
        assert_eq!(set_cookies(&page), expected, "{path}");
    }
    browser.tamper(|name, value| (name != "theme").then(|| value.to_owned()));
    assert_eq!(browser.jar(), before);
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

/// Logs in with `token`; only `expires_in` (300 seconds) may say when it ends.
async fn lives_by_expires_in(token: &str) {
    let upstream = HostileUpstream::answering(ok("{}")).await;
    let setup = Setup { upstream: Some(upstream.address), ..Setup::default() };
    let (op, stack) = hostile_with(setup).await;
    op.turn(|knobs| {
        knobs.token_response = set("access_token", Some(json!(token)));
        knobs.claims = set("at_hash", None);
        knobs.refreshed_claims = set("at_hash", None);
    });
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    assert_eq!(stack.session(&browser).await["access_token_expires_in"], 300, "{token}");
    // Up to an eighth of the early window (60 s) later for some sessions.
    for (after, token_calls) in [(0, 1), (239, 1), (9, 2)] {
        stack.clock.advance(Duration::from_secs(after));
        assert_eq!(stack.fetch(&browser, "GET", "/api/x").await.status, 200, "{token}");
        assert_eq!(op.calls(Endpoint::Token), token_calls, "{token}");
    }
    assert_eq!(stack.session(&browser).await["access_token_expires_in"], 300, "{token}");
    assert_eq!(stack.session(&browser).await["claims"]["sub"], "alice", "{token}");
    let sent = upstream.requests();
    assert_eq!(sent.len(), 3);
    let bearer = format!("\r\nauthorization: Bearer {token}\r\n").to_lowercase();
    assert!(sent.iter().all(|request| request.to_lowercase().contains(&bearer)), "{sent:?}");
    stack.stop().await;
}

// proves: ID-22
#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_opaque_whatever_it_looks_like() {
    let jwt = |claims: &str| {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"none","typ":"at+jwt"}"#), part(claims), part("sig"))
    };
    for token in [
        "opaque-4711".to_owned(),
        "x._~+/==".to_owned(),
        jwt(r#"{"exp":1,"sub":"mallory","scope":""}"#),
        jwt(r#"{"exp":99999999999,"aud":"other","sub":"mallory"}"#),
        jwt("no json"),
    ] {
        lives_by_expires_in(&token).await;
    }
}

// proves: PX-12
#[tokio::test(flavor = "multi_thread")]
async fn no_path_that_looks_like_a_file_makes_an_answer_cacheable() {
    let folder = std::env::temp_dir().join(format!("cloakroom-it-spa-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("index.html"), "<!doctype html><title>app</title>").unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: public, max-age=3600\r\n\
                  content-type: text/css\r\nexpires: Thu, 01 Jan 2099 00:00:00 GMT\r\n\r\nhi";
    let upstream = HostileUpstream::answering(answer).await;
    let more = format!("[spa]\nroot = {folder:?}");
    let setup = Setup { upstream: Some(upstream.address), more, ..Setup::default() };
    let stack = Stack::start(setup).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let navigation = [("sec-fetch-dest", "document"), ("sec-fetch-site", "none")];
    for (path, as_fetch, as_navigation) in [
        ("/api/me/x.css", 200, 403),
        ("/api/me/x.css?v=1", 200, 403),
        ("/api/me;x.css", 200, 403),
        ("/api/me%2fx.css", 400, 400),
        ("/session/a.js", 404, 404),
        ("/session;a.js", 404, 404),
        ("/refresh/a.css", 404, 404),
        ("/logout/a.png", 404, 404),
        ("/login/a.png", 404, 404),
        ("/session", 200, 403),
    ] {
        for (headers, status) in [(&FETCH[..], as_fetch), (&navigation, as_navigation)] {
            let page = browser.send("GET", &stack.url(path), headers, "").await;
            assert_eq!(page.status, status, "{path} {headers:?}");
            assert_eq!(page.headers["cache-control"], "no-store", "{path} {headers:?}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    stack.stop().await;
}
