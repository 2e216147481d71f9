//! What all scenarios stand on: the upstream, the embedded authorization server, a logged-in browser, and the three
//! servers to compare. One server is loaded at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use cloakroom::clock::Clock;
use cloakroom::dev::{DevStack, DevStackOptions};
use cloakroom::secret::{Random, Secret};
use tokio::runtime::Runtime;

use super::chart::Chart;
use super::cloakroom::{CLIENT_ID, CLIENT_SECRET, Settings};
use super::login::log_in;
use super::peers;
use super::requests::Browser;
use super::server::{Folder, Logs, Server, Under, free_address};
use super::session::{app_config, cookies_of, with_usual_token};
use super::upstream::Upstream;

/// See the module.
pub struct Stand {
    pub binary: PathBuf,
    pub folder: Folder,
    pub upstream: Upstream,
    pub browser: Browser,
    /// Measured rounds per server.
    pub rounds: usize,
    pub chart: Chart,
    app: SocketAddr,
    issuer: String,
    /// Answers as long as it is held.
    _authorization_server: DevStack,
    runtime: Runtime,
}

impl Stand {
    /// Starts what is not measured, and logs alice in.
    pub fn new(binary: PathBuf, rounds: usize) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let folder = Folder::new()?;
        let upstream = Upstream::start()?;
        let app = free_address()?;
        let stack = runtime.block_on(authorization_server(app.port()))?;
        let mut stand = Self {
            binary,
            folder,
            upstream,
            browser: Browser { port: app.port(), cookies: String::new() },
            rounds,
            chart: Chart::default(),
            app,
            issuer: stack.issuer.clone(),
            _authorization_server: stack,
            runtime,
        };
        stand.browser.cookies = stand.session()?;
        Ok(stand)
    }

    /// The usual settings: logs off, a core of its own, one route.
    pub fn settings(&self) -> Settings<'_> {
        Settings {
            issuer: &self.issuer,
            upstream: self.upstream.address,
            address: self.app,
            logs: Logs::Off,
            pinned: true,
            other_routes: 0,
            provider_lines: "",
            route_lines: "",
        }
    }

    /// Cloakroom with `settings`.
    pub fn cloakroom(&self, settings: &Settings<'_>, under: &Under) -> anyhow::Result<Server> {
        Ok(settings.start(&self.binary, &self.folder, under)?.0)
    }

    /// Cloakroom, nginx and HAProxy, in this order.
    pub fn all(&self, logs: Logs) -> anyhow::Result<Vec<Server>> {
        let ours = self.cloakroom(&Settings { logs, ..self.settings() }, &Under::Nothing)?;
        let mut all = vec![ours];
        all.extend(self.peers(logs)?);
        Ok(all)
    }

    /// nginx and HAProxy.
    pub fn peers(&self, logs: Logs) -> anyhow::Result<Vec<Server>> {
        let (upstream, under) = (self.upstream.address, Under::Nothing);
        Ok(vec![
            peers::nginx(&self.folder, upstream, logs, &under)?,
            peers::haproxy(&self.folder, upstream, logs, &under)?,
        ])
    }

    /// That no request so far reached the upstream without a token.
    pub fn check_tokens(&self) -> anyhow::Result<()> {
        let without = self.upstream.without_token();
        ensure!(without == 0, "{without} requests reached the upstream without a token");
        Ok(())
    }

    fn session(&self) -> anyhow::Result<String> {
        let settings = self.settings();
        let _server = self.cloakroom(&settings, &Under::Nothing)?;
        let origin = format!("http://localhost:{}", self.app.port());
        let logged_in = self.runtime.block_on(log_in(&origin))?;
        let file = self.folder.join("read-by-the-bench.toml");
        std::fs::write(&file, settings.text(free_address()?))?;
        let cookies = cookies_of(&app_config(&file)?, Some(self.app.port()))?;
        with_usual_token(&cookies, &logged_in)
    }
}

/// The authorization server for the app at `port`.
async fn authorization_server(port: u16) -> anyhow::Result<DevStack> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = DevStackOptions {
        issuer_listen: loopback,
        api_listen: loopback,
        redirect_uri: format!("http://localhost:{port}/callback"),
        post_logout_redirect_uri: format!("http://localhost:{port}/logged-out"),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Secret::from(CLIENT_SECRET),
        rotate: true,
        consent: false,
        // Longer than the bench, so that no refresh is measured.
        access_token_ttl: Duration::from_secs(3600),
        key_file: None,
    };
    cloakroom::dev::start(options, Clock::system(), Random::system()).await
}
