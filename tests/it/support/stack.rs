//! The whole product on real sockets: the server as configured from a file, with the dev stack or another authorization
//! server and any upstream beside it. Time moves by hand when a test wants it to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::config::{Config, Sources, load};
use cloakroom::dev::{DevStack, DevStackOptions};
use cloakroom::secret::{Random, Secret};
use cloakroom::server::{self, Running};

use super::browser::{Browser, Page, login};
pub use super::port::free_port;

/// 32 bytes, base64url.
pub const KEY_ONE: &str = "Nlu0wJBtXHjSPDaPqzEWkgDNhDAd0KHnEJDPTT6AZLY";
pub const KEY_TWO: &str = "vTrwRa8vyX6-Eb3hUHRMm1XZUD7zD2o0HIXuHVHwHJk";
pub const CLIENT_ID: &str = "cloakroom-test";
pub const CLIENT_SECRET: &str = "marked-client-secret-5c1f7a90d2";

/// Of the second of two authorization servers.
pub const PARTNER_SECRET: &str = "marked-partner-secret-4be1-of-the-suite";

/// What a fetch from the app's own page looks like.
pub const FETCH: [(&str, &str); 4] = [
    ("x-csrf", "1"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
];
/// What a link on the app's own page looks like.
pub const LINK: [(&str, &str); 3] = [
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];

/// How a test wants the product.
pub struct Setup {
    /// An authorization server of the test's own instead of the dev stack's.
    pub issuer: Option<String>,
    /// An upstream of the test's own for `/api` instead of the demo API.
    pub upstream: Option<SocketAddr>,
    pub rotate: bool,
    pub access_token_ttl: Duration,
    /// Lines for `[server]`; two workers unless named here.
    pub server: String,
    /// Lines for `[session]`; the keys stand there unless named here.
    pub session: String,
    pub login: String,
    /// Lines for `[provider]`; the usual scopes are asked for unless named here.
    pub provider: String,
    /// Whole sections.
    pub more: String,
    pub clock: Clock,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            issuer: None,
            upstream: None,
            rotate: true,
            access_token_ttl: Duration::from_secs(300),
            server: String::new(),
            session: String::new(),
            login: String::new(),
            provider: String::new(),
            more: String::new(),
            clock: Clock::manual(Clock::system().now()),
        }
    }
}

/// The running product.
pub struct Stack {
    /// `http://localhost:PORT`
    pub app: String,
    pub issuer: String,
    pub admin: String,
    pub clock: Clock,
    pub port: u16,
    dev: Option<DevStack>,
    running: Option<Running>,
}

impl Stack {
    /// Starts it all.
    pub async fn start(setup: Setup) -> Self {
        let port = free_port();
        Self::start_at(port, setup).await
    }

    /// Starts it at a given port, as a restart would.
    pub async fn start_at(port: u16, setup: Setup) -> Self {
        let app = format!("http://localhost:{port}");
        let dev = dev_stack(&app, &setup).await;
        let issuer = setup.issuer.clone().unwrap_or_else(|| dev.issuer.clone());
        let api = setup.upstream.unwrap_or(dev.api_addr);
        let config = configuration(&app, port, &issuer, api, &setup);
        let running = server::start(config, setup.clock.clone(), Random::system()).unwrap();
        let admin = format!("http://{}", running.admin.unwrap());
        Self {
            app,
            issuer,
            admin,
            clock: setup.clock,
            port,
            dev: Some(dev),
            running: Some(running),
        }
    }

    /// An address of the app.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app)
    }

    /// Another instance of the same app before the same authorization server and API, as a load balancer would reach it:
    /// at a port of its own, under the public name of the first.
    pub fn beside(&self, setup: Setup) -> Self {
        let (port, api) = (free_port(), setup.upstream.unwrap_or(self.provider().api_addr));
        let config = configuration(&self.app, port, &self.issuer, api, &setup);
        let running = server::start(config, self.clock.clone(), Random::system()).unwrap();
        let admin = format!("http://{}", running.admin.unwrap());
        let (app, issuer, clock) = (self.app.clone(), self.issuer.clone(), self.clock.clone());
        Self { app, issuer, admin, clock, port, dev: None, running: Some(running) }
    }

    /// A call from the app's page.
    pub async fn fetch(&self, browser: &Browser, method: &str, path: &str) -> Page {
        let host = self.app.trim_start_matches("http://");
        let headers: Vec<_> = FETCH.into_iter().chain([("host", host)]).collect();
        let url = format!("http://localhost:{}{path}", self.port);
        browser.send(method, &url, &headers, "").await
    }

    /// `GET /session` as JSON.
    pub async fn session(&self, browser: &Browser) -> serde_json::Value {
        let page = self.fetch(browser, "GET", "/session").await;
        assert_eq!(page.status, 200, "{}", page.body);
        serde_json::from_str(&page.body).unwrap()
    }

    /// Follows a link to `/login`; gives the authorization request's URL.
    pub async fn begin_login(&self, browser: &Browser, query: &str) -> String {
        let page = browser.send("GET", &self.url(&format!("/login{query}")), &LINK, "").await;
        assert_eq!(page.status, 303, "{}", page.body);
        page.redirect().unwrap().into()
    }

    /// A whole login at the dev stack; gives the answer to the callback.
    pub async fn log_in(&self, browser: &Browser, user: &str) -> Page {
        let authorize = self.begin_login(browser, "?return_to=/").await;
        let callback = login(browser, &authorize, user).await;
        browser.get_from_elsewhere(&callback).await
    }

    /// Stops the server, and starts it again at the same port with the same authorization server, configured anew.
    pub async fn restart_at_same_port(mut self, setup: Setup) -> Self {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        let dev = self.dev.take().unwrap();
        let api = setup.upstream.unwrap_or(dev.api_addr);
        let config = configuration(&self.app, self.port, &self.issuer, api, &setup);
        let running = server::start(config, setup.clock.clone(), Random::system()).unwrap();
        let admin = format!("http://{}", running.admin.unwrap());
        Self { admin, dev: Some(dev), running: Some(running), ..self }
    }

    /// What the dev stack's authorization server was asked.
    pub fn provider(&self) -> &DevStack {
        self.dev.as_ref().unwrap()
    }

    /// Stops the authorization server and the demo API: an outage.
    pub async fn stop_provider(&mut self) {
        if let Some(dev) = self.dev.take() {
            dev.stop().await;
        }
    }

    /// Stops everything.
    pub async fn stop(mut self) {
        self.stop_provider().await;
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

/// The dev stack for an app at `app`, whatever stands before that.
pub async fn dev_stack(app: &str, setup: &Setup) -> DevStack {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = DevStackOptions {
        issuer_listen: loopback,
        api_listen: loopback,
        redirect_uri: format!("{app}/callback"),
        post_logout_redirect_uri: format!("{app}/logged-out"),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Secret::from(CLIENT_SECRET),
        rotate: setup.rotate,
        consent: false,
        access_token_ttl: setup.access_token_ttl,
        key_file: None,
    };
    cloakroom::dev::start(options, setup.clock.clone(), Random::system()).await.unwrap()
}

/// The configuration goes through the loader, as everybody's does.
fn configuration(app: &str, port: u16, issuer: &str, api: SocketAddr, setup: &Setup) -> Config {
    let keys = if setup.session.contains("keys") {
        ""
    } else {
        "keys = [{ id = \"one\", env = \"KEY_ONE\" }]"
    };
    let scopes = if setup.provider.contains("scopes") {
        ""
    } else {
        "scopes = [\"openid\", \"profile\", \"email\", \"sales\"]"
    };
    let workers = if setup.server.contains("workers") { "" } else { "workers = 2" };
    let Setup { server, session, login, provider, more, .. } = setup;
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "{app}"
{workers}
{server}
[admin]
listen = "127.0.0.1:0"
hosts = ["cloakroom.internal"]
[provider]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
{scopes}
timeout = "3s"
{provider}
[login]
{login}
[session]
{keys}
claims = ["sub", "name", "email"]
{session}
[[routes]]
path = "/api"
upstream = "http://{api}/api"
strip_prefix = true
[[routes]]
path = "/api/download"
upstream = "http://{api}/api/download"
strip_prefix = true
header_free = true
fetch_dest = ["document", "image"]
[[routes]]
path = "/public"
upstream = "http://{api}/public"
strip_prefix = true
token = "none"
{more}
"#
    );
    load_text(&text)
}

/// Loads a configuration; the environment holds `CLIENT_SECRET`, `KEY_ONE` and `KEY_TWO`.
pub fn load_text(text: &str) -> Config {
    let file = write_config(text);
    let env = [("CLIENT_SECRET", CLIENT_SECRET), ("KEY_ONE", KEY_ONE), ("KEY_TWO", KEY_TWO)];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let loaded = load(&Sources { file: Some(file.clone()), env, set: Vec::new() });
    std::fs::remove_file(file).unwrap();
    loaded.unwrap_or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", lines.join("\n"))
    })
}

/// A file of its own for every caller.
pub fn write_config(text: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("cloakroom-it-{}-{number}.toml", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// The lines of two authorization servers of one app, `home` and `partner`.
pub fn two_providers(home: &str, partner: &str) -> String {
    format!(
        r#"
[[providers]]
id = "home"
issuer = "{home}"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
[[providers]]
id = "partner"
issuer = "{partner}"
client_id = "{CLIENT_ID}"
client_secret = "{PARTNER_SECRET}"
"#
    )
}
