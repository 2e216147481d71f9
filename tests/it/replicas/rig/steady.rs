//! One process under a constant load for long: calls, refreshes, logins, logouts, event streams and reloads of its configuration. It
//! counts answers, and watches memory and descriptors. It decides what may grow and what may not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::clock::Clock;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use url::Url;

use super::replica::Replica;
use super::{Report, must_be_none};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, Rotation, set};
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, FETCH, LINK};

/// How much, for how long.
pub struct Plan {
    pub binary: PathBuf,
    pub time: Duration,
    pub users: usize,
    /// A second, by all users together; each fiftieth call of a user is a logout and a login.
    pub calls: u32,
    pub streams: usize,
    /// Between two changes of the configuration.
    pub reload: Duration,
    /// Between two looks at the process.
    pub look: Duration,
}

/// Seconds that an access token lives.
const TOKEN_LIFE: u64 = 10;
/// Calls of a user between two logins.
const STAY: usize = 50;

#[derive(Default)]
struct Counts {
    /// By what was asked and what was answered.
    answers: Mutex<BTreeMap<(&'static str, u16), usize>>,
    /// Microseconds of every call.
    took: Mutex<Vec<u32>>,
    events: AtomicUsize,
    streams_lost: AtomicUsize,
    reloads: AtomicUsize,
}

impl Counts {
    fn answered(&self, what: &'static str, status: u16) {
        *self.answers.lock().unwrap().entry((what, status)).or_default() += 1;
    }
}

/// What is seen of the process.
#[derive(Clone, Copy)]
struct Look {
    kib: u64,
    descriptors: usize,
}

/// Runs the load; `told` hears how it goes.
pub async fn run(plan: &Plan, told: impl Fn(String)) -> Report {
    let op = Arc::new(authorization_server().await);
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_address = api.local_addr().unwrap();
    tokio::spawn(serve(api));
    let file = std::env::temp_dir().join(format!("cloakroom-steady-{}.toml", std::process::id()));
    let issuer = op.issuer.clone();
    let mut replica = Replica::new(&plan.binary, file.clone(), |address, admin| {
        configuration((address, admin), &issuer, api_address)
    });
    replica.start().await;
    let app = format!("http://localhost:{}", replica.address.port());
    let (counts, until) = (Arc::new(Counts::default()), Instant::now() + plan.time);
    let mut all = JoinSet::new();
    let pause = Duration::from_secs(1) * u32::try_from(plan.users).unwrap() / plan.calls;
    for number in 0..plan.users {
        let (op, app, counts) = (Arc::clone(&op), app.clone(), Arc::clone(&counts));
        let first = pause * u32::try_from(number).unwrap() / u32::try_from(plan.users).unwrap();
        all.spawn(async move {
            sleep(first).await;
            user(&op, &app, &counts, pause, until).await;
        });
    }
    for _ in 0..plan.streams {
        let (op, app, counts) = (Arc::clone(&op), app.clone(), Arc::clone(&counts));
        all.spawn(async move { listener(&op, &app, &counts, until).await });
    }
    let (pid, reload) = (replica.pid(), plan.reload);
    let reloads = Arc::clone(&counts);
    all.spawn(async move { reload_again(&file, pid, reload, &reloads, until).await });
    let looks = watch(pid, plan.look, until, &counts, &told).await;
    while let Some(ended) = all.join_next().await {
        ended.expect("nothing of the load panics");
    }
    report(&counts, &looks, op.calls(Endpoint::Token))
}

fn configuration(
    (address, admin): (SocketAddr, SocketAddr),
    issuer: &str,
    api: SocketAddr,
) -> String {
    let port = address.port();
    format!(
        r#"
[server]
listen = "{address}"
public_url = "http://localhost:{port}"
[admin]
listen = "{admin}"
[provider]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
[login]
loop_limit = 100
[limits]
login = "off"
callback = "off"
[session]
keys = [{{ id = "one", env = "KEY_ONE" }}]
idle_timeout = "30m"
refresh_before = "2s"
[[routes]]
path = "/api"
upstream = "http://{api}"
"#
    )
}

async fn authorization_server() -> HostileOp {
    let op = HostileOp::start(Clock::system()).await;
    op.turn(|knobs| {
        CLIENT_ID.clone_into(&mut knobs.client_id);
        CLIENT_SECRET.clone_into(&mut knobs.client_secret);
        knobs.rotation = Rotation::Always;
        knobs.token_response = set("expires_in", Some(json!(TOKEN_LIFE)));
    });
    op
}

/// An API that keeps nothing: a small answer, or an event each second.
async fn serve(listener: TcpListener) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut socket = BufReader::new(socket);
            loop {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if !matches!(socket.read_line(&mut head).await, Ok(1..)) {
                        return;
                    }
                }
                let is_stream = head.starts_with("GET /api/events ");
                let answer: &[u8] = if is_stream {
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                } else {
                    b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine"
                };
                if socket.write_all(answer).await.is_err() {
                    return;
                }
                if is_stream {
                    while socket.write_all(b"data: tick\n\n").await.is_ok() {
                        sleep(Duration::from_secs(1)).await;
                    }
                    return;
                }
            }
        });
    }
}

async fn log_in(op: &HostileOp, app: &str, browser: &Browser, counts: &Counts) {
    let page = browser.send("GET", &format!("{app}/login"), &LINK, "").await;
    counts.answered("login", page.status.as_u16());
    let Some(authorize) = page.redirect() else { return };
    let answer = op.authorize(authorize.as_str());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    let page = browser.get_from_elsewhere(&format!("{app}/callback?{query}")).await;
    let is_in = page.redirect().is_some_and(|target| !target.as_str().contains("auth_error"));
    counts.answered("callback", if is_in { 303 } else { page.status.as_u16().max(400) });
}

async fn user(op: &HostileOp, app: &str, counts: &Counts, pause: Duration, until: Instant) {
    let browser = Browser::new();
    let mut turns = interval(pause);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let url = format!("{app}/api/orders");
    for call in 0.. {
        turns.tick().await;
        if Instant::now() >= until {
            return;
        }
        if call % STAY == 0 {
            if call > 0 {
                let page = browser.send("POST", &format!("{app}/logout"), &FETCH, "").await;
                counts.answered("logout", page.status.as_u16());
            }
            log_in(op, app, &browser, counts).await;
            continue;
        }
        let started = Instant::now();
        let page = browser.send("GET", &url, &FETCH, "").await;
        counts.answered("call", page.status.as_u16());
        let took = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
        counts.took.lock().unwrap().push(took);
    }
}

/// Listens to an event stream from the beginning to the end.
async fn listener(op: &HostileOp, app: &str, counts: &Counts, until: Instant) {
    let browser = Browser::new();
    log_in(op, app, &browser, counts).await;
    let url = Url::parse(app).unwrap();
    let host = app.trim_start_matches("http://");
    let mut socket = TcpStream::connect(host.replace("localhost", "127.0.0.1")).await.unwrap();
    let request = format!(
        "GET /api/events HTTP/1.1\r\nhost: {host}\r\nx-csrf: 1\r\nsec-fetch-site: same-origin\r\ncookie: {}\r\n\r\n",
        browser.cookie_line(&url)
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    while Instant::now() < until {
        let read = timeout(Duration::from_secs(10), socket.read(&mut buffer)).await;
        if !matches!(read, Ok(Ok(1..))) {
            counts.streams_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        counts.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// Changes the app and its routes back and forth.
async fn reload_again(file: &Path, pid: u32, pause: Duration, counts: &Counts, until: Instant) {
    let (pid, hangup) = (i32::try_from(pid).unwrap(), rustix::process::Signal::HUP);
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    while Instant::now() + pause < until {
        sleep(pause).await;
        let text = std::fs::read_to_string(file).unwrap();
        let [one, other] = ["idle_timeout = \"30m\"", "idle_timeout = \"20m\""];
        let changed =
            if text.contains(one) { text.replace(one, other) } else { text.replace(other, one) };
        std::fs::write(file, changed).unwrap();
        rustix::process::kill_process(pid, hangup).unwrap();
        counts.reloads.fetch_add(1, Ordering::Relaxed);
    }
}

async fn watch(
    pid: u32,
    pause: Duration,
    until: Instant,
    counts: &Counts,
    told: &impl Fn(String),
) -> Vec<Look> {
    let (mut looks, started) = (Vec::new(), Instant::now());
    while Instant::now() < until {
        sleep(pause).await;
        let look = look(pid);
        let answers = counts.answers.lock().unwrap().clone();
        let seconds = started.elapsed().as_secs();
        let Look { kib, descriptors } = look;
        told(format!("{seconds:>4} s: {kib} KiB, {descriptors} descriptors, {answers:?}"));
        looks.push(look);
    }
    looks
}

fn look(pid: u32) -> Look {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = resident.trim().trim_end_matches(" kB").parse().unwrap();
    Look { kib, descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() }
}

fn report(counts: &Counts, looks: &[Look], token_requests: usize) -> Report {
    let answers = counts.answers.lock().unwrap();
    let mut faults = Vec::new();
    let bad = |(what, status): &&(&str, u16)| {
        !matches!((*what, *status), ("login" | "callback", 303) | ("call" | "logout", 200))
    };
    for kind in answers.keys().filter(bad) {
        must_be_none(&mut faults, answers[kind], &format!("answers {} to a {}", kind.1, kind.0));
    }
    must_be_none(&mut faults, counts.streams_lost.load(Ordering::Relaxed), "streams lost");
    // The first quarter is for caches and pools to fill.
    let (first, last) = (looks[looks.len() / 4], looks[looks.len() - 1]);
    if last.kib > first.kib + first.kib / 4 + 8 * 1024 {
        faults.push(format!("memory grows: {} KiB, then {} KiB", first.kib, last.kib));
    }
    if last.descriptors > first.descriptors + first.descriptors / 4 + 16 {
        faults.push(format!("descriptors grow: {}, then {}", first.descriptors, last.descriptors));
    }
    let mut took = counts.took.lock().unwrap().clone();
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 1000).copied().unwrap_or(0);
    let text = format!(
        "answers: {answers:?}\n{token_requests} token requests, {} events, {} reloads\n\
         calls took {} µs (half), {} µs (99 %), {} µs (99.9 %)\n\
         memory {} KiB after the first quarter, {} KiB at the end; descriptors {} and {}\n",
        counts.events.load(Ordering::Relaxed),
        counts.reloads.load(Ordering::Relaxed),
        at(500),
        at(990),
        at(999),
        first.kib,
        last.kib,
        first.descriptors,
        last.descriptors
    );
    Report { text, faults }
}
