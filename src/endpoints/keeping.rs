//! Where an app's sessions are: in the browser's cookies, or in the store with a ticket in the browser. Everything that
//! opens, keeps or ends one asks here. A session that began in cookies moves to the store with its next sign of life; the
//! way back is a new login. Never decides whether a session has been ended.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::call::Call;
use crate::clock::Timestamp;
use crate::session::{
    Kept, OpenSession, Opened, SessionCookies, SessionError, SessionRecord, Ticket,
};
use crate::store::{Found, Link, Listing, RecordStore, StoreError};
use crate::tokens::Providers;

/// Bytes of a browser's name that are remembered.
const LONGEST_AGENT: usize = 200;

/// The place of one app's sessions.
pub struct Keeping {
    pub cookies: Arc<SessionCookies>,
    /// `None` keeps them in cookies.
    pub store: Option<RecordStore>,
    pub idle: Duration,
    pub providers: Arc<Providers>,
}

/// What is put into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    /// A session that is not there yet.
    New,
    /// Its next generation.
    Next,
    /// The same generation, with all that belongs to it sealed anew.
    Again,
}

/// Why a generation could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepFailure {
    /// It does not fit into cookies.
    TooLarge,
    /// Nothing can be sealed.
    NoKey,
    /// The session has ended meanwhile.
    Ended,
    /// The store cannot be reached.
    Unavailable,
}

impl From<SessionError> for KeepFailure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::OverBudget { .. } => Self::TooLarge,
            _ => Self::NoKey,
        }
    }
}

impl From<StoreError> for KeepFailure {
    fn from(_: StoreError) -> Self {
        Self::Unavailable
    }
}

impl Keeping {
    /// The session that the request shows.
    pub async fn open(&self, call: &Call<'_>) -> Opened {
        let Some(store) = &self.store else { return self.cookies.open(call.jar, call.now) };
        match self.cookies.open_ticket(call.jar) {
            Some(shown) => Box::pin(self.find(store, shown, call)).await,
            // From before the move.
            None => self.cookies.open(call.jar, call.now),
        }
    }

    /// The `Set-Cookie` lines of a new session.
    pub async fn begin(
        &self,
        record: &SessionRecord,
        call: &Call<'_>,
    ) -> Result<Vec<String>, KeepFailure> {
        match &self.store {
            None => Ok(self.cookies.seal(record, call.jar, call.now)?),
            Some(store) => {
                let ticket = Ticket::new(self.cookies.random());
                self.put(store, record, (ticket, Put::New), call).await
            }
        }
    }

    /// The `Set-Cookie` lines of the next generation of a session.
    pub async fn go_on(
        &self,
        record: &SessionRecord,
        call: &Call<'_>,
    ) -> Result<Vec<String>, KeepFailure> {
        let now = call.now;
        let Some(store) = &self.store else {
            return Ok(self.cookies.seal(record, call.jar, now)?);
        };
        match self.cookies.open_ticket(call.jar) {
            Some((ticket, is_current)) => {
                let lines = self.put(store, record, (ticket, Put::Next), call).await?;
                Ok(if is_current { Vec::new() } else { lines })
            }
            None => self.move_in(store, record, call).await,
        }
    }

    /// A sign of life, when one is due.
    pub async fn touch(&self, session: &OpenSession, call: &Call<'_>) -> Vec<String> {
        let Some(store) = &self.store else {
            return self.cookies.touch(session, call.now).into_iter().collect();
        };
        let Kept::InStore { ticket, .. } = &session.kept else {
            // In cookies it goes on if it cannot move. Boxed, like all that asks the store: every call's future would be
            // larger by it, and the server allocates and moves that future.
            let moved = Box::pin(self.move_in(store, &session.record, call)).await;
            return moved.unwrap_or_default();
        };
        let is_due = self.cookies.is_touch_due(session, call.now);
        if let Some(link) = call.link.filter(|_| is_due) {
            let life = self.life(&session.record, call.now);
            if Box::pin(store.touch(link, &ticket.digest(), life)).await.is_err() {
                tracing::debug!("a sign of life was lost; the next one counts");
            }
        }
        Vec::new()
    }

    /// Seals a session again under the key which seals now, as it is: a sign of life, too. The caller knows that there is no
    /// newer generation.
    pub async fn seal_again(
        &self,
        session: &OpenSession,
        call: &Call<'_>,
    ) -> Result<Vec<String>, KeepFailure> {
        let record = &session.record;
        let (store, ticket, hint) = match (&self.store, &session.kept) {
            (Some(store), Kept::InStore { ticket, hint }) => (store, *ticket, hint),
            (Some(store), Kept::InCookies) => return self.move_in(store, record, call).await,
            (None, _) => return Ok(self.cookies.seal(record, call.jar, call.now)?),
        };
        let id = &record.session_id;
        let hint = hint.as_ref().and_then(|hint| self.cookies.open_hint(hint, id));
        let record = SessionRecord { id_token: hint, ..record.clone() };
        self.put(store, &record, (ticket, Put::Again), call).await
    }

    /// Ends the session in the store, if it is there. The deny list holds where that fails.
    pub async fn end(&self, session: &OpenSession, link: Option<&Link>) {
        if let (Some(store), Some(link), Kept::InStore { ticket, .. }) =
            (&self.store, link, &session.kept)
            && store.end(link, &ticket.digest(), &self.user(&session.record)).await.is_err()
        {
            tracing::warn!("an ended session stays in Redis until its time is over");
        }
    }

    /// A digest of the user whose session `record` is.
    pub fn user(&self, record: &SessionRecord) -> [u8; 32] {
        let known = self.providers.known_as(record);
        let mut hash = Sha256::new();
        for part in [known.issuer, known.subject] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    async fn find(
        &self,
        store: &RecordStore,
        (ticket, is_current): (Ticket, bool),
        call: &Call<'_>,
    ) -> Opened {
        let name = ticket.digest();
        let found = match call.link {
            Some(link) => store.find(link, &name).await,
            None => Err(StoreError::Unreachable),
        };
        match found {
            Err(_) => Opened::Unavailable,
            Ok(None) => Opened::Expired,
            Ok(Some(Found { sealed, hint, left })) => {
                let Some(record) = self.cookies.open_stored(&sealed, &name) else {
                    // Under a key that is still unknown here, or no longer.
                    return Opened::Unknown;
                };
                if record.expires <= call.now {
                    return Opened::Expired;
                }
                let last_seen = call.now.plus(left).minus(self.idle);
                let kept = Kept::InStore { ticket, hint };
                let is_under_old_key = !is_current || !self.cookies.is_current(&sealed);
                Opened::Open(Box::new(OpenSession { record, last_seen, kept, is_under_old_key }))
            }
        }
    }

    /// Moves a session from cookies to the store.
    async fn move_in(
        &self,
        store: &RecordStore,
        record: &SessionRecord,
        call: &Call<'_>,
    ) -> Result<Vec<String>, KeepFailure> {
        let ticket = Ticket::of_moved(&record.session_id);
        let mut lines = self.put(store, record, (ticket, Put::New), call).await?;
        lines.extend(self.cookies.clear_record(call.jar));
        Ok(lines)
    }

    async fn put(
        &self,
        store: &RecordStore,
        record: &SessionRecord,
        (ticket, put): (Ticket, Put),
        call: &Call<'_>,
    ) -> Result<Vec<String>, KeepFailure> {
        let (name, link) = (ticket.digest(), call.link.ok_or(KeepFailure::Unavailable)?);
        let sealed = self.cookies.seal_stored(record, &ticket)?;
        let hint = self.cookies.seal_hint(record, call.now);
        let entry = match put {
            Put::New | Put::Again => Some(self.entry(record, &name, call)?),
            Put::Next => None,
        };
        let it = Listing {
            generation: record.generation,
            sealed: &sealed,
            hint: hint.as_deref(),
            life: self.life(record, call.now),
            user: &self.user(record),
            entry: entry.as_deref(),
            longest: Duration::from_secs(record.expires.seconds_after(call.now)),
        };
        if !store.keep(link, &name, put == Put::New, &it).await? {
            return Err(KeepFailure::Ended);
        }
        Ok(vec![self.cookies.seal_ticket(&ticket, record, call.now)?])
    }

    /// What the user's list says of a session.
    fn entry(
        &self,
        record: &SessionRecord,
        name: &[u8; 32],
        call: &Call<'_>,
    ) -> Result<String, SessionError> {
        let agent: String = call.browser().user_agent.chars().take(LONGEST_AGENT).collect();
        let text = serde_json::json!({ "created": record.created.0, "user_agent": agent });
        self.cookies.seal_listed(&text.to_string(), name, record.registration)
    }

    /// How long a session is kept without a sign of life.
    fn life(&self, record: &SessionRecord, now: Timestamp) -> Duration {
        self.idle.min(Duration::from_secs(record.expires.seconds_after(now)))
    }
}
