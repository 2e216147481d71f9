//! `POST /backchannel-logout`: the authorization server says that a session of its own, or a user, is logged out (OpenID
//! Connect Back-Channel Logout 1.0). Exactly 200 or 400 for a form (§2.8); nothing is revoked over there. Server to server,
//! so there is no CSRF guard: the signature is what counts, and it is the same for whoever brings the token.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::header;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::call::Call;
use super::form;
use crate::audit::{self, Event};
use crate::clock::{Clock, Timestamp};
use crate::edge::{Code, Problem};
use crate::oidc::LogoutToken;
use crate::secret::Secret;
use crate::store::{DenyList, Seen, Tokens, Whom};
use crate::telemetry::{BackchannelResult, Metrics};
use crate::tokens::OneProvider;

/// Largest body, bytes: a token, and parameters that are ignored.
const LARGEST: usize = 100 * 1024;
/// Ids of tokens that are remembered at once. They live some minutes; beyond that, a replay ends the same sessions again.
const MOST_IDS: usize = 100_000;

/// What a back-channel logout needs.
pub struct Backchannel {
    pub deny: Arc<DenyList>,
    /// Ids of tokens that were used.
    used: Seen,
    /// How long a session can still live that began up to now.
    longest: Duration,
    pub control: Handle,
    pub clock: Clock,
    pub metrics: Metrics,
}

impl Backchannel {
    /// `longest` is the longest life of a session, from the start of its login.
    pub fn new(
        deny: Arc<DenyList>,
        longest: Duration,
        control: Handle,
        (clock, metrics): (Clock, Metrics),
    ) -> Self {
        let used = Seen::with_room_for(MOST_IDS);
        Self { deny, used, longest, control, clock, metrics }
    }

    /// With the ids of tokens that `before` has taken.
    pub fn taking_over(self, before: &Self) -> Self {
        Self { used: before.used.clone(), ..self }
    }

    /// Ends whom the token means: its session over there, or every session of its user that began before. Already ended,
    /// never heard of: all the same. A session that is only being made is ended as well. `tokens` is what becomes of theirs.
    fn end(&self, token: &LogoutToken, tokens: Tokens, now: Timestamp) {
        let until = now.plus(self.longest);
        match (&token.sid, &token.sub) {
            (Some(sid), _) => {
                let whom = Whom::OpSession { issuer: &token.iss, sid };
                self.deny.deny(whom, until, tokens, now);
            }
            // A token that comes late must not end a login that came after it was made.
            (None, Some(sub)) => {
                let created_until = token.meant_until.min(now);
                let whom = Whom::User { issuer: &token.iss, subject: sub, created_until };
                self.deny.deny(whom, until, tokens, now);
            }
            (None, None) => {}
        }
    }
}

/// Takes the token, checks it on the control plane, and ends what it means. `from` is the provider whose endpoint this is: no other's
/// word counts here, not even on its own users (the keys, the issuer and the audience are those of `from`).
pub async fn answer(
    call: &Call<'_>,
    body: Payload,
    parts: &Backchannel,
    from: Option<&Arc<OneProvider>>,
) -> Result<HttpResponse, Problem> {
    let from = from.ok_or_else(|| refused(call, parts, "no_provider"))?;
    let token = read(call, body).await.ok_or_else(|| refused(call, parts, "form"))?;
    let provider = Arc::clone(&from.provider);
    let checked = parts.control.spawn(async move { provider.logout_token(token.expose()).await });
    let token = match checked.await {
        Ok(Ok(token)) => token,
        Ok(Err(error)) => return Err(refused(call, parts, error.logout_code())),
        Err(_) => return Err(refused(call, parts, "internal")),
    };
    let now = parts.clock.now();
    let is_new = parts.used.note(digest(&token), token.ends, now);
    if is_new {
        // With `offline_access` they are meant to go on (§2.7).
        let tokens = if from.is_offline { Tokens::Leave } else { Tokens::Revoke };
        parts.end(&token, tokens, now);
        let (sid, subject) = (token.sid.as_deref(), token.sub.as_deref());
        let ended = Event::BackchannelLogout { issuer: &token.iss, sid, subject };
        audit::record(&ended, call.request_id);
    }
    // Not 200 before every instance can know (LO-13): the authorization server may send the token again.
    if !parts.deny.is_published().await {
        return Err(refused(call, parts, "store_unavailable"));
    }
    let result = if is_new { BackchannelResult::Ended } else { BackchannelResult::Repeated };
    parts.metrics.backchannel_logout(result);
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

/// The one `logout_token` of a form; other parameters are ignored (§2.5).
async fn read(call: &Call<'_>, body: Payload) -> Option<Secret<String>> {
    let fields = form::read(call, body, LARGEST).await?;
    let mut tokens = fields.into_iter().filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    tokens.next().is_none().then_some(token)
}

fn refused(call: &Call<'_>, parts: &Backchannel, code: &str) -> Problem {
    parts.metrics.backchannel_logout(BackchannelResult::Refused);
    audit::record(&Event::LogoutTokenRefused { code }, call.request_id);
    Problem::new(Code::LogoutTokenRefused)
}

/// Two issuers may use one id.
fn digest(token: &LogoutToken) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in [&token.iss, &token.jti] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let [digest @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash.finalize().0;
    digest
}
