//! Remembers which sessions have ended, so that copies of their cookies are useless (ASVS 7.4.1), and tells whoever holds
//! a stream or a tunnel of such a session open. Others are not woken, and a request that is over in time costs nothing.
//! In memory, and in a file besides when there is one ([`super::journal`]). Never forgets an entry before its sessions
//! would have ended anyway.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub(super) use super::deny_entry::Entry;
use super::deny_entry::Tokens;
use super::deny_file::{DenyFile, DenyFileError};
use super::journal::{Journal, Report};
use super::known_as::{Key, KnownAs, SessionKeys};
use super::redis::{Contact, Publisher, Redis};
use super::whom::Whom;
use crate::clock::Timestamp;
use crate::config::Outage;

/// Sweep for dead entries when the map has doubled since the last sweep.
const FIRST_SWEEP: usize = 1024;

/// The ended sessions of one app.
#[derive(Debug, Default)]
pub struct DenyList {
    entries: Arc<Mutex<Entries>>,
    /// There is an entry at all: most of the time there is none, and nothing has to be looked up.
    any: AtomicBool,
    /// There is an entry that names more than one session of ours.
    any_wide: AtomicBool,
    journal: Option<Journal>,
    /// What other instances end, and what they are told.
    shared: Option<Shared>,
}

/// The way to other instances.
#[derive(Debug)]
struct Shared {
    publisher: Publisher,
    contact: Contact,
    /// Without contact nothing is known for certain, and nobody may be let in.
    closed_without: bool,
}

/// What is known of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    created_until: Timestamp,
    until: Timestamp,
    tokens: Option<Tokens>,
}

#[derive(Debug)]
pub(super) struct Entries {
    by_key: HashMap<Key, Known>,
    sweep_at: usize,
    /// The names of sessions with something open; never more than four for each open stream or tunnel. Each tells up to
    /// which time of creation its sessions have ended.
    watched: HashMap<Key, watch::Sender<Option<Timestamp>>>,
}

impl Default for Entries {
    fn default() -> Self {
        Self { by_key: HashMap::new(), sweep_at: FIRST_SWEEP, watched: HashMap::new() }
    }
}

impl DenyList {
    /// A list that survives a restart in the file at `path`. `report` is told when the file cannot be written, and when
    /// it can be again.
    ///
    /// # Errors
    /// The file cannot be read or written, holds something else, or is another process's.
    pub fn in_file(path: &Path, now: Timestamp, report: Report) -> Result<Self, DenyFileError> {
        let (file, known) = DenyFile::open(path, now)?;
        let mut entries = Entries::default();
        for entry in &known {
            entries.put(entry);
        }
        let entries = Arc::new(Mutex::new(entries));
        let journal = Journal::start(file, Arc::clone(&entries), report)?;
        Ok(Self {
            entries,
            any: AtomicBool::new(!known.is_empty()),
            // Digests do not tell what they name.
            any_wide: AtomicBool::new(!known.is_empty()),
            journal: Some(journal),
            shared: None,
        })
    }

    /// Shares the list of `app` with other instances through `redis`; `life` is how long an entry can matter.
    pub fn shared(mut self, redis: &Redis, app: &str, life: Duration) -> Arc<Self> {
        let publisher = redis.publisher(app, life);
        self.shared = Some(Shared {
            publisher: publisher.clone(),
            contact: redis.contact(),
            closed_without: redis.outage() == Outage::FailClosed,
        });
        let list = Arc::new(self);
        publisher.bind(Arc::downgrade(&list));
        list
    }

    /// Sessions may live for `life` from now on: what other instances are told is kept for as long, or for as long as before.
    pub fn keep_for(&self, life: Duration) {
        if let Some(shared) = &self.shared {
            shared.publisher.keep_for(life);
        }
    }

    /// Nothing is heard of what other instances end, and an operator wants nobody let in then.
    pub fn is_blind(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.closed_without && shared.contact.is_lost())
    }

    /// Nothing is heard of what other instances end.
    pub fn is_cut_off(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.contact.is_lost())
    }

    /// Whether every entry so far has reached the other instances' store, as far as there is one.
    pub async fn is_published(&self) -> bool {
        match &self.shared {
            Some(shared) => shared.publisher.is_written().await,
            None => true,
        }
    }

    /// Takes what other instances have ended.
    pub(super) fn learn(&self, heard: &[Entry], now: Timestamp) {
        let mut news: Vec<Entry> = Vec::new();
        {
            let mut entries = self.lock();
            entries.sweep(now);
            news.extend(heard.iter().filter(|e| e.until > now && entries.put(e)).copied());
        }
        if news.is_empty() {
            return;
        }
        // Digests do not tell what they name.
        self.any_wide.store(true, Ordering::Release);
        self.any.store(true, Ordering::Release);
        for entry in news {
            if let Some(journal) = &self.journal {
                journal.write(entry);
            }
        }
    }

    /// Every entry.
    pub(super) fn all(&self) -> Vec<Entry> {
        self.lock().all()
    }

    /// Ends the sessions of `whom`; `until` is when the last of them would have ended anyway: no cookie opens afterwards.
    /// `tokens` says what becomes of those in a cookie that shows up later.
    pub fn deny(&self, whom: Whom<'_>, until: Timestamp, tokens: Tokens, now: Timestamp) {
        if whom.is_wide() {
            self.any_wide.store(true, Ordering::Release);
        }
        let (key, created_until) = (whom.key(), whom.created_until());
        self.add(Entry { key, created_until, until, tokens }, now);
    }

    /// Whether the session has been ended, by whichever of its names, and then what becomes of its tokens.
    pub fn ended(&self, session: &KnownAs<'_>) -> Option<Tokens> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        if !self.any_wide.load(Ordering::Acquire) {
            let key = Key::session(session.id);
            return self.lock().by_key.get(&key).and_then(|known| known.tokens);
        }
        let keys = session.keys();
        self.lock().ended(&keys)
    }

    /// Whether the session has been ended, by whichever of its names.
    pub fn is_denied(&self, session: &KnownAs<'_>) -> bool {
        self.ended(session).is_some()
    }

    /// Waits until the session is ended; at once when it has been. Dropping the future leaves nothing behind.
    pub async fn denied(self: Arc<Self>, session: SessionKeys) {
        let mut watcher = {
            let mut entries = self.lock();
            if entries.ended(&session).is_some() {
                return;
            }
            let ended = session.all().map(|key| {
                let told = entries.watched.entry(key).or_insert_with(|| watch::Sender::new(None));
                (key, Some(told.subscribe()))
            });
            let ended = ended.collect();
            Watcher { ended, list: &self }
        };
        let told = watcher.ended.iter_mut().filter_map(|(_, ended)| ended.as_mut()).map(|ended| {
            // The sender goes away only with its last watcher.
            Box::pin(ended.wait_for(|until| until.is_some_and(|until| session.created <= until)))
        });
        let _one_is_enough = futures_util::future::select_all(told).await;
    }

    /// The file cannot be written at the moment: a restart would forget who logged out.
    pub fn is_degraded(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_broken)
    }

    /// A restart of this process does not forget who has logged out.
    pub fn survives_restart(&self) -> bool {
        self.shared.is_some() || self.journal.as_ref().is_some_and(|journal| !journal.is_broken())
    }

    /// Writes what is not written yet, and gives the file back; later entries are in memory only. For the way down.
    pub async fn close(&self) {
        if !self.is_published().await {
            tracing::error!("some ended sessions could not be told to other instances");
        }
        if let Some(journal) = &self.journal {
            journal.close().await;
        }
    }

    fn add(&self, entry: Entry, now: Timestamp) {
        let news = {
            let mut entries = self.lock();
            entries.sweep(now);
            entries.put(&entry)
        };
        self.any.store(true, Ordering::Release);
        if !news {
            return;
        }
        if let Some(journal) = &self.journal {
            journal.write(entry);
        }
        if let Some(shared) = &self.shared {
            shared.publisher.write(entry.to_line());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        lock(&self.entries)
    }
}

/// The entries, also after a panic elsewhere: they are whole at any time.
pub(super) fn lock(entries: &Mutex<Entries>) -> MutexGuard<'_, Entries> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entries {
    /// Everything, for the file.
    pub(super) fn all(&self) -> Vec<Entry> {
        let entry = |(key, known): (&Key, &Known)| Entry {
            key: *key,
            created_until: known.created_until,
            until: known.until,
            tokens: known.tokens.unwrap_or_default(),
        };
        self.by_key.iter().map(entry).collect()
    }

    /// Forgets entries whose sessions have run out.
    fn sweep(&mut self, now: Timestamp) {
        if self.by_key.len() >= self.sweep_at {
            self.by_key.retain(|_, known| known.until > now);
            self.sweep_at = (self.by_key.len() * 2).max(FIRST_SWEEP);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Adds `entry` and tells those who wait; whether it said anything new.
    pub(super) fn put(&mut self, entry: &Entry) -> bool {
        let known = self.by_key.entry(entry.key).or_default();
        let grown = Known {
            created_until: known.created_until.max(entry.created_until),
            until: known.until.max(entry.until),
            tokens: Some(known.tokens.map_or(entry.tokens, |tokens| tokens.or(entry.tokens))),
        };
        let news = grown != *known;
        *known = grown;
        if let Some(told) = self.watched.get(&entry.key) {
            told.send_replace(Some(grown.created_until));
        }
        news
    }

    fn ended(&self, session: &SessionKeys) -> Option<Tokens> {
        let known = session.all().filter_map(|key| self.by_key.get(&key));
        let ended = known.filter(|known| session.created <= known.created_until);
        ended.filter_map(|known| known.tokens).reduce(Tokens::or)
    }
}

/// One open thing of a session; the last one to go takes the entries of its names along.
struct Watcher<'a> {
    ended: Vec<(Key, Option<watch::Receiver<Option<Timestamp>>>)>,
    list: &'a DenyList,
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        let mut entries = self.list.lock();
        for (key, ended) in &mut self.ended {
            drop(ended.take());
            if entries.watched.get(key).is_some_and(|told| told.receiver_count() == 0) {
                entries.watched.remove(key);
            }
        }
    }
}

#[cfg(test)]
#[path = "deny_tests.rs"]
mod tests;
