//! `GET /callback`: takes the authorization server's answer and makes it a session, or says why not.
//! One exchange per state, at the provider that was asked, whose answer came to where it belongs; never redirects to `/login`; never shows or logs text of the authorization server (CB-05).

use std::sync::Arc;

use actix_web::HttpResponse;
use sha2::{Digest as _, Sha256};

use super::authorization_response::Reply;
use super::call::Call;
use super::first_record::{Kept, record_of};
use super::keeping::KeepFailure;
use super::login_failure::{login_code, telling};
use super::login_flow::{LoginFlow, see_other};
use crate::audit::{self, Event};
use crate::edge::{AuthError, Code, Problem, set_cookies};
use crate::oidc::CodeExchange;
use crate::session::{
    LoginAttempt, LoginCookieError, LoginTrail, Opened, Replaced, SessionId, SessionRecord,
};
use crate::store::{Tokens, Whom};
use crate::telemetry::{LoginResult, Refused, SessionEnd};
use crate::tokens::{Ended, OneProvider, landed};

/// Answers by a redirect to where the user was going, or to the app's error page. `came_to` is the provider whose
/// callback this is, `parameters` what it says.
pub async fn answer(
    call: &Call<'_>,
    flow: &LoginFlow,
    came_to: Option<&Arc<OneProvider>>,
    parameters: Vec<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let Some(reply) = Reply::parse(parameters, came_to) else {
        return failed(call, flow, AuthError::LoginFailed, None);
    };
    let attempt = match flow.cookies.open_login(call.jar, &reply.state, &flow.config, call.now) {
        Ok(attempt) => attempt,
        // A used callback, reloaded or reached by "back": the user is logged in, so the app is the sensible place.
        Err(_) if is_logged_in(call, flow).await => {
            return Ok(see_other(&app_url(flow, &flow.home)));
        }
        Err(LoginCookieError::Missing) => {
            return failed(call, flow, AuthError::LoginCookieMissing, None);
        }
        Err(LoginCookieError::Expired) => return failed(call, flow, AuthError::LoginExpired, None),
        Err(LoginCookieError::Invalid) => {
            return failed(call, flow, AuthError::LoginStateMismatch, None);
        }
    };
    match session_of(call, flow, &attempt, reply).await {
        // A callback sent again after the logout, or overtaken by the authorization server's: no session of an ended one.
        Ok(record) if flow.deny.is_denied(&flow.providers.known_as(&record)) => {
            Ok(see_other(&app_url(flow, &flow.home)))
        }
        Ok(record) => logged_in(call, flow, &attempt, &record).await,
        Err(error) => failed(call, flow, error, Some(&attempt)),
    }
}

/// The session that `reply` leads to, or the code of what went wrong.
async fn session_of(
    call: &Call<'_>,
    flow: &LoginFlow,
    attempt: &LoginAttempt,
    reply: Reply,
) -> Result<Arc<SessionRecord>, AuthError> {
    let key: [u8; 32] = Sha256::digest(attempt.state.as_bytes()).into();
    mark_used(call, flow, attempt, &key).await?;
    // AR-09, AR-10: nothing of an answer that came to another provider's callback is said to anybody.
    let asked = flow.providers.of(attempt.registration);
    let asked = asked.filter(|asked| reply.came_to == Some(asked.registration));
    let asked = asked.ok_or(AuthError::ProviderMismatch)?;
    let work = || {
        let (asked, attempt) = (Arc::clone(asked), attempt.clone());
        let (random, clock) = (flow.random.clone(), flow.clock.clone());
        let kept = Kept { shown: flow.claims.clone(), ruled: flow.ruled.load() };
        let max_age = flow.session_max_age;
        async move {
            // The session begins before the exchange, so that a logout of the user meanwhile ends it too (LO-14).
            let began = clock.now();
            let provider = &asked.provider;
            let code = reply.code(provider).await?;
            let exchange = CodeExchange {
                code: &code,
                verifier: &attempt.verifier,
                nonce: &attempt.nonce,
                max_age: attempt.max_age,
                acr_values: attempt.acr_values.as_deref(),
            };
            let login = provider.exchange(exchange).await.map_err(login_code)?;
            let session_id = SessionId::new(random.bytes());
            let (iss, refresh_ends) = (login.claims.iss.clone(), login.tokens.refresh_ends);
            let whose = (session_id, attempt.registration);
            let mut record = record_of(login, whose, &kept, clock.now());
            // RFC 6749 §5.1: what is not said was granted as asked.
            record.scope = record.scope.or_else(|| attempt.scope.clone());
            record.created = began;
            record.expires = began.plus(max_age);
            record.remember_issuer(&iss, &asked.issuer);
            record.remember_nonce(&attempt.nonce);
            record.set_refresh_ends(refresh_ends);
            Ok(Arc::new(record))
        }
    };
    let Some(flight) = flow.exchanges.join(key, work) else {
        tracing::warn!(request_id = call.request_id, "too many logins at once");
        return Err(AuthError::ProviderUnavailable);
    };
    landed(flight).await.unwrap_or(Err(AuthError::LoginFailed))
}

/// One exchange per state, for as long as its login cookie could come back: longer than the result is kept, which holds
/// tokens (CB-06).
async fn mark_used(
    call: &Call<'_>,
    flow: &LoginFlow,
    attempt: &LoginAttempt,
    key: &[u8; 32],
) -> Result<(), AuthError> {
    let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *key;
    if flow.used.contains(&id, call.now) && !flow.exchanges.knows(key) {
        return Err(AuthError::LoginUsed);
    }
    let is_first = flow.used.note(id, attempt.started.plus(flow.config.max_age), call.now);
    if let Some(elsewhere) = flow.used_elsewhere.clone().filter(|_| is_first) {
        let life = flow.config.max_age;
        // The connection lives on the control plane.
        let claimed = flow.control.spawn(async move { elsewhere.claim(&id, life).await }).await;
        // A store that is away stops nobody: the authorization server takes no code twice.
        if matches!(claimed, Ok(Ok(false))) {
            return Err(AuthError::LoginUsed);
        }
    }
    Ok(())
}

async fn logged_in(
    call: &Call<'_>,
    flow: &LoginFlow,
    attempt: &LoginAttempt,
    record: &SessionRecord,
) -> Result<HttpResponse, Problem> {
    let mut lines = match flow.keeping.begin(record, call).await {
        Ok(lines) => lines,
        Err(failure) => {
            let error = match failure {
                KeepFailure::TooLarge => AuthError::SessionTooLarge,
                KeepFailure::Unavailable => AuthError::StoreUnavailable,
                KeepFailure::NoKey | KeepFailure::Ended => AuthError::LoginFailed,
            };
            return failed(call, flow, error, Some(attempt));
        }
    };
    // CB-14: a second login in this browser ends the first session here.
    end_replaced(call, flow, attempt, record).await;
    flow.metrics.session_bytes(lines.iter().map(|line| value_length(line)).sum());
    lines.push(flow.cookies.clear_login(&attempt.state));
    flow.metrics.login(LoginResult::Succeeded);
    let session = record.session_id.as_bytes();
    audit::record(
        &Event::LoginSucceeded {
            session,
            issuer: flow.providers.issuer_of(record),
            subject: &record.subject,
        },
        call.request_id,
    );
    flow.loops.works(call.browser());
    lines.push(trail(call, flow, &attempt.return_to));
    let mut response = see_other(&app_url(flow, &attempt.return_to));
    set_cookies(&mut response, lines);
    Ok(response)
}

/// What a `Set-Cookie` line adds to the browser's requests: name and value.
fn value_length(line: &str) -> usize {
    line.find(';').unwrap_or(line.len())
}

/// Ends the session that the browser had when the login began, and the one that it shows now. Seldom is there one now:
/// Strict cookies do not come with a navigation that the authorization server's page started.
async fn end_replaced(
    call: &Call<'_>,
    flow: &LoginFlow,
    attempt: &LoginAttempt,
    record: &SessionRecord,
) {
    let shown = match flow.keeping.open(call).await {
        Opened::Open(old) => Some(flow.replacing(&old.record)),
        _ => None,
    };
    let tokens = if flow.config.revoke_replaced { Tokens::Revoke } else { Tokens::Leave };
    let both = attempt.replaces.iter().chain(&shown);
    let both = both.filter(|old| old.id != record.session_id);
    for Replaced { id, registration, expires, token } in both {
        flow.deny.deny(Whom::Session(id.as_bytes()), *expires, tokens, call.now);
        flow.metrics.session_ended(SessionEnd::Replaced);
        if let Some(token) = token {
            let (session, registration) = (*id.as_bytes(), *registration);
            let ended = Ended { session, registration, until: *expires };
            flow.revocations.queue_token(ended, token.clone(), call.request_id);
        }
    }
}

/// Remembers in the browser that a login worked just now: the next one shows whether it lasts.
fn trail(call: &Call<'_>, flow: &LoginFlow, return_to: &str) -> String {
    let window = flow.config.loop_window;
    let before = flow.cookies.open_trail(call.jar).filter(|trail| trail.at.plus(window) > call.now);
    let rounds = before.map_or(0, |trail| trail.rounds);
    flow.cookies.seal_trail(&LoginTrail::new(rounds, call.now, return_to), window)
}

/// Lands on the app's error page with the cause, or on a page of ours when the browser keeps failing.
fn failed(
    call: &Call<'_>,
    flow: &LoginFlow,
    error: AuthError,
    attempt: Option<&LoginAttempt>,
) -> Result<HttpResponse, Problem> {
    // A silent login that cannot be one is an answer, and no failure; but a page that asks for it again and again is stopped.
    let unanswered = attempt.filter(|one| one.silent && error == AuthError::InteractionNeeded);
    if let Some(attempt) = unanswered
        && !flow.loops.fails(call.browser(), call.now)
    {
        // Back where the user was: whoever asked there reads it there.
        return Ok(told(call, flow, (&attempt.return_to, error), Some(attempt), None));
    }
    flow.metrics.login(LoginResult::Failed);
    flow.metrics.login_failure(error.as_str());
    audit::record(&Event::LoginFailed { code: error.as_str() }, call.request_id);
    flow.refusals.remember(Refused {
        request_id: call.request_id.to_owned(),
        at: call.now.0,
        app: Some(flow.app_id.clone()),
        code: error.as_str().to_owned(),
        method: call.request.method().to_string(),
        path: call.request.path().to_owned(),
        seen: seen(call, flow, attempt),
    });
    if flow.loops.fails(call.browser(), call.now) {
        return Err(Problem::new(Code::LoginLoop).with_cause(error));
    }
    let return_to = attempt.map(|attempt| attempt.return_to.as_str());
    Ok(told(call, flow, (&flow.error_path, error), attempt, return_to))
}

/// To `path` of the app, which is told the cause, and where the user was going if it is another page. The attempt is over.
fn told(
    call: &Call<'_>,
    flow: &LoginFlow,
    (path, error): (&str, AuthError),
    attempt: Option<&LoginAttempt>,
    return_to: Option<&str>,
) -> HttpResponse {
    let mut told = vec![("auth_error", error.as_str()), ("request_id", call.request_id)];
    told.extend(return_to.map(|path| ("return_to", path)));
    let mut response = see_other(&app_url(flow, &telling(path, &told)));
    if let Some(attempt) = attempt {
        set_cookies(&mut response, vec![flow.cookies.clear_login(&attempt.state)]);
    }
    response
}

/// What of a failed callback bears on the failure.
fn seen(call: &Call<'_>, flow: &LoginFlow, attempt: Option<&LoginAttempt>) -> Vec<String> {
    let cookies = flow.cookies.describe(call.jar);
    let names: Vec<String> = call.query().into_iter().map(|(name, _)| name).collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    let known = ["code", "state", "iss", "error", "response"].into_iter().filter(|name| has(name));
    vec![
        format!("parameters: {}", known.collect::<Vec<_>>().join(" ")),
        format!("login cookies: {}; other cookies: {}", cookies.logins, cookies.others),
        match attempt {
            Some(attempt) => {
                format!("the login began {} s before", call.now.seconds_after(attempt.started))
            }
            None => "no login cookie of this state opens".to_owned(),
        },
    ]
}

async fn is_logged_in(call: &Call<'_>, flow: &LoginFlow) -> bool {
    matches!(flow.keeping.open(call).await, Opened::Open(_))
}

fn app_url(flow: &LoginFlow, path: &str) -> String {
    format!("{}{path}", flow.app_origin)
}
