//! The tokens of APIs that do not get the login's: which one a call goes out with, fetched once for all calls that wait for it
//! and kept for as long as it and the route allow. Kept by session and API: nobody gets another one's, and a token for one
//! API never goes to another.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::flight::{Flights, landed};
use super::providers::OneProvider;
use crate::clock::{Clock, Timestamp};
use crate::config::{TokenSource, TokenTarget};
use crate::oidc::{ApiToken, OidcError, Provider};
use crate::secret::Secret;
use crate::session::Registration;
use crate::telemetry::{ApiTokenResult, Metrics};

/// A token that ends sooner than this is not used any more: it must arrive alive.
const MARGIN: Duration = Duration::from_secs(10);
/// How long a refusal is believed, so that an API that nobody may call costs the authorization server little; and an outage.
const REFUSED_FOR: Duration = Duration::from_secs(30);
const OUTAGE_FOR: Duration = Duration::from_secs(2);

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The authorization server does not take the login's access token any more: the next one may serve.
    Subject,
    /// It gives none, or one that cannot be used.
    Refused(OidcError),
    /// It cannot be asked at the moment.
    Unavailable(OidcError),
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

/// Who calls, and with what.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub session: &'a [u8; 16],
    pub access_token: &'a Secret<String>,
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
        let (now, token) = (self.clock.now(), caller.map(|caller| caller.access_token));
        // A digest of a token costs more than all the rest of this.
        let serves = |kept: &Kept| kept.subject.as_deref() == token && now < kept.until;
        let bound_to = asked.provider.bound_to().unwrap_or_default();
        let key = key((asked.registration, bound_to), (source, target), caller);
        let flight = self.flights.join_if(key, serves, || {
            let (it, provider, target) =
                (self.clone(), Arc::clone(&asked.provider), target.clone());
            let subject = token.cloned().map(Arc::new);
            let session = caller.map(|caller| *caller.session);
            async move {
                let result = it.fetch(&provider, source, &target, subject.as_deref()).await;
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

    async fn fetch(
        &self,
        provider: &Provider,
        source: TokenSource,
        target: &TokenTarget,
        subject: Option<&Secret<String>>,
    ) -> Result<ApiToken, NoToken> {
        let fetched = match (source, subject) {
            (TokenSource::Client, _) => provider.client_token(target).await.map(Some),
            (TokenSource::Introspect, Some(token)) => provider.introspect(token).await,
            (TokenSource::Exchange, Some(token)) => {
                provider.exchange_for(token, target).await.map(Some)
            }
            // The other sources have no need of this.
            _ => Ok(None),
        };
        let result = match fetched {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(NoToken::Subject),
            Err(error) if error.is_invalid_grant() && subject.is_some() => Err(NoToken::Subject),
            Err(error) if error.is_unavailable() => Err(NoToken::Unavailable(error)),
            Err(error) => Err(NoToken::Refused(error)),
        };
        self.metrics.api_token(match &result {
            Ok(_) => ApiTokenResult::Ok,
            Err(NoToken::Subject) => ApiTokenResult::Inactive,
            Err(NoToken::Unavailable(_)) => ApiTokenResult::Unavailable,
            Err(NoToken::Refused(_)) => ApiTokenResult::Refused,
        });
        if let Err(NoToken::Refused(error) | NoToken::Unavailable(error)) = &result {
            tracing::warn!(code = error.code(), "no token for an API: {error}");
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

/// Everything that makes a token one caller's, of one authorization server, bound to one key, for one API.
fn key(
    (registration, bound_to): (Registration, &str),
    (source, target): (TokenSource, &TokenTarget),
    caller: Option<Caller<'_>>,
) -> [u8; 32] {
    let source: &[u8] = match source {
        TokenSource::Exchange => b"exchange",
        TokenSource::Introspect => b"introspect",
        TokenSource::Client => b"client",
        TokenSource::Login | TokenSource::None => b"",
    };
    let scopes = target.scopes.join(" ");
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (audience, resource) = (text(&target.audience), text(&target.resource));
    let session: &[u8] = caller.map_or(&[], |caller| caller.session);
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
        let secret = Secret::from("token");
        let caller = |session| Some(Caller { session, access_token: &secret });
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
            key((home, ""), (exchange, &one), caller(&[1; 16])),
            key((home, "thumbprint"), (exchange, &one), caller(&[1; 16])),
            key((partner, ""), (exchange, &one), caller(&[1; 16])),
            key((home, ""), (exchange, &one), caller(&[2; 16])),
            key((home, ""), (TokenSource::Client, &one), None),
            key((partner, ""), (TokenSource::Client, &one), None),
            key((home, ""), (TokenSource::Introspect, &one), caller(&[1; 16])),
            key((home, ""), (exchange, &target(None, Some("a"), &[])), caller(&[1; 16])),
            key((home, ""), (exchange, &target(None, None, &["a"])), caller(&[1; 16])),
            key((home, ""), (exchange, &target(Some("a"), None, &["b"])), caller(&[1; 16])),
        ];
        let distinct: std::collections::HashSet<[u8; 32]> = keys.into_iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
