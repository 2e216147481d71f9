//! `GET /sessions` and `DELETE /sessions`: a user's own sessions, where the store keeps them (ASVS 7.5.2). Lists no more than
//! the user may know, and ends nobody else's: a name that is not in the caller's own list is not there.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::call::Call;
use super::sessions::Sessions;
use crate::audit::{self, Event};
use crate::edge::{Code, Problem};
use crate::guard::Guard;
use crate::session::{Kept, OpenSession, SessionRecord};
use crate::store::{Found, Link, RecordStore, Tokens, Whom};
use crate::telemetry::SessionEnd;
use crate::tokens::Ended;

type Refused = (Problem, Vec<String>);

/// `{"sessions":[{"id","current","created","user_agent","idle_expires_in"}]}`, the newest first.
pub async fn list(
    call: &Call<'_>,
    guard: &Guard,
    sessions: &Sessions,
) -> Result<HttpResponse, Refused> {
    let own = Own::of(call, guard, sessions).await?;
    let mut listed: Vec<Value> = own.all().await?.iter().map(|one| own.view(one)).collect();
    listed.sort_by_key(|one| std::cmp::Reverse(one.get("created").and_then(Value::as_u64)));
    let body = json!({ "sessions": listed });
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(body))
}

/// Ends the session that `?id=` names, or all but the caller's own; `{"ended":n}`.
pub async fn end(
    call: &Call<'_>,
    guard: &Guard,
    sessions: &Sessions,
) -> Result<HttpResponse, Refused> {
    let own = Own::of(call, guard, sessions).await?;
    let wanted = wanted(call).map_err(|problem| (problem, Vec::new()))?;
    let is_meant = |one: &Listed| match &wanted {
        Some(id) => encoded(&one.name) == *id,
        None => one.name != own.name,
    };
    let meant: Vec<Listed> = own.all().await?.into_iter().filter(is_meant).collect();
    if meant.is_empty() && wanted.is_some() {
        return Err((Problem::new(Code::NotFound), Vec::new()));
    }
    let ended = meant.len();
    for one in meant {
        own.end(one).await?;
    }
    // Copies of their tickets are useless when this is answered; other instances close what they hold open within moments.
    let _told_later = sessions.deny.is_published().await;
    let body = json!({ "ended": ended });
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(body))
}

/// The one `id` of the query; no other parameter is known.
fn wanted(call: &Call<'_>) -> Result<Option<String>, Problem> {
    let mut query = call.query().into_iter();
    match (query.next(), query.next()) {
        (None, _) => Ok(None),
        (Some((name, id)), None) if name == "id" => Ok(Some(id)),
        _ => Err(Problem::new(Code::BadParameter)),
    }
}

/// The caller's session, and the way to the others of the same user.
struct Own<'a> {
    call: &'a Call<'a>,
    sessions: &'a Sessions,
    session: Box<OpenSession>,
    name: [u8; 32],
    store: &'a RecordStore,
    link: &'a Link,
    user: [u8; 32],
}

/// One session of the user.
struct Listed {
    name: [u8; 32],
    entry: Value,
    record: SessionRecord,
    idle_expires_in: u64,
}

impl<'a> Own<'a> {
    async fn of(
        call: &'a Call<'a>,
        guard: &Guard,
        sessions: &'a Sessions,
    ) -> Result<Self, Refused> {
        let plain = |code| (Problem::new(code), Vec::new());
        guard.header_route(&call.facts).map_err(|refusal| (refusal.into(), Vec::new()))?;
        // In cookies nobody but their browser knows them.
        let store = sessions.keeping.store.as_ref().ok_or_else(|| plain(Code::NotFound))?;
        let link = call.link.ok_or_else(|| plain(Code::StoreUnavailable))?;
        let opened = sessions.open(call).await;
        let session = opened.map_err(|why| sessions.not_logged_in(why, call.jar))?;
        let name = match &session.kept {
            Kept::InStore { ticket, .. } => ticket.digest(),
            // Not moved yet: it is in nobody's list, so it is not among the others either.
            Kept::InCookies => [0; 32],
        };
        let user = sessions.keeping.user(&session.record);
        Ok(Self { call, sessions, session, name, store, link, user })
    }

    async fn all(&self) -> Result<Vec<Listed>, Refused> {
        let listed = self.store.of_user(self.link, &self.user).await;
        let listed = listed.map_err(|_| unavailable())?;
        Ok(listed
            .into_iter()
            .filter_map(|(name, entry, found)| self.open(name, &entry, &found))
            .collect())
    }

    /// Whoever can write to the store could list another user's session here: then it does not open, or is not theirs.
    fn open(&self, name: [u8; 32], entry: &str, found: &Found) -> Option<Listed> {
        let cookies = &self.sessions.cookies;
        let record = cookies.open_stored(&found.sealed, &name)?;
        let entry = cookies.open_listed(entry, &name, record.registration)?;
        let entry = serde_json::from_str(&entry).ok()?;
        let is_theirs = self.sessions.keeping.user(&record) == self.user;
        let idle_expires_in = found.left.as_secs();
        is_theirs.then_some(Listed { name, entry, record, idle_expires_in })
    }

    fn view(&self, one: &Listed) -> Value {
        json!({
            "id": encoded(&one.name),
            "current": one.name == self.name,
            "created": one.entry.get("created"),
            "user_agent": one.entry.get("user_agent"),
            "idle_expires_in": one.idle_expires_in,
        })
    }

    async fn end(&self, one: Listed) -> Result<(), Refused> {
        let (id, expires) = (*one.record.session_id.as_bytes(), one.record.expires);
        self.store.end(self.link, &one.name, &self.user).await.map_err(|_| unavailable())?;
        self.sessions.deny.deny(Whom::Session(&id), expires, Tokens::Revoke, self.call.now);
        self.sessions.api_tokens.forget(&id);
        self.sessions.metrics.session_ended(SessionEnd::ByUser);
        let by = self.session.record.session_id.as_bytes();
        let ended = Event::EndedByUser { session: &id, by };
        audit::record(&ended, self.call.request_id);
        let revoked = Ended::of(&one.record);
        let last = self.sessions.refresher.last(one.record);
        self.sessions.revocations.queue(revoked, last, self.call.request_id);
        Ok(())
    }
}

fn unavailable() -> Refused {
    (Problem::new(Code::StoreUnavailable).with_retry_after(5), Vec::new())
}

fn encoded(name: &[u8; 32]) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(name)
}
