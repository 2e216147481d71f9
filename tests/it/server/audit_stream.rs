//! The stream of security events on its own, written by the released command: to a file that is moved about, to standard output,
//! and to what takes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cloakroom::clock::Clock;
use serde_json::Value;

use super::audit::{EVIL, MARK, evil_requests, is_invisible, log_in};
use super::deny_file::folder;
use super::process::Process;
use super::served::{SESSION, Served};
use super::setup::hostile_op;
use crate::support::browser::Browser;
use crate::support::hostile_op::HostileOp;
use crate::support::hostile_upstream::until;
use crate::support::stack::{FETCH, LINK};

/// Lines for the end of the configuration.
pub fn to_file(file: &Path, more: &str) -> String {
    format!("[audit]\nto = \"file\"\nfile = \"{}\"\n{more}", file.display())
}

/// Every event of a stream; each line must be one.
pub fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(event["time"].as_str().unwrap().ends_with('Z'), "{line}");
            assert!(event["event"].is_string() && event["request_id"].is_string(), "{line}");
            event
        })
        .collect()
}

fn names(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    events(&text).iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

async fn begin_login(served: &mut Served) {
    assert_eq!(served.send(&Browser::new(), "GET", "/login", &LINK).await.status, 303);
}

async fn start(op: &HostileOp, more: &str) -> Served {
    Served::start_with(op, "json", (SESSION, more)).await
}

// proves: EL-04
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_its_own_follows_whoever_rotates_it_and_is_whole_at_the_end() {
    let op = hostile_op(Clock::system()).await;
    let folder = folder("audit-file");
    let (file, old) = (folder.join("audit"), folder.join("audit.1"));
    // A log that says nothing keeps no event away.
    let mut served = start(&op, &to_file(&file, "")).await;
    let browser = Browser::new();
    log_in(&mut served, &op, &browser).await;
    until(|| names(&file) == ["login_started", "login_succeeded"]).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // As logrotate does it: moved away, the next one made by whoever writes.
    std::fs::rename(&file, &old).unwrap();
    begin_login(&mut served).await;
    until(|| names(&file) == ["login_started"]).await;
    assert_eq!(names(&old).len(), 2, "nothing is appended to what was moved away");
    std::fs::remove_file(&file).unwrap();
    until(|| file.exists()).await;
    served.signal("HUP");
    begin_login(&mut served).await;
    until(|| names(&file) == ["login_started"]).await;
    for _ in 0..50 {
        begin_login(&mut served).await;
    }
    let (log, _) = served.logs();
    assert_eq!(names(&file).len(), 51, "what waits at the end is written");
    assert!(!log.contains("login_started"), "not among the log lines, too");
}

// proves: EL-04
#[tokio::test(flavor = "multi_thread")]
async fn standard_output_has_events_and_nothing_else() {
    let op = hostile_op(Clock::system()).await;
    let mut served = start(&op, "[audit]\nto = \"stdout\"").await;
    begin_login(&mut served).await;
    until(|| events(&served.stdout_so_far()).len() == 1).await;
    let (log, _) = served.logs();
    assert!(log.contains("\"target\":\"access\"") && !log.contains("login_started"), "{log}");
}

/// How many events were lost by now.
async fn lost(served: &Served) -> u64 {
    let metrics = Browser::new().get(&format!("{}/metrics", served.admin)).await.body;
    let lines = metrics.lines().filter(|line| line.starts_with("cloakroom_audit_dropped_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

// proves: EL-02
#[rstest::rstest]
#[case::disk_full("/dev/full")]
#[case::pipe_without_reader("pipe")]
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_nothing_stops_no_request_and_what_is_lost_is_counted(#[case] target: &str) {
    let op = hostile_op(Clock::system()).await;
    let mut file = PathBuf::from(target);
    if target == "pipe" {
        file = folder("audit-pipe").join("pipe");
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    }
    let mut served = start(&op, &to_file(&file, "")).await;
    for _ in 0..20 {
        begin_login(&mut served).await;
    }
    for _ in 0..1_000 {
        if lost(&served).await == 20 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(lost(&served).await, 20);
    until(|| served.log_so_far().contains("security events were lost")).await;
    let (log, _) = served.logs();
    assert_eq!(log.matches("security events were lost").count(), 1, "once a minute: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_never_be_opened_is_told_at_the_start() {
    let file = folder("audit-loop").join("audit");
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let told = Process::refused(&to_file(&file, "")).await;
    assert!(told.contains("audit.file: ") && told.contains("cannot be opened"), "{told}");
}

/// The user's name in the stream of a process of its own.
async fn name_of_alice(op: &HostileOp, file: &Path, key: &str) -> String {
    let mut served = start(op, &to_file(file, key)).await;
    log_in(&mut served, op, &Browser::new()).await;
    served.logs();
    let events = events(&std::fs::read_to_string(file).unwrap());
    let succeeded = events.iter().rfind(|event| event["event"] == "login_succeeded").unwrap();
    succeeded["user"].as_str().unwrap().to_owned()
}

// proves: ID-18
#[tokio::test(flavor = "multi_thread")]
async fn pseudonyms_survive_restarts_and_are_others_under_another_key() {
    let op = hostile_op(Clock::system()).await;
    let folder = folder("audit-names");
    let key = |name: &str, byte: &str| {
        let file = folder.join(name);
        let random = "b1c9a5e37f02d8446a9be1507c3d2f8899f4c06be57a1d3312e8fb60749ca5";
        std::fs::write(&file, format!("{random}{byte}\n")).unwrap();
        format!("pseudonym_key_file = \"{}\"", file.display())
    };
    let (one, two, file) = (key("one", "d1"), key("two", "d2"), folder.join("audit"));
    let first = name_of_alice(&op, &file, &one).await;
    assert_eq!(name_of_alice(&op, &file, &one).await, first, "another process, another port");
    assert_ne!(name_of_alice(&op, &file, &two).await, first);
    let plain = name_of_alice(&op, &file, "").await;
    assert_ne!(plain, first);
    assert_eq!(name_of_alice(&op, &file, "").await, plain);
}

// proves: CB-05, EL-05
#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_events_or_labels_of_his_own() {
    let op = hostile_op(Clock::system()).await;
    let file = folder("audit-evil").join("audit");
    let mut served = start(&op, &format!("audit = true\n{}", to_file(&file, ""))).await;
    let host = served.app.strip_prefix("http://").unwrap().to_owned();
    for text in EVIL {
        for request in evil_requests(&host, text) {
            served.raw(&request).await;
        }
    }
    for number in 0..50 {
        let path = format!("/api/{MARK}{number}/{}", "x".repeat(3_000));
        let method = format!("M{number}");
        served.send(&Browser::new(), &method, &path, &FETCH).await;
        served.send(&Browser::new(), "POST", &path, &[("x-csrf", "1"), ("origin", "null")]).await;
    }
    let metrics = Browser::new().get(&format!("{}/metrics", served.admin)).await.body;
    served.logs();
    assert!(!metrics.contains(MARK) && !metrics.contains("M17"), "a label of a stranger's");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut calls = 0;
    for (line, event) in text.lines().zip(events(&text)) {
        assert!(line.len() < 4096, "{}", line.len());
        assert!(
            !line.chars().any(|c| c.is_control() || is_invisible(c)),
            "{}",
            line.escape_debug()
        );
        assert_ne!(event["event"], "login_succeeded", "{line}");
        if event["event"] == "api_call" {
            calls += 1;
            assert_eq!(event["route"], "/api", "the route, not the path: {line}");
        }
        let is_long = event["route"].as_str().is_some_and(|route| route.len() >= 512);
        assert_eq!(event["truncated"] == true, is_long, "{line}");
    }
    assert!(calls >= 100, "{calls}");
}
