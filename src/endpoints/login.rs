//! `GET /login`: starts a login attempt and sends the browser to the authorization server.
//! Never starts one that the user did not ask for (AR-12), and never passes on a parameter that is not listed (AR-15).

use std::sync::Arc;

use actix_web::HttpResponse;

use super::call::Call;
use super::login_flow::{LoginFlow, see_other};
use super::loop_watch::round;
use crate::audit::{self, Event};
use crate::edge::{AuthError, Code, Problem, pages, set_cookies};
use crate::guard::{LoginEntry, return_target};
use crate::oidc::{AuthorizationRequest, code_challenge};
use crate::secret::Secret;
use crate::session::{LoginAttempt, LoginTrail, Opened};
use crate::telemetry::LoginResult;
use crate::tokens::OneProvider;

/// Longest value of an extra parameter, bytes.
const LONGEST_VALUE: usize = 512;

/// Answers by a redirect, or by the URL in JSON when a `fetch` with the CSRF header asks for it.
pub async fn answer(call: &Call<'_>, flow: &LoginFlow) -> Result<HttpResponse, Problem> {
    let by_fetch = !call.facts.csrf.is_empty() && call.accepts("application/json");
    if by_fetch {
        flow.guard.header_route(&call.facts)?;
    } else {
        match flow.guard.login_navigation(&call.facts) {
            LoginEntry::Proceed => {}
            LoginEntry::AskFirst => return Ok(continue_page(call)),
            LoginEntry::Refused(refusal) => return Err(refusal.into()),
        }
    }
    let wish = Wish::parse(call.query(), flow)?;
    let opened = flow.keeping.open(call).await;
    let trail = watch_rounds(call, flow, &wish.return_to, &opened)?;
    let attempt = new_attempt(call, flow, &wish, &opened);
    let url = authorization_url(flow, &attempt, wish).await?;
    flow.metrics.login(LoginResult::Started);
    audit::record(&Event::LoginStarted, call.request_id);

    let mut response = if by_fetch {
        HttpResponse::Ok()
            .insert_header(("cache-control", "no-store"))
            .json(serde_json::json!({ "authorization_url": url }))
    } else {
        see_other(&url)
    };
    let mut lines = flow.cookies.seal_login(&attempt, call.jar, &flow.config, call.now);
    lines.extend(trail);
    set_cookies(&mut response, lines);
    Ok(response)
}

/// Stops a browser whose logins work and start anew at once; else the cookie that counts the round, if it is one.
fn watch_rounds(
    call: &Call<'_>,
    flow: &LoginFlow,
    return_to: &str,
    opened: &Opened,
) -> Result<Option<String>, Problem> {
    let Some(trail) = flow.cookies.open_trail(call.jar) else {
        return Ok(None);
    };
    let has_session = matches!(opened, Opened::Open(_));
    let window = flow.config.loop_window;
    let round = round(Some(&trail), has_session, return_to, window, call.now);
    if round >= flow.config.loop_limit {
        let cause =
            if has_session { AuthError::RepeatedLogin } else { AuthError::SessionCookieMissing };
        return Err(Problem::new(Code::LoginLoop).with_cause(cause));
    }
    let counted = LoginTrail { rounds: round, ..trail };
    Ok((round > 0).then(|| flow.cookies.seal_trail(&counted, window)))
}

/// What the SPA asked for, checked.
struct Wish<'a> {
    provider: &'a Arc<OneProvider>,
    return_to: String,
    extra: Vec<(String, String)>,
}

impl<'a> Wish<'a> {
    fn parse(query: Vec<(String, String)>, flow: &'a LoginFlow) -> Result<Self, Problem> {
        let allowed = &flow.config.allowed_params;
        let provider = flow.providers.first();
        let mut wish = Self { provider, return_to: flow.home.clone(), extra: Vec::new() };
        let mut seen = Vec::new();
        for (name, value) in query {
            if seen.contains(&name) || value.len() > LONGEST_VALUE * 4 {
                return Err(Problem::new(Code::BadParameter));
            }
            if name == "return_to" {
                wish.return_to =
                    return_target(&value).ok_or_else(|| Problem::new(Code::BadReturnTo))?;
            } else if name == "provider" {
                let named = flow.providers.named(&value);
                wish.provider = named.ok_or_else(|| Problem::new(Code::UnknownProvider))?;
            } else if allowed.contains(&name) && is_well_formed(&name, &value) {
                wish.extra.push((name.clone(), value));
            } else {
                return Err(Problem::new(Code::BadParameter));
            }
            seen.push(name);
        }
        Ok(wish)
    }

    fn extra(&self, name: &str) -> Option<&str> {
        self.extra.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A `max_age` that is no number of seconds could not be checked in the ID token (ID-14), so it is not asked for.
fn is_well_formed(name: &str, value: &str) -> bool {
    let plain_number = || value.len() <= 9 && value.bytes().all(|b| b.is_ascii_digit());
    value.len() <= LONGEST_VALUE && (name != "max_age" || (!value.is_empty() && plain_number()))
}

fn new_attempt(
    call: &Call<'_>,
    flow: &LoginFlow,
    wish: &Wish<'_>,
    opened: &Opened,
) -> LoginAttempt {
    LoginAttempt {
        registration: wish.provider.registration,
        state: flow.random.token::<32>(),
        nonce: flow.random.token::<32>(),
        verifier: Secret::new(flow.random.token::<32>()),
        return_to: wish.return_to.clone(),
        started: call.now,
        max_age: wish.extra("max_age").and_then(|value| value.parse().ok()),
        acr_values: wish.extra("acr_values").map(ToOwned::to_owned),
        scope: Some(wish.provider.provider.asked_scopes(&wish.extra)),
        silent: wish.extra("prompt") == Some("none"),
        replaces: match opened {
            Opened::Open(old) => Some(flow.replacing(&old.record)),
            _ => None,
        },
    }
}

async fn authorization_url(
    flow: &LoginFlow,
    attempt: &LoginAttempt,
    wish: Wish<'_>,
) -> Result<String, Problem> {
    let request = AuthorizationRequest {
        state: attempt.state.clone(),
        nonce: attempt.nonce.clone(),
        code_challenge: code_challenge(&attempt.verifier),
        extra: wish.extra,
    };
    let provider = Arc::clone(&wish.provider.provider);
    let url = flow.control.spawn(async move { provider.authorization_url(&request).await }).await;
    match url {
        Ok(Ok(url)) => Ok(url),
        Ok(Err(error)) => {
            tracing::warn!(
                code = error.code(),
                "no authorization request: the provider is not usable"
            );
            Err(Problem::new(Code::ProviderUnavailable).with_retry_after(5))
        }
        Err(_) => Err(Problem::new(Code::Internal)),
    }
}

/// The page for a visitor whom another site sent here: a click is the intent that the request did not show.
fn continue_page(call: &Call<'_>) -> HttpResponse {
    pages::continue_page(call.request.path(), call.request.query_string(), call.request_id)
}
