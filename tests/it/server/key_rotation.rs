//! Cookie keys that come and go while the process serves: nobody notices who was here meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::clock::Clock;

use super::deny_file::folder;
use super::served::Served;
use super::setup::{callback, hostile_op};
use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, Reply};
use crate::support::hostile_upstream::until;
use crate::support::redis::Redis;
use crate::support::stack::{FETCH, LINK};

/// Random, as keys must be.
const KEYS: [&str; 2] = [
    "b1c9a5e37f02d8446a9be1507c3d2f8899f4c06be57a1d3312e8fb60749ca5d1",
    "0d7ee3a91b4c52f86d27c8905aef13b4e6018b7d94f2ac35c75e1f20986bd34a",
];
/// A sign of life is due after a tenth of it.
const IDLE: &str = "idle_timeout = \"40s\"\nrefresh_before = \"5s\"\n";

/// A process whose keys are files, and what is done to them.
struct Rotated {
    served: Served,
    folder: PathBuf,
    reloads: usize,
}

fn entry(folder: &Path, number: usize) -> String {
    format!("{{ id = \"k{number}\", file = \"{}/k{number}\" }}", folder.display())
}

fn list(folder: &Path, numbers: &[usize]) -> String {
    let entries: Vec<String> = numbers.iter().map(|number| entry(folder, *number)).collect();
    format!("keys = [{}]", entries.join(", "))
}

impl Rotated {
    async fn start(op: &HostileOp, name: &str, session: &str, more: &str) -> Self {
        let folder = folder(name);
        for (number, key) in KEYS.iter().enumerate() {
            std::fs::write(folder.join(format!("k{number}")), key).unwrap();
        }
        // It is the upstream, too.
        op.answer_with(Endpoint::Other, Reply::new(200, "text/plain", "ok"));
        let session = format!("{}\n{IDLE}{session}", list(&folder, &[0]));
        let served = Served::start_with(op, "json", (&session, more)).await;
        Self { served, folder, reloads: 0 }
    }

    /// Writes another list of keys.
    fn write(&self, from: &[usize], to: &[usize]) {
        self.served.rewrite(&list(&self.folder, from), &list(&self.folder, to));
    }

    /// The same, and says so by a signal; returns when it has been taken.
    async fn change(&mut self, from: &[usize], to: &[usize]) {
        self.write(from, to);
        self.served.signal("HUP");
        self.reloads += 1;
        until(|| self.count("keys_changed") == self.reloads).await;
    }

    fn count(&self, event: &str) -> usize {
        self.served.log_so_far().matches(&format!("\"event\":\"{event}\"")).count()
    }

    async fn log_in(&mut self, op: &HostileOp) -> Browser {
        let browser = Browser::new();
        let page = self.served.send(&browser, "GET", "/login", &LINK).await;
        let target = callback(op, page.redirect().unwrap().as_str(), "/callback");
        self.served.send(&browser, "GET", &target, &[]).await;
        assert_eq!(self.call(&browser).await, 200);
        browser
    }

    async fn call(&mut self, browser: &Browser) -> u16 {
        self.served.send(browser, "GET", "/api/x", &FETCH).await.status.as_u16()
    }

    async fn metric(&self, line: &str) -> bool {
        Browser::new().get(&format!("{}/metrics", self.served.admin)).await.body.contains(line)
    }
}

/// Calls without a pause until it is told to stop; gives how many there were and how many were not answered 200.
struct Load {
    stop: Arc<AtomicBool>,
    bad: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<usize>,
}

impl Load {
    fn of(app: &str, browser: Browser) -> Self {
        let (stop, bad) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (url, stopped, failed) = (format!("{app}/api/x"), Arc::clone(&stop), Arc::clone(&bad));
        let task = tokio::spawn(async move {
            let mut calls = 0;
            while !stopped.load(Ordering::Relaxed) {
                let page = browser.send("GET", &url, &FETCH, "").await;
                failed.fetch_add(usize::from(page.status != 200), Ordering::Relaxed);
                calls += 1;
            }
            calls
        });
        Self { stop, bad, task }
    }

    async fn end(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        (self.task.await.unwrap(), self.bad.load(Ordering::Relaxed))
    }
}

/// Add, promote, retire; one browser calls all the time, one once after the promotion, one not at all.
async fn rotate(op: &HostileOp, mut it: Rotated) {
    let (busy, used, unused) = (it.log_in(op).await, it.log_in(op).await, it.log_in(op).await);
    let load = Load::of(&it.served.app, busy);
    it.change(&[0], &[0, 1]).await;
    it.change(&[0, 1], &[1, 0]).await;
    // Until a sign of life is due.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(it.call(&used).await, 200);
    it.change(&[1, 0], &[1]).await;
    assert_eq!(it.call(&used).await, 200, "sealed again before");
    let copy = unused.copy();
    let page = it.served.send(&unused, "GET", "/api/x", &FETCH).await;
    assert_eq!((page.status.as_u16(), &*problem_code(&page)), (401, "not_logged_in"));
    assert!(set_cookies(&page).is_empty(), "kept: the key may come back");
    let (calls, bad) = load.end().await;
    assert!(calls > 20, "{calls}");
    assert_eq!(bad, 0, "of {calls}");
    it.change(&[1], &[1, 0]).await;
    assert_eq!(it.call(&copy).await, 200);
    assert!(it.metric("cloakroom_reloads_total{result=\"Applied\"} 4").await);
    let after = it.log_in(op).await;
    assert_eq!(it.served.send(&after, "POST", "/logout", &FETCH).await.status, 200);
    let (log, _) = it.served.logs();
    for key in KEYS {
        assert!(!log.contains(key), "a key is in the log");
    }
}

// proves: KM-02, KM-03
#[tokio::test(flavor = "multi_thread")]
async fn keys_change_under_load_and_whoever_was_here_meanwhile_stays_signed_in() {
    let op = hostile_op(Clock::system()).await;
    let it = Rotated::start(&op, "rotated", "", "").await;
    rotate(&op, it).await;
}

// proves: KM-02, KM-05
#[tokio::test(flavor = "multi_thread")]
async fn the_same_for_sessions_on_the_server() {
    let (op, redis) = (hostile_op(Clock::system()).await, Redis::start());
    let more = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let it = Rotated::start(&op, "rotated-there", "store = \"redis\"", &more).await;
    until_ready(&it).await;
    rotate(&op, it).await;
}

async fn until_ready(it: &Rotated) {
    for _ in 0..1_000 {
        if it.metric("cloakroom_redis_lost 0").await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no contact with Redis");
}

// proves: KM-02
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_files_is_noticed_without_a_signal_and_a_broken_one_changes_nothing() {
    let op = hostile_op(Clock::system()).await;
    let mut it = Rotated::start(&op, "noticed", "", "").await;
    let browser = it.log_in(&op).await;
    // As a mounted secret that is only half there.
    std::fs::write(it.folder.join("k1"), &KEYS[1][..20]).unwrap();
    it.write(&[0], &[1, 0]);
    it.served.signal("HUP");
    until(|| it.count("reload_refused") == 1).await;
    assert!(it.served.log_so_far().contains("session.keys.0.file"), "says where");
    assert!(it.metric("cloakroom_reloads_total{result=\"Refused\"} 1").await);
    assert_eq!(it.call(&browser).await, 200);
    std::fs::write(it.folder.join("k1"), KEYS[1]).unwrap();
    until_patiently(|| it.count("keys_changed") == 1).await;
    it.log_in(&op).await;
    assert!(it.metric("cloakroom_cookie_key_seals_total{app=\"app\",key=\"k1\"}").await);
    assert_eq!(it.call(&browser).await, 200);
    // What else has changed waits, and the log says so.
    it.served.rewrite("level = \"trace\"", "level = \"debug\"");
    it.served.signal("HUP");
    until(|| it.served.log_so_far().contains("\"waiting\":\"log\"")).await;
    it.served.logs();
}

/// For what is looked at every ten seconds, twice.
async fn until_patiently(is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody has noticed");
}
