//! A client that shows itself by its certificate, and access tokens that are bound to it (RFC 8705): who gets to see the certificate,
//! what an API needs to tell us from a thief, and a certificate that is renewed.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::secret::Random;
use cloakroom::server::{self, Running};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::deny_file::folder;
use super::served::Served;
use super::setup::{callback, error_of};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, Reply, Request, serve, set};
use crate::support::hostile_upstream::until;
use crate::support::stack::{
    CLIENT_ID, CLIENT_SECRET, FETCH, LINK, free_port, load_text, write_config,
};
use crate::support::tls::{OwnCertificate, asking_acceptor, ca_file};

/// An API over TLS that takes a token only from whoever shows the certificate that it is bound to.
struct Api {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Api {
    async fn start(op: &Arc<HostileOp>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (op, noted) = (Arc::clone(op), Arc::clone(&seen));
        let answer = move |request: Request| {
            noted.lock().unwrap().push(request.clone());
            let Some(value) = request.header("authorization") else {
                return Reply::new(200, "text/plain", "for everybody");
            };
            let token = value.strip_prefix("Bearer ").expect("such a token is called Bearer");
            let bound_to = op.certificate_of(token).or_else(|| named_in(token));
            if bound_to.is_some() && bound_to == request.certificate {
                Reply::new(200, "text/plain", "good")
            } else {
                Reply::new(403, "text/plain", "stolen")
            }
        };
        tokio::spawn(serve(listener, Some(asking_acceptor()), Arc::new(answer)));
        Self { port, seen }
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Routes to it, each with another token.
    fn routes(&self) -> String {
        let (port, ca) = (self.port, ca_file().display().to_string());
        let route = |path: &str, more: &str| {
            format!(
                "[[routes]]\npath = \"{path}\"\nupstream = \"https://localhost:{port}\"\nca_file = \"{ca}\"\n{more}\n"
            )
        };
        [
            route("/api", ""),
            route("/orders", "token = \"exchange\"\ntoken_audience = \"orders\""),
            route("/phantom", "token = \"introspect\""),
            route("/ours", "token = \"client\"\ntoken_scopes = [\"ours\"]"),
            route("/public", "token = \"none\""),
        ]
        .concat()
    }
}

/// The certificate that a JWT names.
fn named_in(token: &str) -> Option<String> {
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    Some(claims["cnf"]["x5t#S256"].as_str()?.to_owned())
}

fn configuration(port: u16, op: &HostileOp, provider: &str, routes: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://localhost:{port}\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[provider]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\n{provider}\n\
         [session]\nkeys = [{{ id = \"one\", env = \"KEY_ONE\" }}]\n[login]\nloop_limit = 100\n{routes}",
        op.issuer
    )
}

struct Place {
    op: Arc<HostileOp>,
    api: Api,
    app: String,
    clock: Clock,
    running: Running,
}

impl Place {
    async fn start(own: &OwnCertificate, aliased: bool, lines: &str) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let op = Arc::new(HostileOp::start_mtls(clock.clone(), own, aliased).await);
        op.turn(|knobs| CLIENT_ID.clone_into(&mut knobs.client_id));
        let (api, port) = (Api::start(&op).await, free_port());
        let lines = format!("{}{lines}", own.lines());
        let text = configuration(port, &op, &lines, &api.routes());
        let running = server::start(load_text(&text), clock.clone(), Random::system()).unwrap();
        Self { op, api, app: format!("http://localhost:{port}"), clock, running }
    }

    async fn log_in(&self, browser: &Browser) -> Option<String> {
        let begun = browser.send("GET", &format!("{}/login", self.app), &LINK, "").await;
        let Some(authorize) = begun.redirect() else {
            return Some(begun.headers["cloakroom-error"].to_str().unwrap().to_owned());
        };
        let authorize = authorize.to_string();
        let back = callback(&self.op, &authorize, &format!("{}/callback", self.app));
        error_of(&browser.get_from_elsewhere(&back).await)
    }

    async fn fetch(&self, browser: &Browser, method: &str, path: &str) -> (u16, String) {
        let page = browser.send(method, &format!("{}{path}", self.app), &FETCH, "").await;
        (page.status.as_u16(), page.body)
    }
}

const BOUND: &str = "sender_constraint = \"mtls\"\npushed_requests = \"always\"\nuserinfo = true\n";

// proves: CA-01, CA-02, CA-09, CA-11, FA-07
#[rstest]
#[case::of_an_authority("tls_client_auth", OwnCertificate::vouched_for(), true)]
#[case::of_an_authority_without_alias("tls_client_auth", OwnCertificate::vouched_for(), false)]
#[case::of_our_own("self_signed_tls_client_auth", OwnCertificate::self_signed(&folder("mtls-1"), "own"), true)]
#[case::of_our_own_without_alias("self_signed_tls_client_auth", OwnCertificate::self_signed(&folder("mtls-2"), "own"), false)]
#[tokio::test(flavor = "multi_thread")]
async fn only_endpoints_for_clients_see_the_certificate_and_at_the_alias_if_there_is_one(
    #[case] method: &str,
    #[case] own: OwnCertificate,
    #[case] aliased: bool,
) {
    let lines = format!("auth_method = \"{method}\"\n{BOUND}");
    let place = Place::start(&own, aliased, &lines).await;
    let browser = Browser::new();
    assert_eq!(place.log_in(&browser).await, None);
    place.clock.advance(Duration::from_secs(301));
    assert_eq!(place.fetch(&browser, "POST", "/refresh").await.0, 200);
    for path in ["/orders/x", "/phantom/x"] {
        assert_eq!(place.fetch(&browser, "GET", path).await, (200, "good".to_owned()), "{path}");
    }
    assert_eq!(place.fetch(&browser, "POST", "/logout").await.0, 200);
    until(|| place.op.calls(Endpoint::Revocation) == 1).await;

    let (certificate, requests) = (own.thumbprint(), place.op.all_requests());
    for (endpoint, request) in &requests {
        let is_for_all = matches!(endpoint, Endpoint::Discovery | Endpoint::Jwks);
        let expected = (!is_for_all).then_some(certificate.as_str());
        assert_eq!(request.certificate.as_deref(), expected, "{endpoint:?}");
        assert_eq!(request.at_alias, aliased && !is_for_all, "{endpoint:?}");
        if request.method == "POST" {
            let names: Vec<String> = request.form().into_iter().map(|(name, _)| name).collect();
            let ids = names.iter().filter(|name| *name == "client_id").count();
            assert!(ids == 1 && names.iter().all(|name| !name.contains("secret")), "{names:?}");
            assert_eq!(request.header("authorization"), None);
        }
    }
    // Push, code, refresh, exchange, introspection, revocation, userinfo.
    let known = requests.iter().filter(|(_, request)| request.certificate.is_some()).count();
    assert_eq!(known, 7, "{requests:?}");
    place.running.stop().await;
}

// proves: SC-09
#[tokio::test(flavor = "multi_thread")]
async fn an_api_sees_the_certificate_that_its_token_is_bound_to_and_nobody_elses_connection_shows_it()
 {
    let own = OwnCertificate::vouched_for();
    let lines = format!("auth_method = \"tls_client_auth\"\n{BOUND}");
    let place = Place::start(&own, true, &lines).await;
    let browser = Browser::new();
    assert_eq!(place.log_in(&browser).await, None);
    for _ in 0..2 {
        for path in ["/api/x", "/orders/x", "/phantom/x", "/ours/x"] {
            assert_eq!(place.fetch(&browser, "GET", path).await, (200, "good".to_owned()));
        }
        let public = place.fetch(&browser, "GET", "/public/x").await;
        assert_eq!(public, (200, "for everybody".to_owned()));
    }
    for request in place.api.seen() {
        let expected = (request.path != "/public/x").then(|| own.thumbprint());
        assert_eq!(request.certificate, expected, "{}", request.path);
    }
    place.running.stop().await;
}

// proves: SC-09, CA-09
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_bound_for_a_client_that_signs_assertions_too() {
    let (key, own) = (folder("mtls-key").join("key.pem"), OwnCertificate::vouched_for());
    std::fs::write(&key, cloakroom::config::ClientKey::generate().unwrap().expose()).unwrap();
    let pem = cloakroom::secret::Secret::new(std::fs::read_to_string(&key).unwrap());
    let public = cloakroom::config::ClientKey::parse(&pem, false).unwrap().public().clone();
    let lines = format!(
        "auth_method = \"private_key_jwt\"\nclient_key_file = \"{}\"\n{BOUND}",
        key.display()
    );
    let place = Place::start(&own, true, &lines).await;
    place.op.turn(|knobs| knobs.client_keys = vec![public]);
    let browser = Browser::new();
    assert_eq!(place.log_in(&browser).await, None);
    assert_eq!(place.fetch(&browser, "GET", "/api/x").await, (200, "good".to_owned()));
    let tokens = place.op.requests(Endpoint::Token);
    assert!(tokens.iter().all(|one| one.at_alias && one.field("client_assertion").is_some()));
    place.running.stop().await;
}

// proves: SC-09, FA-01
#[rstest]
#[case::silent(Some(json!(null)))]
#[case::denied(Some(json!(false)))]
#[case::no_boolean(Some(json!("true")))]
#[case::absent(None)]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_say_that_it_binds_tokens_is_asked_for_none(
    #[case] said: Option<Value>,
) {
    let own = OwnCertificate::vouched_for();
    let lines = format!("auth_method = \"tls_client_auth\"\n{BOUND}");
    let clock = Clock::manual(Clock::system().now());
    let op = Arc::new(HostileOp::start_mtls(clock.clone(), &own, true).await);
    op.turn(|knobs| {
        CLIENT_ID.clone_into(&mut knobs.client_id);
        knobs.discovery = set("tls_client_certificate_bound_access_tokens", said);
    });
    let (api, port) = (Api::start(&op).await, free_port());
    let text = configuration(port, &op, &format!("{}{lines}", own.lines()), &api.routes());
    let running = server::start(load_text(&text), clock.clone(), Random::system()).unwrap();
    let place = Place { op, api, app: format!("http://localhost:{port}"), clock, running };
    let browser = Browser::new();
    assert_eq!(place.log_in(&browser).await.as_deref(), Some("provider_unavailable"));
    assert!(place.op.all_requests().iter().all(|(_, request)| request.certificate.is_none()));
    place.running.stop().await;
}

// proves: PX-20, SC-09
#[rstest]
#[case::anothers(Some(json!({ "x5t#S256": "another" })))]
#[case::a_key(Some(json!({ "jkt": "ours" })))]
#[case::nobodys(None)]
#[tokio::test(flavor = "multi_thread")]
async fn the_jwt_behind_a_token_is_bound_to_our_certificate(#[case] cnf: Option<Value>) {
    let own = OwnCertificate::vouched_for();
    let lines = format!("auth_method = \"tls_client_auth\"\n{BOUND}");
    let place = Place::start(&own, true, &lines).await;
    place.op.turn(|knobs| knobs.introspection = set("cnf", cnf));
    let browser = Browser::new();
    assert_eq!(place.log_in(&browser).await, None);
    assert_eq!(place.fetch(&browser, "GET", "/phantom/x").await.0, 502);
    assert!(place.api.seen().is_empty());
    place.running.stop().await;
}

// proves: CA-10, SC-07, SC-09
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_the_server_runs_and_nobody_logs_in_again() {
    let folder = folder("mtls-renewed");
    let (old, new) =
        (OwnCertificate::self_signed(&folder, "old"), OwnCertificate::self_signed(&folder, "new"));
    let used = OwnCertificate { cert: folder.join("used.pem"), key: folder.join("used.key.pem") };
    let install = |one: &OwnCertificate| {
        std::fs::copy(&one.cert, &used.cert).unwrap();
        std::fs::copy(&one.key, &used.key).unwrap();
    };
    install(&old);
    let op = Arc::new(HostileOp::start_mtls(Clock::system(), &old, true).await);
    op.turn(|knobs| CLIENT_ID.clone_into(&mut knobs.client_id));
    let (api, port, admin) = (Api::start(&op).await, free_port(), free_port());
    let lines = format!("auth_method = \"self_signed_tls_client_auth\"\n{}{BOUND}", used.lines());
    let text = configuration(port, &op, &lines, &api.routes())
        .replace("127.0.0.1:0", &format!("127.0.0.1:{admin}"));
    let mut served = Served::start_at((port, admin), write_config(&text)).await;
    let browser = Browser::new();
    let page = served.send(&browser, "GET", "/login", &LINK).await;
    assert_eq!(page.status, 303, "{} {:?}", page.body, served.logs());
    let back = callback(&op, page.redirect().unwrap().as_str(), "/callback");
    served.send(&browser, "GET", &back, &[]).await;
    assert_eq!(served.send(&browser, "GET", "/api/x", &FETCH).await.body, "good");

    op.turn(|knobs| knobs.certificate = Some(new.thumbprint()));
    install(&new);
    served.signal("HUP");
    until(|| served.log_so_far().contains("\"event\":\"apps_changed\"")).await;
    let page = served.send(&browser, "GET", "/api/x", &FETCH).await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "good"));
    let shown: Vec<Option<String>> = api.seen().into_iter().map(|one| one.certificate).collect();
    assert_eq!(shown, [Some(old.thumbprint()), Some(new.thumbprint())]);
    let tokens = op.requests(Endpoint::Token);
    assert_eq!(tokens.len(), 2, "one refresh, for a token that is bound to the new one");
    let (log, _) = served.logs();
    assert!(!log.contains(CLIENT_SECRET) && !log.contains(&body_of(&new.key)));
}

/// The second line of a PEM file.
fn body_of(pem: &Path) -> String {
    std::fs::read_to_string(pem).unwrap().lines().nth(1).unwrap().to_owned()
}
