//! What all instances of an app tell each other: its ended sessions and its refreshes, a stream of each in Redis. Every
//! instance appends what it does and follows what the others do, so that a call looks into memory only. Knows whether it hears from Redis, and when the data there is
//! gone: then what this process knows is written again. Never ends a session by itself, never delays a request.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::deny::{DenyList, Entry};
use super::super::known_as::Key;
use super::super::news::SessionNews;
use super::follow::Follower;
use super::link::Link;
use crate::clock::Clock;
use crate::config::RedisConfig;
use crate::telemetry::Metrics;

/// How often it is looked whether contact is lost.
const WATCH: Duration = Duration::from_millis(200);
/// Entries written with one round trip.
const BATCH: usize = 1_000;
/// Between two tries to write, and to connect.
const AGAIN: Duration = Duration::from_millis(250);
/// News that wait in Redis for instances that are slow to read.
const MOST_NEWS: usize = 10_000;
/// Clocks differ.
const SLACK: Duration = Duration::from_secs(3600);

/// Whether this process hears of sessions that end elsewhere.
#[derive(Clone, Debug)]
pub struct Contact(Arc<AtomicBool>);

impl Contact {
    /// Contact is lost, or was never made.
    pub fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For tests, and for who has no store: never lost.
    pub fn steady() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }
}

/// One stream.
struct Stream {
    key: String,
    topic: Topic,
}

/// What a stream is about, and who wants to hear of it here.
enum Topic {
    /// An app's deny list: all of it counts, for `life`.
    Ended { life: Duration, list: Weak<DenyList> },
    /// New tokens: of interest to those who listen now.
    News(Weak<SessionNews>),
}

/// The part that tasks and publishers share.
pub(super) struct Shared {
    pub(super) config: Arc<RedisConfig>,
    pub(super) link: Link,
    pub(super) epoch: String,
    clock: Clock,
    metrics: Metrics,
    lost: Contact,
    heard: Mutex<Instant>,
    streams: Mutex<Vec<Stream>>,
    pending: Mutex<Pending>,
    wake: Notify,
    written: watch::Sender<u64>,
    losses: watch::Sender<u64>,
}

/// Lines on their way, with the number of their stream; `added` counts all there ever were.
#[derive(Default)]
struct Pending {
    queue: VecDeque<(usize, String)>,
    added: u64,
}

/// Follows and writes; dropping it ends its tasks.
pub(super) struct Feed {
    shared: Arc<Shared>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Feed {
    pub(super) fn new(
        config: Arc<RedisConfig>,
        epoch: String,
        link: Link,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        metrics.redis_lost(true);
        let shared = Shared {
            config,
            link,
            epoch,
            clock,
            metrics,
            lost: Contact(Arc::new(AtomicBool::new(true))),
            heard: Mutex::new(Instant::now()),
            streams: Mutex::default(),
            pending: Mutex::default(),
            wake: Notify::new(),
            written: watch::Sender::new(0),
            losses: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared), tasks: Mutex::default() }
    }

    /// Starts the tasks on the current runtime.
    pub(super) fn start(&self) {
        let mut tasks = lock(&self.tasks);
        tasks.push(tokio::spawn(Follower::new(Arc::clone(&self.shared)).run()));
        tasks.push(tokio::spawn(write(Arc::clone(&self.shared))));
        tasks.push(tokio::spawn(watch_contact(Arc::clone(&self.shared))));
    }

    pub(super) fn contact(&self) -> Contact {
        self.shared.lost.clone()
    }

    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        self.shared.losses.subscribe()
    }

    /// Adds the stream `key` of ended sessions.
    pub(super) fn ended(&self, key: String, life: Duration) -> Publisher {
        self.add(Stream { key, topic: Topic::Ended { life, list: Weak::new() } })
    }

    /// Adds the stream `key` of refreshes, which `news` hears.
    pub(super) fn news(&self, key: String, news: Weak<SessionNews>) -> Publisher {
        self.add(Stream { key, topic: Topic::News(news) })
    }

    fn add(&self, stream: Stream) -> Publisher {
        let mut streams = lock(&self.shared.streams);
        // An app that went and came back finds its stream again.
        let known = streams.iter().position(|known| known.key == stream.key);
        let at = known.unwrap_or(streams.len());
        match streams.get_mut(at) {
            Some(known) => *known = stream,
            None => streams.push(stream),
        }
        Publisher { shared: Arc::clone(&self.shared), stream: at }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
    }
}

/// The way to one stream.
#[derive(Clone)]
pub(in super::super) struct Publisher {
    shared: Arc<Shared>,
    stream: usize,
}

impl Publisher {
    /// Entries of others go to `list`.
    pub(in super::super) fn bind(&self, list: Weak<DenyList>) {
        if let Some(Stream { topic: Topic::Ended { list: known, .. }, .. }) =
            lock(&self.shared.streams).get_mut(self.stream)
        {
            *known = list;
        }
    }

    /// Entries can matter for `life`, if that is longer than was said before.
    pub(in super::super) fn keep_for(&self, life: Duration) {
        if let Some(Stream { topic: Topic::Ended { life: known, .. }, .. }) =
            lock(&self.shared.streams).get_mut(self.stream)
        {
            *known = life.max(*known);
        }
    }

    /// Queues a line; never waits.
    pub(in super::super) fn write(&self, line: String) {
        self.shared.queue([(self.stream, line)]);
    }

    /// Waits until everything queued so far is in Redis; whether it is, within the time of a command.
    pub(in super::super) async fn is_written(&self) -> bool {
        let all = lock(&self.shared.pending).added;
        let mut written = self.shared.written.subscribe();
        let done = written.wait_for(|written| *written >= all);
        matches!(tokio::time::timeout(self.shared.config.timeout, done).await, Ok(Ok(_)))
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher")
    }
}

impl Shared {
    fn queue(&self, lines: impl IntoIterator<Item = (usize, String)>) {
        let mut pending = lock(&self.pending);
        for line in lines {
            pending.queue.push_back(line);
            pending.added += 1;
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// The names of all streams.
    pub(super) fn keys(&self) -> Vec<String> {
        lock(&self.streams).iter().map(|stream| stream.key.clone()).collect()
    }

    /// Whether the stream number `at` counts from its beginning.
    pub(super) fn counts_whole(&self, at: usize) -> bool {
        matches!(lock(&self.streams).get(at), Some(Stream { topic: Topic::Ended { .. }, .. }))
    }

    /// Lines that came from the stream number `at`; gives the names of ended sessions in them. What is no line of ours is a
    /// later release's.
    pub(super) fn learn(&self, at: usize, lines: &[Vec<u8>]) -> Vec<Key> {
        let (list, news) = match lock(&self.streams).get(at).map(|stream| &stream.topic) {
            Some(Topic::Ended { list, .. }) => (list.upgrade(), None),
            Some(Topic::News(news)) => (None, news.upgrade()),
            None => (None, None),
        };
        if let Some(news) = news {
            for line in lines {
                news.heard(line);
            }
        }
        let entries: Vec<Entry> = match &list {
            Some(_) => lines.iter().filter_map(|line| Entry::from_line(line)).collect(),
            None => Vec::new(),
        };
        if let Some(list) = list {
            list.learn(&entries, self.clock.now());
        }
        entries.iter().map(|entry| entry.key).collect()
    }

    /// What this process knows and the stream number `at`, which held the `known`, has lost.
    pub(super) fn restore(&self, at: usize, known: &HashSet<Key>) {
        let list = match lock(&self.streams).get(at).map(|stream| &stream.topic) {
            Some(Topic::Ended { list, .. }) => list.upgrade(),
            _ => None,
        };
        let Some(list) = list else { return };
        let now = self.clock.now();
        let missing = list.all().into_iter().filter(|e| e.until > now && !known.contains(&e.key));
        self.queue(missing.map(|entry| (at, entry.to_line())));
    }

    /// Redis has just been heard of.
    pub(super) fn heard(&self) {
        *lock(&self.heard) = Instant::now();
        if self.lost.0.swap(false, Ordering::AcqRel) {
            self.metrics.redis_lost(false);
            tracing::info!("in contact with Redis");
        }
    }

    /// The data is gone.
    pub(super) fn lost_data(&self) {
        tracing::warn!("Redis has lost its data; writing again what this process knows");
        self.losses.send_modify(|count| *count += 1);
    }
}

/// Declares contact lost when nothing was heard for long.
async fn watch_contact(shared: Arc<Shared>) {
    loop {
        sleep(WATCH).await;
        let silent = lock(&shared.heard).elapsed();
        if silent > shared.config.stale_after && !shared.lost.0.swap(true, Ordering::AcqRel) {
            shared.metrics.redis_lost(true);
            let outage = shared.config.outage;
            tracing::error!(?outage, "no contact with Redis (redis.stale_after is over)");
        }
    }
}

/// Writes what is queued, and tries again until it is written.
async fn write(shared: Arc<Shared>) {
    loop {
        let batch: Vec<_> = lock(&shared.pending).queue.iter().take(BATCH).cloned().collect();
        if batch.is_empty() {
            shared.wake.notified().await;
            continue;
        }
        let asked = additions(&lock(&shared.streams), &batch, &shared.clock);
        match shared.link.ask::<()>(&asked).await {
            Ok(()) => {
                lock(&shared.pending).queue.drain(..batch.len());
                shared.written.send_modify(|written| *written += batch.len() as u64);
            }
            Err(error) => {
                tracing::debug!(%error, "what happened here could not be written to Redis; trying again");
                sleep(AGAIN).await;
            }
        }
    }
}

/// Appends lines, forgets those whose time is over, and lets a stream without news end.
fn additions(streams: &[Stream], batch: &[(usize, String)], clock: &Clock) -> redis::Pipeline {
    let mut asked = redis::pipe();
    let mut touched = HashSet::new();
    for (at, line) in batch {
        let Some(stream) = streams.get(*at) else { continue };
        touched.insert(*at);
        asked.cmd("XADD").arg(&stream.key);
        match &stream.topic {
            Topic::Ended { life, .. } => {
                let oldest = clock.now().minus(*life + SLACK).0.saturating_mul(1000);
                asked.arg("MINID").arg("~").arg(oldest);
            }
            Topic::News(_) => {
                asked.arg("MAXLEN").arg("~").arg(MOST_NEWS);
            }
        }
        asked.arg("*").arg("e").arg(line).ignore();
    }
    for stream in touched.iter().filter_map(|at| streams.get(*at)) {
        let life = match &stream.topic {
            Topic::Ended { life, .. } => *life + SLACK,
            Topic::News(_) => SLACK,
        };
        asked.cmd("EXPIRE").arg(&stream.key).arg(life.as_secs()).ignore();
    }
    asked
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
