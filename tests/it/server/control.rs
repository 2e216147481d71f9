//! What operators do through the control socket and the command line: sessions end, here and at other instances, and nobody
//! else gets near the socket.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use cloakroom::clock::Clock;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::Command;

use super::backchannel::{is_in, log_in_as};
use super::deny_file::{folder, with_file};
use super::events::Listening;
use super::instances::{eventually, in_contact, shared, status, stop};
use super::served::{SESSION, Served};
use super::setup::{callback, hostile_op, hostile_with};
use crate::support::browser::Browser;
use crate::support::hostile_op::Endpoint;
use crate::support::hostile_upstream::until;
use crate::support::redis::Redis;
use crate::support::stack::{FETCH, LINK, Setup, Stack};

/// A setup with a control socket in a folder of the test's own.
pub fn with_socket(name: &str, setup: Setup) -> (PathBuf, Setup) {
    let path = folder(name).join("control.sock");
    let more = format!("[control]\nsocket = \"{}\"\n{}", path.display(), setup.more);
    (path, Setup { more, ..setup })
}

/// `cloakroom sessions end` with these arguments.
async fn command(socket: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command.args(["sessions", "end", "--socket"]).arg(socket).args(arguments);
    command.output().await.unwrap()
}

/// The same, which must work; gives what it says.
pub async fn end(socket: &Path, arguments: &[&str]) -> String {
    let output = command(socket, arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The same, which must fail; gives what it says.
pub async fn refused(socket: &Path, arguments: &[&str]) -> String {
    let output = command(socket, arguments).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// A request to the socket as `curl --unix-socket` sends it; gives status and body.
async fn ask(socket: &Path, path: &str, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

// proves: LO-19, LO-15
#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_out_in_every_browser_at_once_and_nobody_else_is() {
    let (socket, setup) = with_socket("user", Setup::default());
    let (op, stack) = hostile_with(setup).await;
    let alices = [
        log_in_as(&op, &stack, "alice", Some("s1")).await,
        log_in_as(&op, &stack, "alice", None).await,
    ];
    let bob = log_in_as(&op, &stack, "bob", Some("s3")).await;
    let mut open = Listening::opened(&stack, &alices[0]).await;
    let said = end(&socket, &["--user", "alice"]).await;
    assert!(
        said.starts_with("app app: every session of that user, begun up to now, ended."),
        "{said}"
    );
    assert!(said.contains("a restart of this process forgets it"), "{said}");
    assert_eq!(open.event().await.0, "logged-out");
    for alice in &alices {
        assert_eq!(status(&stack, alice).await, 401);
    }
    assert!(is_in(&stack, &bob).await);
    // Nobody had those refresh tokens but the browsers.
    until(|| op.calls(Endpoint::Revocation) == 2).await;
    stack.clock.advance(Duration::from_secs(1));
    let back = log_in_as(&op, &stack, "alice", Some("s4")).await;
    assert!(is_in(&stack, &back).await);
    let text = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
    assert!(text.contains("cloakroom_ended_by_operator_total{whom=\"user\"} 1"), "{text}");
    stack.stop().await;
    assert!(!socket.exists(), "it goes with the process");
}

// proves: LO-19, KM-03
#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_out_also_after_a_restart_and_whoever_comes_later_is_in() {
    let file = folder("everybody-file").join("deny");
    let setup = Setup::default();
    let (socket, everybody) = with_socket("everybody", with_file(&file, &setup));
    let mut stack = Stack::start(everybody).await;
    let before = [Browser::new(), Browser::new()];
    for (browser, user) in before.iter().zip(["alice", "bob"]) {
        stack.log_in(browser, user).await;
    }
    let said = end(&socket, &["--everybody", "--app", "app"]).await;
    assert_eq!(said, "app app: everybody's sessions, begun up to now, ended.\n");
    stack.clock.advance(Duration::from_secs(1));
    let later = Browser::new();
    stack.log_in(&later, "alice").await;
    for round in 0..2 {
        for browser in &before {
            assert_eq!(status(&stack, browser).await, 401, "{round}");
        }
        assert_eq!(status(&stack, &later).await, 200, "{round}");
        stack = stack.restart_at_same_port(with_file(&file, &setup)).await;
    }
    stack.stop().await;
}

// proves: LO-19
#[tokio::test(flavor = "multi_thread")]
async fn a_sid_ends_what_belongs_to_it() {
    let (socket, setup) = with_socket("sid", Setup::default());
    let (op, stack) = hostile_with(setup).await;
    let [one, other] = [
        log_in_as(&op, &stack, "alice", Some("s1")).await,
        log_in_as(&op, &stack, "alice", Some("s2")).await,
    ];
    end(&socket, &["--op-session", "s1", "--issuer", "https://elsewhere.example"]).await;
    assert!(is_in(&stack, &one).await, "the sid of another issuer is another");
    end(&socket, &["--op-session", "s1"]).await;
    assert!(!is_in(&stack, &one).await);
    assert!(is_in(&stack, &other).await);
    stack.stop().await;
}

// proves: LO-19, EL-04
#[tokio::test(flavor = "multi_thread")]
async fn one_session_ends_by_its_name_in_the_audit_stream_which_says_who_ended_it() {
    let path = folder("named").join("control.sock");
    let op = hostile_op(Clock::system()).await;
    let more = format!("[control]\nsocket = \"{}\"\n", path.display());
    let mut served = Served::start_with(&op, "json", (SESSION, &more)).await;
    let browsers = [Browser::new(), Browser::new()];
    for browser in &browsers {
        let page = served.send(browser, "GET", "/login", &LINK).await;
        let target = callback(&op, page.redirect().unwrap().as_str(), "/callback");
        served.send(browser, "GET", &target, &[]).await;
    }
    let lines = |log: &str, event: &str| -> Vec<Value> {
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &Value| line["event"] == event).collect()
    };
    // The log is written by a thread of its own.
    until(|| lines(&served.log_so_far(), "login_succeeded").len() == 2).await;
    let first = lines(&served.log_so_far(), "login_succeeded")[0].clone();
    end(&path, &["--session", first["session"].as_str().unwrap()]).await;
    assert_eq!(served.send(&browsers[0], "GET", "/api/x", &FETCH).await.status, 401);
    assert_eq!(served.send(&browsers[1], "GET", "/session", &FETCH).await.status, 200);
    let permissions = std::fs::metadata(&path).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    let (log, _) = served.logs();
    let ended = lines(&log, "ended_by_operator");
    let uid =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path.parent().unwrap()).unwrap());
    assert_eq!(ended.len(), 1);
    assert_eq!((&ended[0]["session"], &ended[0]["whom"]), (&first["session"], &"session".into()));
    assert_eq!((&ended[0]["uid"], &ended[0]["app"]), (&uid.into(), &"app".into()));
}

// proves: LO-16, LO-19
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_one_instance_holds_at_all_of_them() {
    let redis = Redis::start();
    let (socket, setup) = with_socket("two", shared(&redis, ""));
    let first = Stack::start(setup).await;
    let second = first.beside(shared(&redis, ""));
    in_contact(&first).await;
    in_contact(&second).await;
    let browser = Browser::new();
    second.log_in(&browser, "alice").await;
    assert_eq!(end(&socket, &["--everybody"]).await.lines().count(), 1, "no warning");
    eventually("ended at the other", async || status(&second, &browser).await == 401).await;
    stop([first, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_ends_nothing_and_says_what_is_wrong() {
    let (socket, setup) = with_socket("wrong", Setup::default());
    let stack = Stack::start(setup).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    for (body, expected, part) in [
        ("", 400, "EOF"),
        ("{}", 400, "missing field `whom`"),
        (r#"{"whom":"nobody"}"#, 400, "unknown variant"),
        (r#"{"whom":"everybody","how":"now"}"#, 400, "unknown field"),
        (r#"{"whom":{"user":""}}"#, 400, "no name"),
        (r#"{"whom":{"session":"abc"}}"#, 400, "audit stream"),
        (r#"{"app":"other","whom":"everybody"}"#, 404, "there are: app"),
    ] {
        let (found, answer) = ask(&socket, "/sessions/end", body).await;
        assert_eq!(found, expected, "{body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(part), "{body}: {answer}");
    }
    assert_eq!(ask(&socket, "/sessions", "{}").await.0, 404);
    let said = refused(&socket, &["--user", "alice", "--app", "shop"]).await;
    assert!(said.contains("there is no app with this id; there are: app"), "{said}");
    let said = refused(&socket.with_file_name("other"), &["--everybody"]).await;
    assert!(said.contains("is it running, and are you its user?"), "{said}");
    let both = command(&socket, &["--user", "alice", "--everybody"]).await;
    assert_eq!(both.status.code(), Some(2), "one of them");
    assert_eq!(status(&stack, &browser).await, 200);
    stack.stop().await;
}
