//! One app, two authorization servers: each has its own logins, sessions, tokens and logouts, and gets nothing of the other's.

use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::secret::Random;
use cloakroom::server::{self, Running};
use serde_json::Value;

use super::problem_code;
use super::setup::{callback, error_of, hostile_op};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply};
use crate::support::hostile_upstream::{HostileUpstream, ok, until};
use crate::support::stack::{FETCH, LINK, PARTNER_SECRET, free_port, load_text, two_providers};

/// The app at `http://localhost:PORT` before the servers `home`, the first, and `partner`.
pub struct Place {
    pub running: Running,
    pub app: String,
    pub home: HostileOp,
    pub partner: HostileOp,
    pub api: HostileUpstream,
    pub clock: Clock,
    port: u16,
    text: String,
}

/// The lines of both servers.
pub fn both(home: &HostileOp, partner: &HostileOp) -> String {
    two_providers(&home.issuer, &partner.issuer)
}

/// Two servers that know the client, the second by another secret.
pub async fn servers(clock: &Clock) -> (HostileOp, HostileOp) {
    let (home, partner) = (hostile_op(clock.clone()).await, hostile_op(clock.clone()).await);
    partner.turn(|knobs| PARTNER_SECRET.clone_into(&mut knobs.client_secret));
    (home, partner)
}

impl Place {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// With further sections or lines.
    pub async fn start_with(more: &str) -> Self {
        Self::start_at("cookie", more).await
    }

    /// The same with sessions in the store.
    pub async fn start_in_store(more: &str) -> Self {
        Self::start_at("redis", more).await
    }

    async fn start_at(store: &str, more: &str) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let (home, partner) = servers(&clock).await;
        let api = HostileUpstream::answering(ok("the API's own")).await;
        let port = free_port();
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "http://localhost:{port}"
[admin]
listen = "127.0.0.1:0"
{}
[session]
store = "{store}"
keys = [{{ id = "one", env = "KEY_ONE" }}]
[login]
loop_limit = 100
revoke_replaced = true
[[routes]]
path = "/api"
upstream = "http://{}"
{more}
"#,
            both(&home, &partner),
            api.address
        );
        let running = server::start(load_text(&text), clock.clone(), Random::system()).unwrap();
        let app = format!("http://localhost:{port}");
        Self { running, app, home, partner, api, clock, port, text }
    }

    /// Another instance of the same app, for a load balancer's browsers: where it listens.
    pub fn beside(&self) -> (Running, u16) {
        let port = free_port();
        let listen = |port: u16| format!("listen = \"127.0.0.1:{port}\"");
        let text = self.text.replacen(&listen(self.port), &listen(port), 1);
        let running = server::start(load_text(&text), self.clock.clone(), Random::system());
        (running.unwrap(), port)
    }

    /// The server called `id`.
    pub fn server(&self, id: &str) -> &HostileOp {
        if id == "home" { &self.home } else { &self.partner }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app)
    }

    pub async fn fetch(&self, browser: &Browser, method: &str, path: &str) -> Page {
        browser.send(method, &self.url(path), &FETCH, "").await
    }

    pub async fn session(&self, browser: &Browser) -> Value {
        let page = self.fetch(browser, "GET", "/session").await;
        assert_eq!(page.status, 200, "{}", page.body);
        serde_json::from_str(&page.body).unwrap()
    }

    /// The authorization request of a login there.
    pub async fn begin(&self, browser: &Browser, id: &str) -> String {
        let path = format!("/login?provider={id}&return_to=/there");
        let page = browser.send("GET", &self.url(&path), &LINK, "").await;
        assert_eq!(page.status, 303, "{}", page.body);
        page.redirect().unwrap().into()
    }

    /// A whole login there; gives the answer to the callback.
    pub async fn log_in(&self, browser: &Browser, id: &str) -> Page {
        let authorize = self.begin(browser, id).await;
        let back = callback(self.server(id), &authorize, &self.url(&format!("/callback/{id}")));
        let page = browser.get_from_elsewhere(&back).await;
        assert_eq!(page.headers["location"], self.url("/there"), "{:?}", error_of(&page));
        page
    }

    /// How often both were asked for tokens.
    pub fn token_calls(&self) -> (usize, usize) {
        (self.home.calls(Endpoint::Token), self.partner.calls(Endpoint::Token))
    }
}

// proves: AR-10
#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_log_in_at_two_servers_each_with_its_own_redirect_uri_and_tokens() {
    let place = Place::start().await;
    let (one, two) = (Browser::new(), Browser::new());
    for (browser, id) in [(&one, "home"), (&two, "partner")] {
        let url = place.begin(browser, id).await;
        assert!(url.starts_with(&place.server(id).issuer), "{url}");
        let redirect = format!("redirect_uri={}", encoded(&place.url(&format!("/callback/{id}"))));
        assert!(url.contains(&redirect), "{url}");
        place.log_in(browser, id).await;
        let session = place.session(browser).await;
        assert_eq!(
            (&session["provider"], &session["claims"]["sub"]),
            (&id.into(), &"alice".into())
        );
    }
    assert_eq!(place.token_calls(), (1, 1));
    // Each refresh goes to whoever issued the session's tokens.
    place.clock.advance(Duration::from_secs(280));
    for (browser, calls) in [(&one, (2, 1)), (&two, (2, 2))] {
        assert_eq!(place.fetch(browser, "POST", "/refresh").await.status, 200);
        assert_eq!(place.token_calls(), calls);
        assert_eq!(place.fetch(browser, "GET", "/api/x").await.status, 200);
    }
    // And so does logout: revocation, and the browser with its ID token.
    let page = place.fetch(&two, "POST", "/logout").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let page = two.send("GET", &place.url("/logout/continue"), &LINK, "").await;
    let end = page.redirect().unwrap().to_string();
    assert!(end.starts_with(&format!("{}/end_session?", place.partner.issuer)), "{end}");
    assert!(end.contains("id_token_hint="), "{end}");
    until(|| place.partner.calls(Endpoint::Revocation) == 1).await;
    assert_eq!(place.home.calls(Endpoint::Revocation), 0);
    assert_eq!(place.session(&two).await, serde_json::json!({ "authenticated": false }));
    assert_eq!(place.session(&one).await["provider"], "home");
    place.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_at_another_server_replaces_the_session_and_revokes_its_token_where_it_came_from() {
    let place = Place::start().await;
    let browser = Browser::new();
    place.log_in(&browser, "home").await;
    let before = browser.copy();
    place.log_in(&browser, "partner").await;
    assert_eq!(place.session(&browser).await["provider"], "partner");
    assert_eq!(place.session(&before).await["authenticated"], false);
    until(|| place.home.calls(Endpoint::Revocation) == 1).await;
    assert_eq!(place.partner.calls(Endpoint::Revocation), 0, "nothing of home's goes to partner");
    place.log_in(&browser, "home").await;
    until(|| place.partner.calls(Endpoint::Revocation) == 1).await;
    assert_eq!(place.home.calls(Endpoint::Revocation), 1);
    place.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_is_asked_by_default_and_an_unknown_one_is_refused() {
    let place = Place::start().await;
    let browser = Browser::new();
    let page = browser.send("GET", &place.url("/login"), &LINK, "").await;
    assert!(page.redirect().unwrap().as_str().starts_with(&place.home.issuer));
    for query in ["provider=nobody", "provider=", "provider=HOME", "provider=home%2F"] {
        let browser = Browser::new();
        let page = place.fetch(&browser, "GET", &format!("/login?{query}")).await;
        assert_eq!(page.status, 403, "no navigation");
        let headers: Vec<_> = FETCH.into_iter().chain([("accept", "application/json")]).collect();
        let url = place.url(&format!("/login?{query}"));
        let page = browser.send("GET", &url, &headers, "").await;
        assert_eq!((page.status.as_u16(), &*problem_code(&page)), (400, "unknown_provider"));
        let page = browser.send("GET", &url, &LINK, "").await;
        assert_eq!(
            (page.status.as_u16(), &page.headers["cloakroom-error"]),
            (400, &"unknown_provider".parse().unwrap())
        );
        assert!(browser.jar().is_empty());
    }
    let twice = place.url("/login?provider=home&provider=partner");
    let page = browser.send("GET", &twice, &LINK, "").await;
    assert_eq!(page.headers["cloakroom-error"], "bad_parameter");
    place.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_one_shows_by_its_name_and_stops_nobody_at_the_other() {
    let place = Place::start().await;
    let (one, two) = (Browser::new(), Browser::new());
    place.log_in(&one, "home").await;
    place.log_in(&two, "partner").await;
    place.partner.answer_with(Endpoint::Token, Reply::new(503, "text/plain", "away"));
    place.clock.advance(Duration::from_secs(301));
    // Enough failures for nobody to ask there any more.
    for _ in 0..12 {
        assert_eq!(place.fetch(&two, "POST", "/refresh").await.status, 503);
        place.clock.advance(Duration::from_secs(3));
    }
    assert_eq!(place.fetch(&one, "POST", "/refresh").await.status, 200);
    assert_eq!(place.fetch(&one, "GET", "/api/x").await.status, 200);
    let admin = format!("http://{}", place.running.admin.unwrap());
    let text = Browser::new().get(&format!("{admin}/metrics")).await.body;
    for id in ["home", "partner"] {
        let line = format!("cloakroom_provider_degraded{{app=\"app\",provider=\"{id}\"}} 0");
        assert!(text.contains(&line), "{line} in {text}");
    }
    place.running.stop().await;
}

// proves: PX-19, PX-22
#[tokio::test(flavor = "multi_thread")]
async fn tokens_for_apis_and_better_logins_come_from_the_sessions_own_server() {
    let orders = HostileUpstream::answering(ok("orders")).await;
    let challenge = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer \
                     error=\"insufficient_user_authentication\", acr_values=\"diamond\"\r\n\
                     content-length: 0\r\n\r\n";
    let bank = HostileUpstream::answering(challenge.as_bytes().to_vec()).await;
    let place = Place::start_with(&format!(
        "[[routes]]\npath = \"/orders\"\nupstream = \"http://{}\"\ntoken = \"exchange\"\n\
         token_audience = \"orders\"\n[[routes]]\npath = \"/bank\"\nupstream = \"http://{}\"\n",
        orders.address, bank.address
    ))
    .await;
    for id in ["partner", "home"] {
        let browser = Browser::new();
        place.log_in(&browser, id).await;
        let before = place.server(id).calls(Endpoint::Token);
        assert_eq!(place.fetch(&browser, "GET", "/orders/x").await.body, "orders");
        assert_eq!(place.server(id).calls(Endpoint::Token), before + 1, "{id}");
        let page = place.fetch(&browser, "GET", "/bank/x").await;
        let told: Value = serde_json::from_str(&page.body).unwrap();
        assert_eq!(told["login_url"], format!("/login?acr_values=diamond&provider={id}"));
    }
    place.running.stop().await;
}

fn encoded(url: &str) -> String {
    form_urlencoded::byte_serialize(url.as_bytes()).collect()
}
