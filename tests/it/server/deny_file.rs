//! Logouts that survive a restart: written down by one process, read by the next, never by two at once.

use std::path::PathBuf;
use std::time::Duration;

use super::problem_code;
use super::process::Process;
use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{Setup, Stack};

/// A folder of this test's own, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cloakroom-it-{}-{name}", std::process::id()));
    let _left_from_before = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A setup that writes ended sessions to `file`, with the time of `like`.
pub fn with_file(file: &std::path::Path, like: &Setup) -> Setup {
    let session = format!("deny_file = \"{}\"", file.display());
    Setup { session, clock: like.clock.clone(), ..Setup::default() }
}

async fn ready(stack: &Stack) -> serde_json::Value {
    let page = Browser::new().get(&format!("{}/readyz", stack.admin)).await;
    assert_eq!(page.status, 200);
    serde_json::from_str(&page.body).unwrap()
}

// proves: LO-01, LO-16
#[tokio::test(flavor = "multi_thread")]
async fn copies_of_cookies_stay_useless_after_a_restart_and_other_sessions_go_on() {
    let file = folder("restart").join("deny");
    let setup = Setup::default();
    let mut stack = Stack::start(with_file(&file, &setup)).await;
    let (alice, bob) = (Browser::new(), Browser::new());
    stack.log_in(&alice, "alice").await;
    stack.log_in(&bob, "bob").await;
    let thief = alice.copy();
    stack.fetch(&alice, "POST", "/logout").await;
    for _ in 0..2 {
        stack = stack.restart_at_same_port(with_file(&file, &setup)).await;
        let copy = thief.copy();
        let stolen = stack.fetch(&copy, "GET", "/api/echo").await;
        assert_eq!((stolen.status.as_u16(), &*problem_code(&stolen)), (401, "session_expired"));
        assert_eq!(stack.fetch(&bob, "GET", "/api/echo").await.status, 200);
        assert_eq!(ready(&stack).await["apps"]["app"]["status"], "ok");
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("cloakroom deny list 1\n") && text.lines().count() == 2, "{text}");
    assert!(!text.contains("alice"), "{text}");
    stack.stop().await;
}

/// Waits until the gauge of the metrics is `value`.
async fn gauge_is(stack: &Stack, value: u8) {
    let line = format!("cloakroom_deny_file_broken{{app=\"app\"}} {value}\n");
    for _ in 0..3_000 {
        let page = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
        if page.contains(&line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no {line}");
}

// proves: LO-01, EL-04
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_fails_no_logout_shows_and_is_made_good() {
    let folder = folder("broken");
    let (file, aside) = (folder.join("deny"), folder.with_extension("aside"));
    let _left_from_before = std::fs::remove_dir_all(&aside);
    let setup = Setup::default();
    let mut stack = Stack::start(with_file(&file, &setup)).await;
    gauge_is(&stack, 0).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let thief = browser.copy();
    std::fs::rename(&folder, &aside).unwrap();
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    assert_eq!(stack.fetch(&thief.copy(), "GET", "/api/echo").await.status, 401);
    gauge_is(&stack, 1).await;
    let app = ready(&stack).await["apps"]["app"].clone();
    assert_eq!(app, serde_json::json!({ "status": "degraded", "deny_file": "not_written" }));
    std::fs::rename(&aside, &folder).unwrap();
    gauge_is(&stack, 0).await;
    stack = stack.restart_at_same_port(with_file(&file, &setup)).await;
    assert_eq!(stack.fetch(&thief, "GET", "/api/echo").await.status, 401);
    stack.stop().await;
}

// proves: LO-16
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_file_and_one_on_another_file_are_refused_with_the_reason() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let file = folder("second").join("deny");
    let key = format!("deny_file = \"{}\"", file.display());
    let first = Process::start_with(upstream.address, "", &key).await;
    let refused = Process::refused(&key).await;
    assert!(refused.contains("another process has it"), "{refused}");
    // A process that is killed gives the file back, whatever was in it.
    first.signal("KILL").await;
    assert!(!first.ended().await.success());
    let again = Process::start_with(upstream.address, "", &key).await;
    again.signal("TERM").await;
    assert!(again.ended().await.success());
    std::fs::write(&file, "something\nelse\n").unwrap();
    let refused = Process::refused(&key).await;
    let place = format!("{}:1: not a line of a deny list", file.display());
    assert!(refused.contains(&place), "{refused}");
}
