//! Lets one task do a piece of work that many requests want, and gives each of them its result.
//! The work runs on the control plane, so it finishes although every request that wanted it has gone away; its result is
//! kept for late comers. A key must identify one user's work: sharing between users would hand out tokens.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::clock::{Clock, Timestamp};

/// More flights than this at once are refused: every map has a bound.
const MOST: usize = 100_000;
/// Results hold tokens: what is not needed any more is swept whenever the map has doubled since the last sweep.
const FIRST_SWEEP: usize = 1024;

/// Identifies a flight: a digest over everything that makes the work this user's own.
type Key = [u8; 32];

/// Work in flight and recent results, by key; clones share them.
#[derive(Clone)]
pub struct Flights<T> {
    entries: Arc<Mutex<Entries<T>>>,
    control: Handle,
    clock: Clock,
    keep: Duration,
}

struct Entries<T> {
    by_key: HashMap<Key, Entry<T>>,
    sweep_at: usize,
}

struct Entry<T> {
    result: watch::Receiver<Option<T>>,
    forget_at: Timestamp,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// `control` runs the work; results are kept for `keep` after the work was begun.
    pub fn new(control: Handle, clock: Clock, keep: Duration) -> Self {
        let entries = Entries { by_key: HashMap::new(), sweep_at: FIRST_SWEEP };
        Self { entries: Arc::new(Mutex::new(entries)), control, clock, keep }
    }

    /// The same flights; results of new ones are kept for `keep`.
    pub fn keeping(&self, keep: Duration) -> Self {
        Self { keep, ..self.clone() }
    }

    /// Joins the flight of `key`, starting `work` when there is none.
    ///
    /// Returns a receiver that holds `Some(result)` once the work is done; `None` at all when too much is in flight.
    pub fn join<F>(&self, key: Key, work: impl FnOnce() -> F) -> Option<watch::Receiver<Option<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.join_if(key, |_| true, work)
    }

    /// The same, but a kept result that `serves` refuses is replaced by new work. Work that still runs is always
    /// joined, whatever will come of it.
    pub fn join_if<F>(
        &self,
        key: Key,
        serves: impl Fn(&T) -> bool,
        work: impl FnOnce() -> F,
    ) -> Option<watch::Receiver<Option<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.join_after(key, serves, |_| work())
    }

    /// The same; the work gets the result that it replaces, if one was kept: nothing can come in between.
    pub fn join_after<F>(
        &self,
        key: Key,
        serves: impl Fn(&T) -> bool,
        work: impl FnOnce(Option<T>) -> F,
    ) -> Option<watch::Receiver<Option<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let now = self.clock.now();
        let mut entries = self.lock();
        let known = entries.by_key.get(&key).filter(|entry| entry.is_useful(now, serves));
        if let Some(entry) = known {
            return Some(entry.result.clone());
        }
        if !entries.has_room(now) {
            return None;
        }
        let before = entries.by_key.get(&key).filter(|entry| entry.forget_at > now);
        let before = before.and_then(|entry| entry.result.borrow().clone());
        let (done, result) = watch::channel(None);
        let forget_at = now.plus(self.keep);
        entries.by_key.insert(key, Entry { result: result.clone(), forget_at });
        let work = work(before);
        self.control.spawn(async move {
            let outcome = work.await;
            done.send_replace(Some(outcome));
        });
        Some(result)
    }

    /// Whether the work of `key` runs, or its result is still kept.
    pub fn knows(&self, key: &Key) -> bool {
        let now = self.clock.now();
        self.lock().by_key.get(key).is_some_and(|entry| entry.is_useful(now, |_| true))
    }

    /// The kept result of `key`; `None` while its work still runs.
    pub fn peek(&self, key: &Key) -> Option<T> {
        let now = self.clock.now();
        let entries = self.lock();
        let entry = entries.by_key.get(key).filter(|entry| entry.forget_at > now)?;
        entry.result.borrow().clone()
    }

    /// Every result that is kept.
    pub fn kept(&self) -> Vec<T> {
        let now = self.clock.now();
        let entries = self.lock();
        let alive = entries.by_key.values().filter(|entry| entry.forget_at > now);
        alive.filter_map(|entry| entry.result.borrow().clone()).collect()
    }

    /// Keeps the result of `key`, if `applies` to it, for `rest` at most.
    pub fn shorten(&self, key: &Key, applies: impl Fn(&T) -> bool, rest: Duration) {
        let until = self.clock.now().plus(rest);
        if let Some(entry) = self.lock().by_key.get_mut(key)
            && entry.result.borrow().as_ref().is_some_and(applies)
        {
            entry.forget_at = entry.forget_at.min(until);
        }
    }

    /// Forgets `key` and gives what it had: a result, or work that still runs. Whoever comes for it within `rest` gets `result`.
    pub fn put(&self, key: Key, result: T, rest: Duration) -> Option<watch::Receiver<Option<T>>> {
        let forget_at = self.clock.now().plus(rest);
        let (_, result) = watch::channel(Some(result));
        let mut entries = self.lock();
        let before = entries.by_key.remove(&key);
        if entries.has_room(self.clock.now()) {
            entries.by_key.insert(key, Entry { result, forget_at });
        }
        before.map(|entry| entry.result)
    }

    /// Forgets every result that `is_meant`.
    pub fn forget(&self, is_meant: impl Fn(&T) -> bool) {
        let is_kept = |entry: &Entry<T>| !entry.result.borrow().as_ref().is_some_and(&is_meant);
        self.lock().by_key.retain(|_, entry| is_kept(entry));
    }

    fn lock(&self) -> MutexGuard<'_, Entries<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Entries<T> {
    /// Whether one more fits, after what is not needed any more was swept when it was time for that.
    fn has_room(&mut self, now: Timestamp) -> bool {
        if self.by_key.len() >= self.sweep_at {
            self.by_key.retain(|_, entry| entry.is_useful(now, |_| true));
            self.sweep_at = (self.by_key.len() * 2).clamp(FIRST_SWEEP, MOST);
        }
        self.by_key.len() < MOST
    }
}

impl<T> Entry<T> {
    /// Still running, or finished, not yet to be forgotten, and good for the purpose. A task that died without a
    /// result is neither.
    fn is_useful(&self, now: Timestamp, serves: impl Fn(&T) -> bool) -> bool {
        if let Some(result) = &*self.result.borrow() {
            return self.forget_at > now && serves(result);
        }
        self.result.has_changed().is_ok()
    }
}

/// Waits for a flight's result; `None` when its task died.
pub async fn landed<T: Clone>(mut result: watch::Receiver<Option<T>>) -> Option<T> {
    result.wait_for(Option::is_some).await.ok().and_then(|value| value.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn flights() -> (Flights<usize>, Clock) {
        let clock = Clock::manual(Timestamp(1_000));
        (Flights::new(Handle::current(), clock.clone(), Duration::from_secs(60)), clock)
    }

    // proves: RF-03
    #[tokio::test]
    async fn fifty_requests_share_one_piece_of_work() {
        let (flights, _) = flights();
        let runs = Arc::new(AtomicUsize::new(0));
        let mut results = Vec::new();
        for _ in 0..50 {
            let runs = Arc::clone(&runs);
            results.push(
                flights
                    .join([1; 32], || async move { runs.fetch_add(1, Ordering::SeqCst) })
                    .unwrap(),
            );
        }
        for result in results {
            assert_eq!(landed(result).await, Some(0));
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    // proves: RF-04
    #[tokio::test]
    async fn work_finishes_although_nobody_waits_and_late_comers_get_its_result() {
        let (flights, clock) = flights();
        drop(flights.join([1; 32], || async { 7 }));
        tokio::task::yield_now().await;
        let late = flights.join([1; 32], || async { 8 }).unwrap();
        assert_eq!(landed(late).await, Some(7));
        clock.advance(Duration::from_secs(61));
        let anew = flights.join([1; 32], || async { 9 }).unwrap();
        assert_eq!(landed(anew).await, Some(9));
    }

    #[tokio::test]
    async fn two_keys_never_share_and_a_result_that_does_not_serve_is_made_anew() {
        let (flights, clock) = flights();
        assert_eq!(landed(flights.join([1; 32], || async { 1 }).unwrap()).await, Some(1));
        assert_eq!(landed(flights.join([2; 32], || async { 2 }).unwrap()).await, Some(2));
        let anew =
            |serves: usize| flights.join_if([1; 32], move |kept| *kept == serves, || async { 3 });
        assert_eq!(landed(anew(1).unwrap()).await, Some(1));
        assert_eq!(landed(anew(9).unwrap()).await, Some(3));
        assert_eq!(flights.peek(&[1; 32]), Some(3));
        let rest = Duration::from_secs(9);
        assert_eq!(landed(flights.put([1; 32], 4, rest).unwrap()).await, Some(3));
        assert_eq!(landed(anew(4).unwrap()).await, Some(4), "for whoever comes late");
        clock.advance(rest);
        assert_eq!(flights.peek(&[1; 32]), None);
    }

    #[tokio::test]
    async fn work_that_runs_is_joined_even_by_those_whom_its_result_may_not_serve() {
        let (flights, _) = flights();
        let (go, gone) = tokio::sync::oneshot::channel();
        let first = flights.join([1; 32], || async { gone.await.unwrap_or(0) }).unwrap();
        let second = flights.join_if([1; 32], |_| false, || async { 8 }).unwrap();
        assert_eq!(flights.peek(&[1; 32]), None);
        go.send(7).unwrap();
        assert_eq!((landed(first).await, landed(second).await), (Some(7), Some(7)));
    }

    #[tokio::test]
    async fn results_are_swept_when_their_time_is_over_and_not_only_when_the_map_is_full() {
        let (flights, clock) = flights();
        let key = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            key
        };
        for n in 0..5_000 {
            if n % 100 == 0 {
                clock.advance(Duration::from_secs(10));
            }
            landed(flights.join(key(n), || async move { n }).unwrap()).await;
        }
        let kept = flights.lock().by_key.len();
        assert!(kept <= 2 * FIRST_SWEEP, "{kept} results of a minute that needs 600");
        flights.shorten(&key(4_999), |n| *n == 4_999, Duration::from_secs(5));
        flights.shorten(&key(4_998), |n| *n == 4_999, Duration::from_secs(5));
        clock.advance(Duration::from_secs(6));
        assert_eq!((flights.peek(&key(4_999)), flights.peek(&key(4_998))), (None, Some(4_998)));
    }

    #[tokio::test]
    async fn a_full_map_takes_no_more_work_until_some_of_it_is_forgotten() {
        let (flights, clock) = flights();
        let key = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            key
        };
        let begun = (0..MOST + 10).filter(|n| flights.join(key(*n), || async { 1 }).is_some());
        assert_eq!(begun.count(), MOST);
        landed(flights.join(key(0), || async { 2 }).unwrap()).await;
        // Others may still be on their way.
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(61));
        assert!(flights.join(key(MOST), || async { 3 }).is_some());
    }

    #[tokio::test]
    async fn results_that_are_put_are_bounded_and_swept_too() {
        let (flights, clock) = flights();
        let key = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            key
        };
        let put = |n: usize| drop(flights.put(key(n), n, Duration::from_secs(9)));
        (0..MOST + 10).for_each(put);
        assert_eq!(flights.lock().by_key.len(), MOST);
        clock.advance(Duration::from_secs(9));
        put(MOST);
        assert_eq!(flights.lock().by_key.len(), 1);
    }

    #[tokio::test]
    async fn a_task_that_died_is_not_waited_for() {
        let (flights, _) = flights();
        let dead = flights.join([1; 32], || async { std::future::pending().await }).unwrap();
        let died = flights.join([2; 32], || async { panic!("the work fails") }).unwrap();
        assert_eq!(landed(died).await, None);
        assert!(dead.borrow().is_none());
    }
}
