//! The tokens of APIs that do not get the login's: which one a call goes out with, fetched once for all calls that wait for it
//! and kept for as long as it and the route allow. Kept by session and API: nobody gets another one's, and a token for one
//! API never goes to another.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::flight::{Flights, landed};
use super::providers::OneProvider;
use super::refresh::{RefreshFailure, Refresher};
use crate::clock::{Clock, Timestamp};
use crate::config::{TokenSource, TokenTarget};
use crate::oidc::{ApiToken, OidcError};
use crate::secret::Secret;
use crate::session::{Registration, SessionRecord};
use crate::telemetry::{ApiTokenResult, Metrics};

/// A token that ends sooner than this is not used any more: it must arrive alive.
const MARGIN: Duration = Duration::from_secs(10);
/// How long a refusal is believed, so that an API that nobody may call costs the authorization server little; and an outage.
const REFUSED_FOR: Duration = Duration::from_secs(30);
const OUTAGE_FOR: Duration = Duration::from_secs(2);

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The grant that it was to be cut from is gone: the session has ended.
    Ended,
    /// The session has no refresh token to cut it from the grant with.
    NoRefreshToken,
    /// The authorization server does not take the login's access token any more: the next one may serve.
    Subject,
    /// It gives none, or one that cannot be used.
    Refused(OidcError),
    /// It cannot be asked at the moment.
    Unavailable(OidcError),
}

impl NoToken {
    fn of(error: OidcError) -> Self {
        if error.is_unavailable() { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

impl From<RefreshFailure> for NoToken {
    fn from(failure: RefreshFailure) -> Self {
        match failure {
            RefreshFailure::Ended => Self::Ended,
            RefreshFailure::NoRefreshToken => Self::NoRefreshToken,
            RefreshFailure::Unavailable => Self::Unavailable(OidcError::TokenUnavailable),
        }
    }
}

/// One that was fetched, or why not.
#[derive(Clone)]
struct Kept {
    /// The access token that it was got with, if any.
    subject: Option<Arc<Secret<String>>>,
    /// From then on it is fetched anew.
    until: Timestamp,
    session: Option<[u8; 16]>,
    result: Result<Arc<ApiToken>, NoToken>,
}

/// Who calls, and what asks for the session's tokens.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub record: &'a SessionRecord,
    pub refresher: &'a Arc<Refresher>,
    pub request_id: &'a str,
}

/// The tokens of one app; clones share them.
#[derive(Clone)]
pub struct ApiTokens {
    flights: Flights<Kept>,
    clock: Clock,
    metrics: Metrics,
}

impl ApiTokens {
    /// `flights` run on the control plane and keep what they bring for at least an hour.
    pub fn new(control: tokio::runtime::Handle, clock: Clock, metrics: Metrics) -> Self {
        let flights = Flights::new(control, clock.clone(), Duration::from_secs(3_600));
        Self { flights, clock, metrics }
    }

    /// The token of the server `asked` for a call of `caller` to the API of `target`; `caller` is nobody where the token is ours.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn get(
        &self,
        asked: &OneProvider,
        (source, target): (TokenSource, &TokenTarget),
        caller: Option<Caller<'_>>,
    ) -> Result<Arc<ApiToken>, NoToken> {
        let (now, token) = (self.clock.now(), caller.map(|caller| &caller.record.access_token));
        // A digest of a token costs more than all the rest of this.
        let serves = |kept: &Kept| kept.subject.as_deref() == token && now < kept.until;
        let bound_to = match caller {
            Some(caller) => caller.record.bound_to(),
            None => asked.provider.bound_to(),
        };
        let session = caller.map(|caller| caller.record.session_id.as_bytes());
        let key =
            key((asked.registration, bound_to.unwrap_or_default()), (source, target), session);
        let flight = self.flights.join_if(key, serves, || {
            let (it, target) = (self.clone(), target.clone());
            let subject = token.cloned().map(Arc::new);
            let session = caller.map(|caller| *caller.record.session_id.as_bytes());
            let fetch = fetch(asked, (key, source), target.clone(), caller);
            async move {
                let result = it.counted(fetch.await);
                let until = it.until(&result, target.most_kept);
                Kept { subject, until, session, result: result.map(Arc::new) }
            }
        });
        let unavailable = || NoToken::Unavailable(OidcError::TokenUnavailable);
        let landed = landed(flight.ok_or_else(unavailable)?).await;
        landed.ok_or_else(unavailable)?.result
    }

    /// Forgets all that was fetched for a session: it has ended.
    pub fn forget(&self, session: &[u8; 16]) {
        self.flights.forget(|kept| kept.session.as_ref() == Some(session));
    }

    fn counted(&self, result: Result<ApiToken, NoToken>) -> Result<ApiToken, NoToken> {
        self.metrics.api_token(match &result {
            Ok(_) => ApiTokenResult::Ok,
            Err(NoToken::Subject | NoToken::Ended) => ApiTokenResult::Inactive,
            Err(NoToken::Unavailable(_)) => ApiTokenResult::Unavailable,
            Err(NoToken::Refused(_) | NoToken::NoRefreshToken) => ApiTokenResult::Refused,
        });
        match &result {
            Err(NoToken::Refused(error) | NoToken::Unavailable(error)) => {
                tracing::warn!(code = error.code(), "no token for an API: {error}");
            }
            Err(NoToken::NoRefreshToken) => {
                let code = "no_refresh_token";
                tracing::warn!(code, "no token for an API: the login came with no refresh token");
            }
            Ok(_) | Err(NoToken::Subject | NoToken::Ended) => {}
        }
        result
    }

    /// Until when a result serves: no longer than the route allows, and than the token lives.
    fn until(&self, result: &Result<ApiToken, NoToken>, most: Duration) -> Timestamp {
        let now = self.clock.now();
        match result {
            Ok(token) => {
                let most = now.plus(most);
                token.ends.map_or(most, |ends| most.min(ends.minus(MARGIN)))
            }
            Err(NoToken::Unavailable(_)) => now.plus(OUTAGE_FOR),
            Err(_) => now.plus(REFUSED_FOR),
        }
    }
}

/// What asks for the token, once it is waited for.
fn fetch(
    asked: &OneProvider,
    (key, source): ([u8; 32], TokenSource),
    target: TokenTarget,
    caller: Option<Caller<'_>>,
) -> impl Future<Output = Result<ApiToken, NoToken>> + Send + use<> {
    let provider = Arc::clone(&asked.provider);
    let subject = caller.map(|caller| caller.record.access_token.clone());
    let dpop = caller.and_then(|caller| provider.proofs(caller.record.proof_key.as_ref()));
    let grant = caller.filter(|_| source == TokenSource::Resource).map(|caller| {
        let Caller { record, refresher, request_id } = caller;
        (record.clone(), Arc::clone(refresher), request_id.to_owned())
    });
    async move {
        if let Some((record, refresher, request_id)) = grant {
            let token = refresher.api_token(&record, (key, target), &request_id).await;
            return token?.map_err(NoToken::of);
        }
        let fetched = match (source, &subject) {
            (TokenSource::Client, _) => provider.client_token(&target).await.map(Some),
            (TokenSource::Introspect, Some(token)) => {
                provider.introspect(token, dpop.as_ref()).await
            }
            (TokenSource::Exchange, Some(token)) => {
                provider.exchange_for(token, &target, dpop.as_ref()).await.map(Some)
            }
            // The other sources have no need of this.
            _ => Ok(None),
        };
        match fetched {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(NoToken::Subject),
            Err(error) if error.is_invalid_grant() && subject.is_some() => Err(NoToken::Subject),
            Err(error) => Err(NoToken::of(error)),
        }
    }
}

/// Everything that makes a token one caller's, of one authorization server, bound to one key, for one API.
fn key(
    (registration, bound_to): (Registration, &str),
    (source, target): (TokenSource, &TokenTarget),
    session: Option<&[u8; 16]>,
) -> [u8; 32] {
    let source: &[u8] = match source {
        TokenSource::Resource => b"resource",
        TokenSource::Exchange => b"exchange",
        TokenSource::Introspect => b"introspect",
        TokenSource::Client => b"client",
        TokenSource::Login | TokenSource::None => b"",
    };
    let scopes = target.scopes.join(" ");
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (audience, resource) = (text(&target.audience), text(&target.resource));
    let session: &[u8] = session.map_or(&[], |session| session);
    let of = registration.as_bytes();
    let target = [audience.as_bytes(), resource.as_bytes(), scopes.as_bytes()];
    let parts = [of, bound_to.as_bytes(), source].into_iter().chain(target).chain([session]);
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: PX-22
    #[test]
    fn whatever_makes_a_token_another_one_makes_another_key() {
        let (home, partner) =
            (Registration::of("https://a", "web"), Registration::of("https://b", "web"));
        let target =
            |audience: Option<&str>, resource: Option<&str>, scopes: &[&str]| TokenTarget {
                audience: audience.map(str::to_owned),
                resource: resource.map(str::to_owned),
                scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
                most_kept: MARGIN,
            };
        let (one, exchange) = (target(Some("a"), None, &[]), TokenSource::Exchange);
        let keys = [
            key((home, ""), (exchange, &one), Some(&[1; 16])),
            key((home, "thumbprint"), (exchange, &one), Some(&[1; 16])),
            key((partner, ""), (exchange, &one), Some(&[1; 16])),
            key((home, ""), (exchange, &one), Some(&[2; 16])),
            key((home, ""), (TokenSource::Client, &one), None),
            key((partner, ""), (TokenSource::Client, &one), None),
            key((home, ""), (TokenSource::Introspect, &one), Some(&[1; 16])),
            key((home, ""), (TokenSource::Resource, &one), Some(&[1; 16])),
            key((home, ""), (exchange, &target(None, Some("a"), &[])), Some(&[1; 16])),
            key((home, ""), (exchange, &target(None, None, &["a"])), Some(&[1; 16])),
            key((home, ""), (exchange, &target(Some("a"), None, &["b"])), Some(&[1; 16])),
        ];
        let distinct: std::collections::HashSet<[u8; 32]> = keys.into_iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
