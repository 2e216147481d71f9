//! Apps that come, change and go while the process serves, and what of it only a restart takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::config::Sources;
use cloakroom::secret::Random;
use cloakroom::server::{self, reload};

use super::audit::log_in;
use super::deny_file::folder;
use super::served::{SESSION, Served};
use super::setup::hostile_op;
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply};
use crate::support::hostile_upstream::{HostileUpstream, ok, until};
use crate::support::redis::Redis;
use crate::support::stack::{
    CLIENT_ID, CLIENT_SECRET, FETCH, KEY_ONE, LINK, free_port, load_text, write_config,
};

const OTHER_SECRET: &str = "marked-other-client-secret-77b1";

/// How often the log speaks of `event`.
pub fn count(served: &Served, event: &str) -> usize {
    served.log_so_far().matches(&format!("\"event\":\"{event}\"")).count()
}

/// Changes the configuration, and waits until the log speaks of `event` once more.
pub async fn change(served: &Served, (from, to): (&str, &str), event: &str) {
    let before = count(served, event);
    served.rewrite(from, to);
    served.signal("HUP");
    until(|| count(served, event) == before + 1).await;
}

pub async fn session(served: &mut Served, browser: &Browser) -> bool {
    let page = served.send(browser, "GET", "/session", &FETCH).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.body.contains("\"authenticated\":true")
}

async fn started() -> (HostileOp, Served) {
    let op = hostile_op(Clock::system()).await;
    op.answer_with(Endpoint::Other, Reply::new(200, "text/plain", "ok"));
    let served = Served::start_with(&op, "json", (SESSION, "# end")).await;
    (op, served)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_changes_and_nobody_notices() {
    let (op, mut served) = started().await;
    let folder = folder("live-secret");
    let file = folder.join("secret");
    std::fs::write(&file, CLIENT_SECRET).unwrap();
    let by_file = format!("client_secret_file = \"{}\"", file.display());
    // The same secret from somewhere else is no change of the app.
    served.rewrite("client_secret_env = \"CLIENT_SECRET\"", &by_file);
    served.signal("HUP");
    until(|| served.log_so_far().contains("the configuration was read again")).await;
    assert_eq!(count(&served, "apps_changed"), 0);
    let before = Browser::new();
    log_in(&mut served, &op, &before).await;

    op.turn(|knobs| OTHER_SECRET.clone_into(&mut knobs.client_secret));
    std::fs::write(&file, OTHER_SECRET).unwrap();
    served.signal("HUP");
    until(|| count(&served, "apps_changed") == 1).await;
    assert!(session(&mut served, &before).await, "sessions stay");
    let after = Browser::new();
    log_in(&mut served, &op, &after).await;
    assert!(session(&mut served, &after).await, "and there are new ones");
    let (log, _) = served.logs();
    assert!(!log.contains(OTHER_SECRET) && !log.contains("wait for the next start"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_remembers_outlives_its_settings() {
    let (op, mut served) = started().await;
    let (ended, stays) = (Browser::new(), Browser::new());
    log_in(&mut served, &op, &ended).await;
    log_in(&mut served, &op, &stays).await;
    let copy = ended.copy();
    assert_eq!(served.send(&ended, "POST", "/logout", &FETCH).await.status, 200);
    // A login that begins before the change ends after it.
    let under_way = Browser::new();
    let page = served.send(&under_way, "GET", "/login", &LINK).await;
    let authorize = page.redirect().unwrap().to_string();

    let limits = "[limits]\nlogin = \"1/h\"\n# end";
    change(&served, ("# end", limits), "apps_changed").await;
    assert!(!session(&mut served, &copy).await, "ended is ended");
    assert!(session(&mut served, &stays).await);
    let back = super::setup::callback(&op, &authorize, "/callback");
    assert_eq!(served.send(&under_way, "GET", &back, &[]).await.status, 303);
    assert!(session(&mut served, &under_way).await);
    // The code was used, and is not asked for again.
    let used = op.requests(Endpoint::Token).len();
    let fresh = Browser::new();
    let _page = served.send(&fresh, "GET", &back, &[]).await;
    assert_eq!(op.requests(Endpoint::Token).len(), used);

    let statuses = async |served: &mut Served| {
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let headers = [&LINK[..], &[("x-forwarded-for", "192.0.2.1")]].concat();
            let page = served.send(&Browser::new(), "GET", "/login", &headers).await;
            statuses.push(page.status.as_u16());
        }
        statuses
    };
    assert_eq!(statuses(&mut served).await, [303, 429], "the new limit holds");
    change(&served, (limits, "# end"), "apps_changed").await;
    assert_eq!(statuses(&mut served).await, [303, 303]);
    served.logs();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_restart_is_named_and_the_rest_holds() {
    let (op, mut served) = started().await;
    let browser = Browser::new();
    log_in(&mut served, &op, &browser).await;
    let deny = folder("live-deny").join("ended");
    served.rewrite("[admin]", "workers = 1\nkeepalive_timeout = \"60s\"\n[admin]");
    let session_lines =
        format!("{SESSION}\nclaims = [\"sub\", \"name\"]\ndeny_file = \"{}\"", deny.display());
    change(&served, (SESSION, &session_lines), "apps_changed").await;
    until(|| served.log_so_far().contains("wait for the next start")).await;
    assert!(session(&mut served, &browser).await);
    let (log, _) = served.logs();
    let line = log.lines().find(|line| line.contains("wait for the next start")).unwrap();
    let waiting = "server.workers, server.keepalive_timeout, session.deny_file of app app";
    assert!(line.contains(waiting), "{line}");
    assert!(!deny.exists());
}

fn two_apps(op: &HostileOp, ports: (u16, u16), apps: &[(&str, &str)]) -> String {
    let (port, admin) = ports;
    let head = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    );
    let app = |(id, more): &(&str, &str)| {
        format!(
            "[[apps]]\npublic_url = \"http://{id}.localhost:{port}\"\napp = {{ id = \"{id}\" }}\n\
             provider = {{ issuer = \"{}\", client_id = \"{CLIENT_ID}\", client_secret_env = \"CLIENT_SECRET\" }}\n\
             session = {{ {} {more} }}\n# end {id}\n",
            op.issuer, SESSION
        )
    };
    head + &apps.iter().map(app).collect::<String>()
}

/// The status of `/session` at the app `id`.
async fn status(served: &Served, id: &str) -> u16 {
    let host = served.app.replace("http://localhost", &format!("{id}.localhost"));
    let headers = [&FETCH[..], &[("host", host.as_str())]].concat();
    let url = format!("{}/session", served.app);
    Browser::new().send("GET", &url, &headers, "").await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_come_and_go_and_the_others_do_not_notice() {
    let op = hostile_op(Clock::system()).await;
    let ports = (free_port(), free_port());
    let one = two_apps(&op, ports, &[("one", "")]);
    let served = Served::start_at(ports, write_config(&one)).await;
    assert_eq!((status(&served, "one").await, status(&served, "two").await), (200, 421));

    let (stop, bad) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let calls = {
        let (app, stop, bad) = (served.app.clone(), Arc::clone(&stop), Arc::clone(&bad));
        tokio::spawn(async move {
            let host = app.replace("http://localhost", "one.localhost");
            let headers = [&FETCH[..], &[("host", host.as_str())]].concat();
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                let page =
                    Browser::new().send("GET", &format!("{app}/session"), &headers, "").await;
                bad.fetch_add(usize::from(page.status != 200), Ordering::Relaxed);
                calls += 1;
            }
            calls
        })
    };
    let both = two_apps(&op, ports, &[("one", ""), ("two", "")]);
    change(&served, (&one, &both), "apps_changed").await;
    assert_eq!((status(&served, "one").await, status(&served, "two").await), (200, 200));
    let ready = Browser::new().get(&format!("{}/readyz", served.admin)).await.body;
    assert!(ready.contains("\"two\""), "{ready}");

    // One bad app among good ones changes nothing, whatever is bad about it.
    let bad_file = ", deny_file = \"/nowhere/at/all/ended\"";
    let three = two_apps(&op, ports, &[("two", ""), ("three", bad_file)]);
    change(&served, (&both, &three), "reload_refused").await;
    assert_eq!((status(&served, "one").await, status(&served, "three").await), (200, 421));

    let alone = two_apps(&op, ports, &[("one", ", idle_timeout = \"20m\"")]);
    change(&served, (&three, &alone), "apps_changed").await;
    assert_eq!((status(&served, "one").await, status(&served, "two").await), (200, 421));
    stop.store(true, Ordering::Relaxed);
    let (calls, bad) = (calls.await.unwrap(), bad.load(Ordering::Relaxed));
    assert!(calls > 5 && bad == 0, "{bad} of {calls}");
    let (log, _) = served.logs();
    assert!(
        log.contains("\"added\":\"two\"")
            && log.contains("\"changed\":\"one\",\"removed\":\"two\"")
    );
}

/// A folder as Kubernetes mounts a ConfigMap: `config.toml` → `..data/config.toml` → a folder of that time.
fn mounted(name: &str, text: &str) -> (PathBuf, PathBuf) {
    let root = folder(name);
    swap(&root, "..2026_11_27_1", text);
    std::os::unix::fs::symlink("..data/config.toml", root.join("config.toml")).unwrap();
    (root.join("config.toml"), root)
}

/// Puts another folder in place, in one step.
fn swap(root: &Path, version: &str, text: &str) {
    std::fs::create_dir(root.join(version)).unwrap();
    std::fs::write(root.join(version).join("config.toml"), text).unwrap();
    let _ = std::fs::remove_file(root.join("..data_tmp"));
    std::os::unix::fs::symlink(version, root.join("..data_tmp")).unwrap();
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_folder_that_is_exchanged_is_noticed_without_a_signal() {
    let op = hostile_op(Clock::system()).await;
    let api = HostileUpstream::answering(ok("there")).await;
    let ports = (free_port(), free_port());
    let text = two_apps(&op, ports, &[("one", "")]);
    let (file, root) = mounted("live-mounted", &text);
    let served = Served::start_at(ports, file).await;
    let route = format!(
        "[[apps.routes]]\npath = \"/open\"\nupstream = \"http://{}\"\ntoken = \"none\"\n",
        api.address
    );
    let next = two_apps(&op, ports, &[("one", ""), ("two", "")]) + &route;
    swap(&root, "..2026_11_27_2", &next);
    for _ in 0..400 {
        if count(&served, "apps_changed") == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(status(&served, "two").await, 200, "{}", served.log_so_far());
    served.logs();
}

/// A request to the app `two` of a process.
async fn at(served: &Served, public: u16, browser: &Browser, (method, path): (&str, &str)) -> Page {
    let host = format!("two.localhost:{public}");
    let kind = if path.starts_with("/login") { &LINK[..] } else { &FETCH[..] };
    let headers = [kind, &[("host", host.as_str())]].concat();
    browser.send(method, &format!("{}{path}", served.app), &headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_came_later_hears_of_logouts_at_other_instances() {
    let (op, redis) = (hostile_op(Clock::system()).await, Redis::start());
    let (first, second) = ((free_port(), free_port()), (free_port(), free_port()));
    let shared = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let one = two_apps(&op, first, &[("one", "")]) + &shared;
    let both = two_apps(&op, first, &[("one", ""), ("two", "")]) + &shared;
    // The other instance is the same but for where it listens.
    let elsewhere = |text: &str| {
        let there = format!("listen = \"127.0.0.1:{}\"", second.0);
        let text = text.replace(&format!("listen = \"127.0.0.1:{}\"", first.0), &there);
        text.replace(&format!("127.0.0.1:{}", first.1), &format!("127.0.0.1:{}", second.1))
    };
    let here = Served::start_at(first, write_config(&one)).await;
    let there = Served::start_at(second, write_config(&elsewhere(&one))).await;
    change(&here, (&one, &both), "apps_changed").await;
    change(&there, (&elsewhere(&one), &elsewhere(&both)), "apps_changed").await;

    let browser = Browser::new();
    let page = at(&here, first.0, &browser, ("GET", "/login")).await;
    let back = super::setup::callback(&op, page.redirect().unwrap().as_str(), "/callback");
    assert_eq!(at(&here, first.0, &browser, ("GET", &back)).await.status, 303);
    let copy = browser.copy();
    let is_in = async |browser: &Browser| {
        let page = at(&there, first.0, browser, ("GET", "/session")).await;
        page.body.contains("\"authenticated\":true")
    };
    assert!(is_in(&copy).await);
    assert_eq!(at(&here, first.0, &browser, ("POST", "/logout")).await.status, 200);
    let mut tries = 0..100;
    while is_in(&copy).await && tries.next().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(!is_in(&copy).await, "{}", there.log_so_far());
    here.logs();
    there.logs();
}

// proves: LO-16
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_may_live_longer_are_remembered_for_longer_when_they_end() {
    let (op, redis) = (hostile_op(Clock::system()).await, Redis::start());
    let ports = (free_port(), free_port());
    let shared = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let short = two_apps(&op, ports, &[("two", "")]) + &shared;
    let long = two_apps(&op, ports, &[("two", ", max_age = \"40d\"")]) + &shared;
    let served = Served::start_at(ports, write_config(&short)).await;
    change(&served, (&short, &long), "apps_changed").await;
    let browser = Browser::new();
    let page = at(&served, ports.0, &browser, ("GET", "/login")).await;
    let back = super::setup::callback(&op, page.redirect().unwrap().as_str(), "/callback");
    assert_eq!(at(&served, ports.0, &browser, ("GET", &back)).await.status, 303);
    assert_eq!(at(&served, ports.0, &browser, ("POST", "/logout")).await.status, 200);
    let left = || redis.ask(&["TTL", "{cloakroom}:two:deny"]).unwrap().trim().parse::<i64>();
    until(|| left().is_ok_and(|left| left > 40 * 86_400)).await;
    served.logs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_apps_are_each_found_and_one_of_them_changes_alone() {
    let op = hostile_op(Clock::system()).await;
    let ports = (free_port(), free_port());
    let ids: Vec<String> = (0..1000).map(|number| format!("a{number}")).collect();
    let apps: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
    let text = two_apps(&op, ports, &apps);
    let served = Served::start_at(ports, write_config(&text)).await;
    for (id, expected) in [("a0", 200), ("A500", 200), ("a999", 200), ("a1000", 421), ("", 421)] {
        assert_eq!(status(&served, id).await, expected, "{id}");
    }
    let one = text.replace("# end a999", "[apps.limits]\nlogin = \"1/h\"");
    change(&served, (&text, &one), "apps_changed").await;
    let (log, _) = served.logs();
    assert!(log.contains("\"added\":\"\",\"changed\":\"a999\",\"removed\":\"\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_comes_before_anybody_reads_again_is_kept() {
    let op = hostile_op(Clock::system()).await;
    let port = free_port();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://localhost:{port}\"\n\
         [admin]\nlisten = \"127.0.0.1:{}\"\n[provider]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret_env = \"CLIENT_SECRET\"\n[session]\n{SESSION}\n",
        free_port(),
        op.issuer
    );
    let env = [("CLIENT_SECRET", CLIENT_SECRET), ("KEY_ONE", KEY_ONE)];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let sources = Sources { file: Some(write_config(&text)), env, set: Vec::new() };
    let hangups = reload::hangups().unwrap();
    let sent =
        std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
    assert!(sent.unwrap().success());

    let running = server::start(load_text(&text), op.clock.clone(), Random::system()).unwrap();
    let never = Duration::from_secs(3_600);
    let following = tokio::spawn(running.reload().follow(sources, hangups, never));
    let url = format!("http://{}/metrics", running.admin.unwrap());
    let line = "cloakroom_reloads_total{result=\"Unchanged\"} 1";
    while !Browser::new().get(&url).await.body.contains(line) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    following.abort();
    running.stop().await;
}
