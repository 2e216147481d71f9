//! The session that every request of the bench brings: a real login's, its access token replaced by one of a usual length.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cloakroom::clock::Clock;
use cloakroom::config::{AppConfig, Config, Sources, load};
use cloakroom::secret::{Random, Secret};
use cloakroom::session::{Identity, KeyRing, Opened, SessionCookies};

use super::peers::TOKEN_LENGTH;

/// Reads the configuration that the server under test reads.
pub fn app_config(file: &Path) -> anyhow::Result<AppConfig> {
    let sources = Sources { file: Some(file.to_owned()), ..Sources::default() };
    let Config { apps, .. } = load(&sources).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the bench's configuration: {}", lines.join("; "))
    })?;
    apps.into_iter().next().context("no app")
}

/// The app's cookies, as its server opens and seals them.
pub fn cookies_of(app: &AppConfig, port: Option<u16>) -> anyhow::Result<SessionCookies> {
    let identity = Identity {
        app_id: app.id.clone(),
        clients: app
            .providers
            .iter()
            .map(|one| (one.issuer.clone(), one.client_id.clone()))
            .collect(),
        port,
    };
    let ring = Arc::new(KeyRing::new(&app.session.keys)?);
    Ok(SessionCookies::new(ring, identity, &app.session, "", Random::system()))
}

/// The `Cookie` line of `logged_in` with an access token of [`TOKEN_LENGTH`] bytes instead of its own.
pub fn with_usual_token(cookies: &SessionCookies, logged_in: &str) -> anyhow::Result<String> {
    let (clock, random) = (Clock::system(), Random::system());
    let now = clock.now();
    let Opened::Open(session) = cookies.open(&[logged_in], now) else {
        bail!("the login's session does not open");
    };
    let mut record = session.record;
    record.access_token = Secret::from(usual_token(&clock, &random)?.as_str());
    let lines = cookies.seal(&record, &[], now)?;
    // A first generation also deletes what an earlier session may have left.
    let kept = lines.iter().filter(|line| !line.contains("Max-Age=0"));
    let pairs = kept.filter_map(|line| line.split(';').next());
    Ok(pairs.collect::<Vec<_>>().join("; "))
}

/// A signed JWT of [`TOKEN_LENGTH`] bytes, give or take a few: its scope is as long as that needs.
pub fn usual_token(clock: &Clock, random: &Random) -> anyhow::Result<String> {
    let hour = Duration::from_secs(3600);
    let mint = |scope: &str| cloakroom::dev::mint_token("alice", scope, hour, None, clock, random);
    let missing = TOKEN_LENGTH.saturating_sub(mint("")?.len());
    let scopes = (0..).map(|at| format!("api:resource-{at}:read "));
    let mut scope: String = scopes.take(missing / 16).collect();
    // Base64 makes four bytes of three.
    scope.truncate(missing * 3 / 4);
    mint(scope.trim_end())
}
