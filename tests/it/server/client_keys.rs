//! A client that shows itself by its key (`private_key_jwt`): at every endpoint, once each, for this server alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::deny_file::folder;
use super::problem_code;
use super::served::{SESSION, Served};
use super::setup::{callback, error_of, hostile_op};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, Reply, set};
use crate::support::hostile_upstream::until;
use crate::support::oidc_provider::OidcProvider;
use crate::support::stack::{
    CLIENT_ID, CLIENT_SECRET, FETCH, LINK, Setup, Stack, free_port, load_text,
};
use cloakroom::clock::Clock;
use cloakroom::secret::Random;
use cloakroom::server::{self, Running};

/// Makes a key as an operator does; its public half.
fn keygen(file: &Path) -> Value {
    let made = Command::new(env!("CARGO_BIN_EXE_cloakroom"))
        .args(["keygen", "client", "--out"])
        .arg(file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let set: Value = serde_json::from_slice(&made.stdout).unwrap();
    set["keys"][0].clone()
}

/// Makes a key of another kind with openssl.
fn openssl(file: &Path, options: &[&str]) {
    let made = Command::new("openssl").arg("genpkey").args(options).arg("-out").arg(file).output();
    let made = made.expect("openssl is missing: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

struct Place {
    op: HostileOp,
    running: Running,
    app: String,
    clock: Clock,
}

impl Place {
    /// An app whose provider has these lines, before a server that knows these keys.
    async fn start(lines: &str, keys: &[Value]) -> Self {
        Self::start_after(lines, keys, |_| {}).await
    }

    /// The same, before a server that was changed.
    async fn start_after(lines: &str, keys: &[Value], change: impl FnOnce(&HostileOp)) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let op = hostile_op(clock.clone()).await;
        op.turn(|knobs| knobs.client_keys = keys.to_vec());
        change(&op);
        let port = free_port();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://localhost:{port}\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n[provider]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\n\
             auth_method = \"private_key_jwt\"\n{lines}\n\
             [session]\nkeys = [{{ id = \"one\", env = \"KEY_ONE\" }}]\n[login]\nloop_limit = 100\n\
             [[routes]]\npath = \"/orders\"\nupstream = \"http://127.0.0.1:1\"\ntoken = \"exchange\"\n\
             token_audience = \"orders\"\n",
            op.issuer
        );
        let running = server::start(load_text(&text), clock.clone(), Random::system()).unwrap();
        Self { op, running, app: format!("http://localhost:{port}"), clock }
    }

    async fn log_in(&self, browser: &Browser) -> Option<String> {
        let url = format!("{}/login?return_to=/", self.app);
        let begun = browser.send("GET", &url, &LINK, "").await;
        let authorize = begun.redirect().unwrap().to_string();
        let back = callback(&self.op, &authorize, &format!("{}/callback", self.app));
        error_of(&browser.get_from_elsewhere(&back).await)
    }

    async fn fetch(&self, browser: &Browser, method: &str, path: &str) -> (u16, String) {
        let page = browser.send(method, &format!("{}{path}", self.app), &FETCH, "").await;
        let code = if page.status == 200 { String::new() } else { problem_code(&page) };
        (page.status.as_u16(), code)
    }

    async fn jwks(&self) -> Value {
        let page = Browser::new().get(&format!("{}/.well-known/jwks.json", self.app)).await;
        assert_eq!(
            (page.status.as_u16(), page.headers["content-type"].to_str().unwrap()),
            (200, "application/jwk-set+json")
        );
        serde_json::from_str(&page.body).unwrap()
    }
}

fn line(file: &Path) -> String {
    format!("client_key_file = \"{}\"", file.display())
}

// proves: CA-01, CA-02, CA-04, CA-05, CA-06, CA-11
#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_gets_an_assertion_of_its_own_and_nothing_else() {
    let file = folder("client-key").join("key.pem");
    let public = keygen(&file);
    let place = Place::start(&line(&file), std::slice::from_ref(&public)).await;
    assert_eq!(place.jwks().await, json!({ "keys": [public] }));
    assert!(public.get("d").is_none() && public["alg"] == "ES256", "{public}");
    let browser = Browser::new();
    assert_eq!(place.log_in(&browser).await, None);
    for _ in 0..3 {
        place.clock.advance(Duration::from_secs(301));
        assert_eq!(place.fetch(&browser, "POST", "/refresh").await.0, 200);
    }
    // The exchange is answered; that API is not there.
    assert_eq!(place.fetch(&browser, "GET", "/orders/x").await.1, "upstream_unavailable");
    assert_eq!(place.fetch(&browser, "POST", "/logout").await.0, 200);
    until(|| place.op.calls(Endpoint::Revocation) == 1).await;
    let asked = place.op.calls(Endpoint::Token) + place.op.calls(Endpoint::Revocation);
    assert_eq!((asked, place.op.assertions()), (6, 6), "each another one, and none was refused");
    place.running.stop().await;
}

// proves: CA-04, FA-13
#[rstest]
#[case::es256(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "", "ES256")]
#[case::eddsa(&["-algorithm", "ed25519"], "", "EdDSA")]
#[case::ps256(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "", "PS256")]
#[case::rs256(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "client_key_rs256 = true", "RS256")]
#[tokio::test(flavor = "multi_thread")]
async fn the_algorithm_follows_the_key_and_clocks_may_differ_by_half_a_minute(
    #[case] options: &[&str],
    #[case] more: &str,
    #[case] algorithm: &str,
) {
    let file = folder(&format!("client-key-{algorithm}")).join("key.pem");
    openssl(&file, options);
    let place = Place::start(&format!("{}\n{more}", line(&file)), &[json!({})]).await;
    let keys = place.jwks().await["keys"].as_array().unwrap().clone();
    assert_eq!(keys[0]["alg"], algorithm);
    place.op.turn(|knobs| knobs.client_keys = keys);
    for ahead in [-30, 0, 30] {
        place.op.turn(|knobs| knobs.ahead = ahead);
        assert_eq!(place.log_in(&Browser::new()).await, None, "{algorithm} {ahead}");
    }
    place.running.stop().await;
}

// proves: CA-05, FA-05
#[tokio::test(flavor = "multi_thread")]
async fn another_servers_endpoint_in_the_metadata_gets_no_assertion_for_that_other() {
    let file = folder("client-key-mixed").join("key.pem");
    let public = keygen(&file);
    let honest = hostile_op(Clock::system()).await;
    honest.turn(|knobs| knobs.client_keys = vec![public.clone()]);
    let endpoint = json!(format!("{}/token", honest.issuer));
    let place = Place::start_after(&line(&file), &[public], |op| {
        op.turn(|knobs| knobs.discovery = set("token_endpoint", Some(endpoint)));
    })
    .await;
    assert!(place.log_in(&Browser::new()).await.is_some());
    assert_eq!(honest.calls(Endpoint::Token), 1, "it was asked");
    assert_eq!(honest.assertions(), 0, "its audience is the issuer that we were told of");
    place.running.stop().await;
}

// proves: CA-10, KM-06, CA-12
#[tokio::test(flavor = "multi_thread")]
async fn a_key_rotates_while_the_server_runs_and_a_client_that_is_refused_loses_no_session() {
    let folder = folder("client-key-rotation");
    let (old, new, used): (PathBuf, PathBuf, PathBuf) =
        (folder.join("old.pem"), folder.join("new.pem"), folder.join("used.pem"));
    let (old_public, new_public) = (keygen(&old), keygen(&new));
    std::fs::copy(&old, &used).unwrap();
    let op = hostile_op(Clock::system()).await;
    op.answer_with(Endpoint::Other, Reply::new(200, "text/plain", "ok"));
    op.turn(|knobs| knobs.client_keys = vec![old_public.clone()]);
    let mut served = Served::start_with(&op, "json", (SESSION, "# end")).await;
    served.rewrite(
        "client_secret_env = \"CLIENT_SECRET\"",
        &format!(
            "auth_method = \"private_key_jwt\"\n{}\nnext_client_key_file = \"{}\"",
            line(&used),
            new.display()
        ),
    );
    served.signal("HUP");
    until(|| served.log_so_far().contains("\"event\":\"apps_changed\"")).await;
    let browser = Browser::new();
    super::audit::log_in(&mut served, &op, &browser).await;
    let url = format!("{}/.well-known/jwks.json", served.app);
    let shown: Value = serde_json::from_str(&Browser::new().get(&url).await.body).unwrap();
    assert_eq!(shown["keys"], json!([old_public, new_public]));
    // The server knows the new one only, so the old one is refused; nobody is logged out.
    op.turn(|knobs| knobs.client_keys = vec![new_public.clone()]);
    let refused = served.send(&browser, "POST", "/refresh", &FETCH).await;
    assert!(refused.status == 200 || refused.status == 503, "{}", refused.body);
    assert!(
        served
            .send(&browser, "GET", "/session", &FETCH)
            .await
            .body
            .contains("\"authenticated\":true")
    );
    std::fs::copy(&new, &used).unwrap();
    let before = served.log_so_far().matches("\"event\":\"apps_changed\"").count();
    served.signal("HUP");
    until(|| served.log_so_far().matches("\"event\":\"apps_changed\"").count() == before + 1).await;
    super::audit::log_in(&mut served, &op, &Browser::new()).await;
    let (log, _) = served.logs();
    for secret in std::fs::read_to_string(&new)
        .unwrap()
        .lines()
        .filter(|line| line.len() > 20 && !line.contains("--"))
    {
        assert!(!log.contains(secret));
    }
}

// proves: AR-18, FA-16
#[rstest]
#[case::in_the_address("when_required", &["client_id", "request", "response_type", "scope"])]
#[case::pushed("always", &["client_id", "request_uri"])]
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_signed_for_this_server_each_time_anew(
    #[case] pushed: &str,
    #[case] names: &[&str],
    // The server refuses a token for what was not asked for there.
    #[values(
        "",
        "resources = [\"https://a.example\"]",
        "resources = [\"https://a.example\", \"https://b.example\", \"https://c.example\"]",
        "authorization_details = '[{\"type\":\"accounts\"}]'"
    )]
    resources: &str,
) {
    let file = folder(&format!("signed-{pushed}-{}", resources.len())).join("key.pem");
    let public = keygen(&file);
    let lines = format!(
        "{}\nsigned_requests = true\npushed_requests = \"{pushed}\"\n{resources}",
        line(&file)
    );
    let place = Place::start(&lines, &[public]).await;
    for _ in 0..2 {
        let browser = Browser::new();
        let url = format!("{}/login?return_to=/&max_age=60", place.app);
        let begun = browser.send("GET", &url, &LINK, "").await.redirect().unwrap();
        let mut seen: Vec<String> =
            begun.query_pairs().map(|(name, _)| name.into_owned()).collect();
        seen.sort();
        assert_eq!(seen, names);
        // Every check of the object is the server's.
        let back = callback(&place.op, begun.as_str(), &format!("{}/callback", place.app));
        assert_eq!(error_of(&browser.get_from_elsewhere(&back).await), None);
    }
    place.running.stop().await;
}

// proves: AR-18, CA-02, CA-11
#[rstest]
#[case::pushed("", true)]
#[case::pushed_and_signed("signed_requests = true\n", true)]
#[case::signed_in_the_address("signed_requests = true\n", false)]
#[tokio::test(flavor = "multi_thread")]
async fn a_certified_server_finds_the_key_at_our_address(
    #[case] signed: &str,
    #[case] pushed: bool,
) {
    let port = free_port();
    let (app, file) = (
        format!("http://localhost:{port}"),
        folder(&format!("client-key-op-{}-{pushed}", signed.len())).join("key.pem"),
    );
    keygen(&file);
    let provider = OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "redirect_uri": format!("{app}/callback"),
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": format!("{app}/.well-known/jwks.json"),
        "features": {
            "pushedAuthorizationRequests": {
                "enabled": pushed, "requirePushedAuthorizationRequests": pushed },
            "requestObjects": { "enabled": true, "requireSignedRequestObject": !signed.is_empty() },
        },
    }))
    .await;
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{app}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [provider]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\nauth_method = \"private_key_jwt\"\n{}\n{signed}\
         [session]\nkeys = [{{ id = \"one\", env = \"KEY_ONE\" }}]\n",
        provider.issuer,
        line(&file)
    );
    let config = load_text(&text);
    let running = server::start(config, Clock::system(), Random::system()).unwrap();
    let browser = Browser::new();
    let begun = browser.send("GET", &format!("{app}/login?return_to=/"), &LINK, "").await;
    let authorize = begun.redirect().unwrap().to_string();
    let carries = if pushed { "request_uri=" } else { "request=" };
    assert!(authorize.contains(carries), "{authorize}");
    let back = crate::support::browser::login(&browser, &authorize, "alice").await;
    let landed = browser.get_from_elsewhere(&back).await;
    assert_eq!(error_of(&landed), None);
    let fetch = async |method: &str, path: &str| {
        browser.send(method, &format!("{app}{path}"), &FETCH, "").await.status.as_u16()
    };
    assert_eq!(fetch("POST", "/refresh").await, 200);
    assert_eq!(fetch("POST", "/logout").await, 200);
    for _ in 0..500 {
        if !provider.calls("revocation").await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let revoked = provider.calls("revocation").await;
    assert_eq!(revoked[0]["status"], 200, "{revoked:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_a_secret_shows_no_keys() {
    let stack = Stack::start(Setup::default()).await;
    let page = stack.fetch(&Browser::new(), "GET", "/.well-known/jwks.json").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (404, "not_found"));
    stack.stop().await;
}
