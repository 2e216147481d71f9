//! Tries what a configuration depends on, without serving: authorization servers, Redis, upstreams. Says of each thing whether it
//! works, what is wrong with it, and how to mend it. Changes nothing anywhere; no finding holds a secret or text of another server.

mod wanted;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::listen::tls_config;
use crate::clock::Clock;
use crate::config::{AppConfig, Config, ProviderConfig, RedisConfig, SessionStore};
use crate::oidc::{Examination, Facts, OidcError, Provider, Verdict};
use crate::proxy::reach;
use crate::store::{Redis, StoreError};
use crate::telemetry::Metrics;

/// A clock that is off by more is worth a word: ID tokens are checked to `provider.clock_skew`.
const CLOCK_OFF: u64 = 5;
/// Header fields beyond this are refused by many front proxies (8 KiB for all of them together).
const SAFE_BUDGET: usize = 7_500;
/// An upstream that needs longer to be reached is reported as down.
const LONGEST: Duration = Duration::from_secs(10);

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Ok,
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The app's id; absent for what all share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The provider's id, of an app with several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What was looked at, e.g. `discovery`.
    pub check: &'static str,
    pub level: Level,
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<&'static str>,
}

/// Looks at everything; `told` hears of each finding when it is there.
pub async fn examine(config: Config, clock: Clock, mut told: impl FnMut(Finding)) {
    for app in &config.apps {
        let tell = &mut |finding| told(Finding { app: Some(app.id.clone()), ..finding });
        for config in &app.providers {
            // Of several, each finding says whose it is.
            let id = (app.providers.len() > 1).then(|| config.id.clone());
            let tell = &mut |finding| tell(Finding { provider: id.clone(), ..finding });
            provider((app, config), &clock, tell).await;
        }
        secrets(app, tell);
        budget(app, tell);
        upstreams(app, tell).await;
    }
    if let Some(config) = config.redis {
        told(redis(config, clock).await);
    }
}

fn ok(check: &'static str, says: impl Into<String>) -> Finding {
    Finding { app: None, provider: None, check, level: Level::Ok, says: says.into(), mend: None }
}

fn warning(check: &'static str, says: impl Into<String>, mend: &'static str) -> Finding {
    Finding {
        app: None,
        provider: None,
        check,
        level: Level::Warning,
        says: says.into(),
        mend: Some(mend),
    }
}

fn failed(check: &'static str, says: impl Into<String>, mend: &'static str) -> Finding {
    Finding {
        app: None,
        provider: None,
        check,
        level: Level::Failed,
        says: says.into(),
        mend: Some(mend),
    }
}

/// One secret for two clients lets either authorization server act as this app at the other (CA-07).
fn secrets(app: &AppConfig, tell: &mut impl FnMut(Finding)) {
    if let Some((one, other)) = app.one_secret_for() {
        tell(warning(
            "secrets",
            format!("the providers {one} and {other} have the same client secret or key"),
            "give one of them another one: who has it could act as this app at the other",
        ));
    }
}

async fn provider(
    (app, config): (&AppConfig, &ProviderConfig),
    clock: &Clock,
    tell: &mut impl FnMut(Finding),
) {
    let redirect_uri = app.url_for("/callback", config);
    let provider = match Provider::new(config.clone(), redirect_uri, clock.clone()) {
        Ok(provider) => provider,
        Err(error) => {
            return tell(failed("discovery", error.to_string(), "run `cloakroom check`"));
        }
    };
    let Examination { discovery, clock_ahead, keys, client } = provider.examine().await;
    let facts = match discovery {
        Ok(facts) => facts,
        Err(error) => return tell(no_discovery(error, config)),
    };
    tell(ok("discovery", format!("the document of {} is good", config.issuer)));
    tell(match keys {
        Ok(0) => failed(
            "keys",
            "the issuer publishes no key that signs ID tokens",
            "look at its signing keys; RSA, P-256, P-384 and Ed25519 can be used",
        ),
        Ok(count) => ok("keys", format!("{count} of the issuer's keys can be used")),
        Err(_) => failed(
            "keys",
            "the issuer's keys cannot be fetched",
            "open its jwks_uri from this machine; provider.jwks_uri names another address",
        ),
    });
    tell(known_client(client));
    tell(clocks(clock_ahead, config.clock_skew));
    said(&facts, tell);
    wanted::tell((app, config), &facts, tell);
    let urls = [
        app.url_for("/callback", config),
        app.url("/logged-out"),
        app.url_for("/backchannel-logout", config),
    ];
    tell(ok(
        "registration",
        format!(
            "to be registered there: redirect URI {}, post-logout redirect URI {}, and if it does back-channel logout {}",
            urls[0], urls[1], urls[2]
        ),
    ));
}

fn no_discovery(error: OidcError, config: &ProviderConfig) -> Finding {
    let mend = match error {
        OidcError::IssuerMismatch => {
            "write the issuer exactly as its document does, to the last slash; or set provider.issuer_template"
        }
        OidcError::EndpointInvalid => {
            "an endpoint is missing or plain HTTP; provider.token_endpoint and its like can name it"
        }
        OidcError::BelowProfile => "turn both on over there, or set provider.profile = \"oidc\"",
        OidcError::BindsNothing => {
            "turn on certificate-bound access tokens over there (RFC 8705), or set provider.sender_constraint = \"dpop\""
        }
        OidcError::DiscoveryInvalid => {
            "the address answers with something else; provider.discovery_url names another one"
        }
        _ => {
            "open the address from this machine: name, firewall, certificate (provider.ca_file), proxy (provider.proxy), split horizon (provider.resolve)"
        }
    };
    failed("discovery", format!("{}: {error}", config.issuer), mend)
}

fn known_client(verdict: Verdict) -> Finding {
    const CHECK: &str = "client";
    match verdict {
        Verdict::Known => ok(
            CHECK,
            "the client is known there (a made-up code was sent, and refused as it should be)",
        ),
        Verdict::WrongCredential => failed(
            CHECK,
            "the client's id, or its secret, key or certificate, is refused",
            "compare provider.client_id and its credential with the registration; try provider.auth_method",
        ),
        Verdict::NotAllowed => failed(
            CHECK,
            "the client may not use the authorization code flow",
            "allow the grant type authorization_code in its registration",
        ),
        Verdict::Unclear => warning(
            CHECK,
            "a made-up code was refused in words that say nothing about the client",
            "log in once to be sure",
        ),
        Verdict::Unavailable => failed(
            CHECK,
            "the token endpoint does not answer",
            "open it from this machine; provider.token_endpoint names another address",
        ),
        Verdict::Skipped => warning(CHECK, "was not asked", "mend what is above first"),
    }
}

fn clocks(ahead: Option<i64>, skew: Duration) -> Finding {
    const CHECK: &str = "clock";
    const MEND: &str = "let both machines take their time from the network (NTP)";
    let Some(ahead) = ahead else {
        return warning(
            CHECK,
            "the authorization server does not say what time it has",
            "see that both take their time from the network",
        );
    };
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let says =
        format!("the authorization server's clock is {} s {side} ours", ahead.unsigned_abs());
    if ahead.unsigned_abs() > skew.as_secs() {
        failed(CHECK, format!("{says}, more than provider.clock_skew: ID tokens are refused"), MEND)
    } else if ahead.unsigned_abs() > CLOCK_OFF {
        warning(CHECK, says, MEND)
    } else {
        ok(CHECK, says)
    }
}

/// What is asked for and not listed there.
fn unlisted(facts: &Facts, tell: &mut impl FnMut(Finding)) {
    if let Some(unknown) = &facts.unknown_scopes {
        tell(if unknown.is_empty() {
            ok("scopes", "all configured scopes are known there")
        } else {
            let says = format!("these scopes are not listed there: {}", unknown.join(" "));
            warning(
                "scopes",
                says,
                "compare provider.scopes with the registration; not every server lists all it knows",
            )
        });
    }
    if let Some(unknown) = facts.unknown_details.as_ref().filter(|unknown| !unknown.is_empty()) {
        tell(warning(
            "authorization_details",
            format!("these types are not listed there: {}", unknown.join(" ")),
            "compare provider.authorization_details with its manual",
        ));
    }
}

fn said(facts: &Facts, tell: &mut impl FnMut(Finding)) {
    unlisted(facts, tell);
    if facts.s256 == Some(false) {
        tell(warning(
            "pkce",
            "it does not list PKCE with S256",
            "it is sent all the same; a server that ignores it protects less",
        ));
    }
    if facts.code == Some(false) {
        tell(failed(
            "code_flow",
            "it does not offer the authorization code flow",
            "another authorization server, or another issuer of this one, is needed",
        ));
    }
    if facts.auth_method == Some(false) {
        tell(warning(
            "auth_method",
            "it does not list the configured way to show that we are the client",
            "set provider.auth_method to client_secret_basic, client_secret_post or private_key_jwt",
        ));
    }
    if !facts.end_session {
        tell(warning(
            "logout",
            "it has no endpoint to end its own session",
            "set logout.mode = \"local\", or name it as provider.end_session_endpoint",
        ));
    }
    if !facts.revocation {
        tell(warning(
            "revocation",
            "it has no revocation endpoint: tokens of ended sessions live until they end by themselves",
            "keep their lives short over there",
        ));
    }
    let has = |name, it| if it { name } else { "" };
    let more = [
        has("back-channel logout", facts.backchannel_logout),
        has("issuer in responses (RFC 9207)", facts.names_itself),
        has("pushed authorization requests", facts.par),
        has("DPoP", facts.dpop),
        has("certificate-bound tokens", facts.mtls_bound),
    ];
    let more: Vec<&str> = more.into_iter().filter(|name| !name.is_empty()).collect();
    if !more.is_empty() {
        tell(ok("offers", format!("it also offers {}", more.join(", "))));
    }
}

fn budget(app: &AppConfig, tell: &mut impl FnMut(Finding)) {
    let budget = app.session.cookie_budget;
    tell(if app.session.store == SessionStore::Redis {
        ok("cookies", "the browser holds a ticket; tokens may be of any size")
    } else if budget > SAFE_BUDGET {
        warning(
            "cookies",
            format!("sessions may take {budget} bytes of cookies"),
            "many front proxies refuse more than 8 KiB of header fields: raise theirs, or use session.store = \"redis\"",
        )
    } else {
        ok(
            "cookies",
            format!(
                "sessions take {budget} bytes of cookies at most: JWTs of about {} bytes in all",
                budget.saturating_sub(500)
            ),
        )
    });
}

async fn upstreams(app: &AppConfig, tell: &mut impl FnMut(Finding)) {
    let Ok(tls) = tls_config().map(Arc::new) else {
        return tell(failed(
            "upstream",
            "the machine's certificate authorities cannot be read",
            "install ca-certificates",
        ));
    };
    let mut seen = Vec::new();
    let all = app.routes.iter().flat_map(|route| route.upstreams().map(move |one| (route, one)));
    for (route, upstream) in all {
        let scheme = if upstream.tls { "https" } else { "http" };
        let address = format!("{scheme}://{}", upstream.authority);
        if seen.contains(&address) {
            continue;
        }
        let reached = reach(upstream, &tls, route.connect_timeout.min(LONGEST)).await;
        tell(match reached {
            Ok(()) => ok("upstream", format!("{address} of {} takes connections", route.path)),
            Err((at, error)) => failed(
                "upstream",
                format!("{address} of {} at {at}: {error}", route.path),
                "open it from this machine: name, port, firewall; for its own authority set the route's ca_file",
            ),
        });
        seen.push(address);
    }
}

async fn redis(config: RedisConfig, clock: Clock) -> Finding {
    const CHECK: &str = "redis";
    let redis = match Redis::new(config, clock, Metrics::default()) {
        Ok(redis) => redis,
        Err(error) => return failed(CHECK, error.to_string(), "run `cloakroom check`"),
    };
    match redis.examine().await {
        Ok((version, Some(policy))) if policy != "noeviction" => warning(
            CHECK,
            format!("Redis {version} forgets data when its memory is full ({policy})"),
            "set maxmemory-policy noeviction there, or it may forget who has logged out",
        ),
        Ok((version, _)) => ok(CHECK, format!("Redis {version} answers")),
        Err(error @ StoreError::Refused(_)) => failed(
            CHECK,
            error.to_string(),
            "compare user and password, and what the user may do there (docs/scaling.md)",
        ),
        Err(error) => failed(
            CHECK,
            error.to_string(),
            "open its address from this machine: name, port, TLS (redis.ca_file), firewall",
        ),
    }
}
