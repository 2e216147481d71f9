//! Tells whoever listens to a session that it has got a new access token. Knows the sessions that are listened to and no
//! others, so that news of a session without listeners costs one look. Bounds the listeners, of a session and in all.
//! Never holds a token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::watch;

use super::known_as::Key;
use super::redis::{Publisher, Redis};
use crate::clock::Timestamp;

/// Listeners of one session: one for each browser profile that shares its cookies is what there should be, and a browser
/// that reloads may still hold the one before.
const MOST_PER_SESSION: usize = 8;
/// Listeners in all.
const MOST: usize = 50_000;

/// The listeners of one app, by session.
#[derive(Debug, Default)]
pub struct SessionNews {
    listeners: Mutex<Listeners>,
    /// Who is listened to at another instance hears it there.
    elsewhere: Option<Publisher>,
}

#[derive(Debug, Default)]
struct Listeners {
    /// What each session's listeners watch: the end of its newest access token.
    by_session: HashMap<Key, watch::Sender<Timestamp>>,
    count: usize,
}

impl SessionNews {
    /// News of `app` that go to other instances, and come from there.
    pub fn shared(redis: &Redis, app: &str) -> Arc<Self> {
        Arc::new_cyclic(|news| Self {
            listeners: Mutex::default(),
            elsewhere: Some(redis.news(app, Weak::clone(news))),
        })
    }

    /// Listens to the session `id` from now on; `None` when it, or all of them together, has too many listeners.
    pub fn listen(self: &Arc<Self>, id: [u8; 16]) -> Option<Listener> {
        let id = Key::session(&id);
        let mut listeners = self.lock();
        let there = listeners.by_session.get(&id).map_or(0, watch::Sender::receiver_count);
        if there >= MOST_PER_SESSION || listeners.count >= MOST {
            return None;
        }
        listeners.count += 1;
        let told = listeners.by_session.entry(id);
        let told = told.or_insert_with(|| watch::Sender::new(Timestamp::default())).subscribe();
        Some(Listener { id, told: Some(told), news: Arc::clone(self) })
    }

    /// The session `id` has a new access token, which ends at `token_ends`.
    pub fn refreshed(&self, id: &[u8; 16], token_ends: Timestamp) {
        let key = Key::session(id);
        self.tell(&key, token_ends);
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.write(format!("{} {}", URL_SAFE_NO_PAD.encode(key.0), token_ends.0));
        }
    }

    /// What an instance, perhaps this one, has said: `KEY TOKEN_ENDS`.
    pub(super) fn heard(&self, line: &[u8]) {
        let parsed = || {
            let (key, ends) = str::from_utf8(line).ok()?.split_once(' ')?;
            let key = URL_SAFE_NO_PAD.decode(key).ok()?.try_into().ok()?;
            Some((Key(key), Timestamp(ends.parse().ok()?)))
        };
        if let Some((key, ends)) = parsed() {
            self.tell(&key, ends);
        }
    }

    /// Nobody is told the same twice.
    fn tell(&self, key: &Key, token_ends: Timestamp) {
        if let Some(told) = self.lock().by_session.get(key) {
            told.send_if_modified(|known| std::mem::replace(known, token_ends) != token_ends);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who listens to a session; the last one to go takes the session's entry along.
#[derive(Debug)]
pub struct Listener {
    id: Key,
    told: Option<watch::Receiver<Timestamp>>,
    news: Arc<SessionNews>,
}

impl Listener {
    /// Waits for the next access token; gives its end. Of several that came meanwhile only the newest is told.
    pub async fn refreshed(&mut self) -> Timestamp {
        if let Some(told) = &mut self.told
            && told.changed().await.is_ok()
        {
            return *told.borrow_and_update();
        }
        // The sender stays as long as there is a listener.
        std::future::pending().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self.news.lock();
        drop(self.told.take());
        listeners.count -= 1;
        if listeners.by_session.get(&self.id).is_some_and(|told| told.receiver_count() == 0) {
            listeners.by_session.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn id(n: usize) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_le_bytes());
        id
    }

    #[tokio::test]
    async fn listeners_hear_of_their_own_session_the_newest_and_nothing_from_before() {
        let news = Arc::new(SessionNews::default());
        news.refreshed(&id(1), Timestamp(5));
        let (mut one, mut two) = (news.listen(id(1)).unwrap(), news.listen(id(2)).unwrap());
        let mut late = news.listen(id(1)).unwrap();
        assert!(one.refreshed().now_or_never().is_none());
        news.refreshed(&id(1), Timestamp(10));
        news.refreshed(&id(1), Timestamp(20));
        assert_eq!(one.refreshed().await, Timestamp(20));
        assert_eq!(late.refreshed().await, Timestamp(20));
        assert!(one.refreshed().now_or_never().is_none(), "told once");
        assert!(two.refreshed().now_or_never().is_none(), "another session");
        drop((one, two, late));
        let left = news.lock();
        assert_eq!((left.by_session.len(), left.count), (0, 0));
    }

    #[test]
    fn there_are_bounds_for_one_session_and_for_all() {
        let news = Arc::new(SessionNews::default());
        let mut some: Vec<_> = (0..MOST_PER_SESSION).map(|_| news.listen(id(0)).unwrap()).collect();
        assert!(news.listen(id(0)).is_none());
        some.pop();
        some.push(news.listen(id(0)).unwrap());
        let more: Vec<_> = (1..=MOST).map_while(|n| news.listen(id(n))).collect();
        assert_eq!(some.len() + more.len(), MOST);
    }
}
