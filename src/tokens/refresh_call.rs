//! One refresh at the authorization server, and what comes of it: the next generation of the session, or a token for one API beside
//! it, cut from the same grant (RFC 8707 §2.2). Only `invalid_grant`, or a refreshed ID token that fails its checks, ends a
//! session; that an API's token is refused changes nothing.

use std::sync::Arc;

use tokio::time::Instant;

use super::refresh::{RefreshFailure, Refreshed};
use crate::audit::{self, Event};
use crate::clock::Clock;
use crate::config::TokenTarget;
use crate::oidc::{
    ApiToken, IdTokenFault, OidcError, Provider, RefreshExpectation, RefreshRefusal, Rotated,
    TokenSet,
};
use crate::session::SessionRecord;
use crate::telemetry::{Metrics, RefreshResult};

/// What a refresh is for.
#[derive(Clone)]
pub(super) enum Purpose {
    /// The login's own next access token.
    Login,
    /// A token for this API, by a name that tells it from the others of the session.
    Api([u8; 32], Arc<TokenTarget>),
}

/// A token for an API, or why the server gives none.
pub(super) type ForApi = Result<ApiToken, OidcError>;

/// What came of it.
pub(super) struct Fetched {
    /// The generation that is the newest now: the one before, where nothing of it has changed.
    pub(super) next: Refreshed,
    /// With [`Purpose::Api`].
    pub(super) api: Option<ForApi>,
    /// Nothing but another refresh token came of it.
    pub(super) failed: Option<RefreshFailure>,
}

/// Asks once, with the refresh token of `from`.
pub(super) async fn fetch(
    provider: &Provider,
    from: Refreshed,
    purpose: &Purpose,
    (clock, metrics): (&Clock, &Metrics),
    request_id: &str,
) -> Result<Fetched, RefreshFailure> {
    let Some(token) = &from.refresh_token else { return Err(RefreshFailure::NoRefreshToken) };
    let session = *from.session_id.as_bytes();
    let failed = |code, ended| -> Result<Fetched, RefreshFailure> {
        metrics.refresh(if ended { RefreshResult::Ended } else { RefreshResult::Unavailable });
        let failed = Event::RefreshFailed { session: &session, code, session_ended: ended };
        audit::record(&failed, request_id);
        Err(if ended { RefreshFailure::Ended } else { RefreshFailure::Unavailable })
    };
    let target = match purpose {
        Purpose::Login => None,
        Purpose::Api(_, target) => Some(&**target),
    };
    // RF-08: what the server has said of the refresh token's end is not tried out. The login's access token may live on.
    if from.refresh_ends().is_some_and(|ends| ends <= clock.now()) {
        if target.is_some() && from.access_expires > clock.now() {
            return Err(RefreshFailure::NoRefreshToken);
        }
        return failed("refresh_token_ended", true);
    }
    let asked = Instant::now();
    let key = from.proof_key.as_ref();
    let answer = provider.refresh((token, key), target, &expectation(&from)).await;
    metrics.refresh_took(asked.elapsed().as_secs_f64());
    let tokens = match answer {
        Ok(tokens) => tokens,
        Err(RefreshRefusal { error, rotated }) => {
            let next = rotated.map(|rotated| with_refresh_token(&from, rotated));
            if target.is_some() && concerns_the_api_alone(error) {
                metrics.refresh(RefreshResult::ApiRefused);
                let next = next.unwrap_or(from);
                return Ok(Fetched { next, api: Some(Err(error)), failed: None });
            }
            let ended = ends_session(error);
            let failure = failed(error.code(), ended);
            return match next {
                // The one before may be used up by it.
                Some(next) if !ended => Ok(Fetched { next, api: None, failed: failure.err() }),
                _ => failure,
            };
        }
    };
    metrics.refresh(RefreshResult::Succeeded);
    let fetched = match target {
        None => Fetched { next: Arc::new(renewed(&from, tokens, clock)), api: None, failed: None },
        Some(_) => beside(&from, tokens),
    };
    if fetched.next.generation != from.generation {
        let generation = fetched.next.generation;
        audit::record(&Event::RefreshSucceeded { session: &session, generation }, request_id);
    }
    Ok(fetched)
}

fn expectation(record: &SessionRecord) -> RefreshExpectation {
    RefreshExpectation {
        sub: record.subject.clone(),
        nonce: record.nonce(),
        auth_time: record.auth_time,
    }
}

/// The generation after `from`, with the login's next access token.
fn renewed(from: &SessionRecord, tokens: TokenSet, clock: &Clock) -> SessionRecord {
    let mut record = from.clone();
    record.generation = record.generation.saturating_add(1);
    record.set_access_generation(record.generation);
    record.sealed_at = clock.now();
    record.access_token = tokens.access_token;
    record.access_expires = tokens.expires_at;
    record.set_bound_to(tokens.bound_to);
    record.set_authorization_details(tokens.authorization_details.as_ref());
    record.proof_key = tokens.proof_key;
    // RF-02: no new refresh token means that the old one goes on.
    if tokens.refresh_token.is_some() || tokens.refresh_ends.is_some() {
        record.set_refresh_ends(tokens.refresh_ends);
    }
    record.refresh_token = tokens.refresh_token.or(record.refresh_token);
    // RFC 6749 §6: no word on the scope means that it is as before.
    record.scope = tokens.scope.or(record.scope);
    record.id_token = tokens.id_token;
    record
}

/// The API's token, and the generation after `from` if the refresh token is another one now; its access token stays.
fn beside(from: &Refreshed, tokens: TokenSet) -> Fetched {
    let token = Some(tokens.access_token);
    let api = ApiToken { token, scope: tokens.scope, ends: Some(tokens.expires_at) };
    let refresh_ends = tokens.refresh_ends;
    let next = match tokens.refresh_token.or_else(|| from.refresh_token.clone()) {
        Some(refresh_token) => with_refresh_token(from, Rotated { refresh_token, refresh_ends }),
        None => Arc::clone(from),
    };
    Fetched { next, api: Some(Ok(api)), failed: None }
}

/// The generation after `from` with this refresh token and the same access token; `from` itself if that changes nothing.
fn with_refresh_token(from: &Refreshed, rotated: Rotated) -> Refreshed {
    let Rotated { refresh_token, refresh_ends } = rotated;
    if from.refresh_token.as_ref() == Some(&refresh_token) && refresh_ends.is_none() {
        return Arc::clone(from);
    }
    let mut record = SessionRecord::clone(from);
    let access_generation = record.access_generation();
    record.generation = record.generation.saturating_add(1);
    record.set_access_generation(access_generation);
    record.set_refresh_ends(refresh_ends);
    record.refresh_token = Some(refresh_token);
    Arc::new(record)
}

/// RF-05: only a verdict on the grant ends the session. RF-09: a refreshed ID token that fails its checks is one, but
/// for a key that is not published yet: that passes.
fn ends_session(error: OidcError) -> bool {
    let unknown_key = error == OidcError::IdToken(IdTokenFault::Key);
    error.is_invalid_grant() || (matches!(error, OidcError::IdToken(_)) && !unknown_key)
}

/// The server has answered, and not that the grant is gone: it does not give this token (`invalid_target`, `invalid_scope`), or
/// gives what cannot be used.
fn concerns_the_api_alone(error: OidcError) -> bool {
    !ends_session(error) && !error.is_unavailable()
}
