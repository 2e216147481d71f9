//! A public address with https, behind a proxy that ends TLS: what the browser must be told then, on every answer.

use std::net::SocketAddr;
use std::path::Path;

use cloakroom::clock::Clock;
use cloakroom::config::Config;
use cloakroom::secret::Random;
use cloakroom::server;

use super::setup::{callback, hostile_op};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{CLIENT_ID, FETCH, LINK, free_port, load_text};

const HOST: (&str, &str) = ("host", "app.example.com");
const HSTS: &str = "max-age=31536000";

fn configuration(port: u16, issuer: &str, api: SocketAddr, folder: &Path) -> Config {
    load_text(&format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "https://app.example.com"
[admin]
listen = "off"
[provider]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
[session]
keys = [{{ id = "one", env = "KEY_ONE" }}]
[[routes]]
path = "/api"
upstream = "http://{api}"
[spa]
root = {folder:?}
"#
    ))
}

// proves: CS-10, CS-13, EL-08
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_an_https_app_is_hardened_and_asks_for_https_from_now_on() {
    let folder = std::env::temp_dir().join(format!("cloakroom-it-https-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    std::fs::write(folder.join("index.html"), "<!doctype html><title>app</title>").unwrap();
    std::fs::write(folder.join("assets/app.js"), "let x = 1").unwrap();
    let op = hostile_op(Clock::system()).await;
    let upstream = HostileUpstream::answering(ok("{}")).await;
    let port = free_port();
    let config = configuration(port, &op.issuer, upstream.address, &folder);
    let running = server::start(config, op.clock.clone(), Random::system()).unwrap();
    let app = format!("http://127.0.0.1:{port}");
    let browser = Browser::new();
    let url = |path: &str| format!("{app}{path}");
    let send = |method: &'static str, path: String, headers: Vec<(&'static str, &'static str)>| {
        let (browser, url) = (&browser, url(&path));
        let headers = [&headers[..], &[HOST]].concat();
        async move { browser.send(method, &url, &headers, "").await }
    };
    let login = send("GET", "/login".to_owned(), LINK.to_vec()).await;
    assert_hardened("login", &login);
    let response = callback(&op, login.redirect().unwrap().as_str(), "/callback");
    let landed = send("GET", response, vec![]).await;
    assert_eq!(landed.headers["location"], "https://app.example.com/");
    assert_hardened("callback", &landed);
    let cross = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    for (method, path, headers, status) in [
        ("GET", "/session", FETCH.to_vec(), 200),
        ("GET", "/session", vec![], 403),
        ("GET", "/api/x", FETCH.to_vec(), 200),
        ("GET", "/api/x", vec![], 403),
        ("GET", "/login", cross.to_vec(), 200),
        ("GET", "/login?scope=x", LINK.to_vec(), 400),
        ("GET", "/callback", vec![], 303),
        ("GET", "/", vec![("accept", "text/html")], 200),
        ("GET", "/orders/7", vec![("accept", "text/html")], 200),
        ("GET", "/assets/app.js", vec![], 200),
        ("GET", "/assets/none.js", vec![], 404),
        ("POST", "/", vec![], 404),
        ("POST", "/refresh", FETCH.to_vec(), 200),
        ("GET", "/refresh", FETCH.to_vec(), 405),
        ("POST", "/logout", FETCH.to_vec(), 200),
        ("GET", "/logout/continue", LINK.to_vec(), 303),
        ("GET", "/logged-out", vec![], 303),
    ] {
        let page = send(method, path.to_owned(), headers.clone()).await;
        let at = format!("{method} {path} {headers:?}");
        assert_eq!(page.status, status, "{at}: {}", page.body);
        assert_hardened(&at, &page);
    }
    running.stop().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

fn assert_hardened(at: &str, page: &Page) {
    let value = |name: &str| {
        let all: Vec<_> = page.headers.get_all(name).iter().collect();
        assert!(all.len() < 2, "{at}: {name} twice");
        all.first().map_or("", |value| value.to_str().unwrap())
    };
    assert_eq!(value("strict-transport-security"), HSTS, "{at}");
    assert_eq!(value("x-content-type-options"), "nosniff", "{at}");
    assert_eq!(value("cross-origin-resource-policy"), "same-origin", "{at}");
    assert!(value("content-security-policy").contains("frame-ancestors 'none'"), "{at}");
    assert!(["no-referrer", "same-origin"].contains(&value("referrer-policy")), "{at}");
    let is_html = value("content-type").starts_with("text/html");
    assert_eq!(
        value("cross-origin-opener-policy"),
        if is_html { "same-origin" } else { "" },
        "{at}"
    );
    assert!(!format!("{:?}", page.headers).contains(env!("CARGO_PKG_VERSION")), "{at}");
    for cookie in page.headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.contains("; Secure") && cookie.contains("; HttpOnly"), "{at}: {cookie}");
        assert!(cookie.starts_with("__Host-Http-app-") || cookie.starts_with("__Secure-app-"));
    }
}
