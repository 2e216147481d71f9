//! Sessions kept on the server: one sealed record for each, under a digest of its ticket, with a life that is the session's
//! idle time; and for each user a list of them. Compare-and-set by generation: an older record never replaces a newer one,
//! and one that has ended is not revived. Looks into nothing.

use std::time::Duration;

use super::link::{Link, StoreError};
use super::refreshes::{milliseconds, script};
use super::scripts::KEEP;

/// A digest of a ticket: what its session is called in the store, and in its user's list.
type Name = [u8; 32];

/// The stored sessions of one app.
#[derive(Clone)]
pub struct RecordStore {
    sessions: String,
    users: String,
}

/// A record as it was found.
#[derive(Debug)]
pub struct Found {
    pub sealed: String,
    /// The sealed ID token.
    pub hint: Option<String>,
    /// How long it will be kept without a sign of life.
    pub left: Duration,
}

/// What is to be kept.
pub struct Listing<'a> {
    pub generation: u32,
    pub sealed: &'a str,
    /// The sealed ID token; `None` leaves the one before.
    pub hint: Option<&'a str>,
    /// Without a sign of life it ends after this.
    pub life: Duration,
    /// The digest of its user.
    pub user: &'a Name,
    /// What the user's list says of it, sealed; `None` leaves that.
    pub entry: Option<&'a str>,
    /// The session's absolute end: so long the list is kept at least.
    pub longest: Duration,
}

impl RecordStore {
    pub(super) fn new(sessions: String, users: String) -> Self {
        Self { sessions, users }
    }

    /// The session `name`; `None` when it has ended.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn find(&self, link: &Link, name: &Name) -> Result<Option<Found>, StoreError> {
        let key = self.session(name);
        let asked = redis::pipe().get(&key).pttl(&key).to_owned();
        let (value, left): (Option<String>, i64) = link.ask(&asked).await?;
        Ok(value.and_then(|value| found(&value, left)))
    }

    /// Keeps a new session, or the next generation of one that is there; whether it is there afterwards.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn keep(
        &self,
        link: &Link,
        name: &Name,
        is_new: bool,
        it: &Listing<'_>,
    ) -> Result<bool, StoreError> {
        let value = format!("{} {}", it.generation, it.sealed);
        let arguments = [
            if is_new { "new" } else { "known" },
            &value,
            it.hint.unwrap_or(""),
            &milliseconds(it.life),
            &encoded(name),
            it.entry.unwrap_or(""),
            &milliseconds(it.longest),
        ];
        let asked = script(KEEP, &[self.session(name), self.user(it.user)], &arguments);
        let (kept,): (i64,) = link.ask(&asked).await?;
        Ok(kept == 1)
    }

    /// A sign of life: the session is kept for `life` from now on.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn touch(&self, link: &Link, name: &Name, life: Duration) -> Result<(), StoreError> {
        let mut asked = redis::pipe();
        asked.cmd("PEXPIRE").arg(self.session(name)).arg(milliseconds(life)).ignore();
        link.ask(&asked).await
    }

    /// Ends the session `name` of `user`.
    ///
    /// # Errors
    /// The store cannot be reached: it has not ended.
    pub async fn end(&self, link: &Link, name: &Name, user: &Name) -> Result<(), StoreError> {
        let mut asked = redis::pipe();
        asked.del(self.session(name)).ignore().hdel(self.user(user), encoded(name)).ignore();
        link.ask(&asked).await
    }

    /// The sessions of `user`: their names and what the list says of them. Those that have ended by time are struck off.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn of_user(
        &self,
        link: &Link,
        user: &Name,
    ) -> Result<Vec<(Name, String, Found)>, StoreError> {
        let asked = redis::pipe().hgetall(self.user(user)).to_owned();
        let (entries,): (Vec<(String, String)>,) = link.ask(&asked).await?;
        let mut alive = Vec::with_capacity(entries.len());
        for (field, entry) in entries {
            let found = match decoded(&field) {
                Some(name) => self.find(link, &name).await?.map(|found| (name, entry, found)),
                None => None,
            };
            let Some(found) = found else {
                let gone = redis::pipe().hdel(self.user(user), &field).ignore().to_owned();
                link.ask::<()>(&gone).await?;
                continue;
            };
            alive.push(found);
        }
        Ok(alive)
    }

    fn session(&self, name: &Name) -> String {
        format!("{}:{}", self.sessions, encoded(name))
    }

    fn user(&self, user: &Name) -> String {
        format!("{}:{}", self.users, encoded(user))
    }
}

fn found(value: &str, left: i64) -> Option<Found> {
    let mut words = value.split(' ');
    let (_generation, sealed) = (words.next()?, words.next()?.to_owned());
    let hint = words.next().filter(|hint| !hint.is_empty()).map(ToOwned::to_owned);
    let left = Duration::from_millis(u64::try_from(left).ok()?);
    Some(Found { sealed, hint, left })
}

fn encoded(name: &Name) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(name)
}

fn decoded(text: &str) -> Option<Name> {
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?.try_into().ok()
}
