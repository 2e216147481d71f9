//! Starts the certified authorization server of `tests/oidc-provider` as a child process, one per test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::browser::Browser;

const INSTALL_TIME: Duration = Duration::from_secs(180);
const START_TIME: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub struct OidcProvider {
    pub issuer: String,
    _process: Child,
}

impl OidcProvider {
    /// Starts one. `settings` are those of `server.mjs`; `client_secret` and `redirect_uri` must be among them.
    ///
    /// # Panics
    /// With what is missing or went wrong.
    pub async fn start(settings: &Value) -> Self {
        install().await;
        let mut node = command("node");
        node.args(["server.mjs", &settings.to_string()]);
        let (issuer, process) = start(node, "install Node.js 20 or newer").await;
        Self { issuer, _process: process }
    }

    /// What the client has asked at this endpoint (`token`, `introspection`, `revocation`), in the order of the answers,
    /// each with `grant_type`, `resource`, `token_type_hint` and the answer's `status`.
    pub async fn calls(&self, endpoint: &str) -> Vec<Value> {
        self.calls_seen_by(&Browser::new(), endpoint).await
    }

    /// The same by a browser that trusts the server.
    pub async fn calls_seen_by(&self, browser: &Browser, endpoint: &str) -> Vec<Value> {
        let page = browser.get(&format!("{}/test/calls", self.issuer)).await;
        let calls: Vec<Value> = serde_json::from_str(&page.body).expect("a list of calls");
        calls.into_iter().filter(|call| call["endpoint"] == endpoint).collect()
    }
}

/// Starts an authorization server that says `ready {"issuer":"…"}` when it is, and ends with its standard input.
///
/// # Panics
/// With what went wrong, or what to do where there is no such program.
pub(super) async fn start(mut command: Command, install: &str) -> (String, Child) {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?} ({error}); {install}"));
    let lines = BufReader::new(process.stdout.take().expect("a piped stdout")).lines();
    let ready = timeout(START_TIME, ready(lines)).await.ok().flatten();
    let Some(issuer) = ready else {
        panic!("{command:?} did not get ready; what it wrote is above");
    };
    (issuer, process)
}

/// Reads up to `ready {"issuer":"…"}`.
async fn ready(mut lines: Lines<BufReader<ChildStdout>>) -> Option<String> {
    while let Some(line) = lines.next_line().await.ok()? {
        if let Some(json) = line.strip_prefix("ready ") {
            let told: Value = serde_json::from_str(json).ok()?;
            return told["issuer"].as_str().map(str::to_owned);
        }
    }
    None
}

/// Runs `npm ci` unless the packages of the present lock file are there already. Only one test of one process at a time.
async fn install() {
    let guard = tokio::task::spawn_blocking(|| {
        let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc-provider.lock"));
        let lock = lock.expect("a lock file in the target folder");
        lock.lock().expect("the lock on tests/oidc-provider");
        lock
    });
    let _guard = guard.await.expect("a lock");
    let wanted = fs::read(folder().join("package-lock.json")).expect("package-lock.json");
    let stamp = folder().join("node_modules/.installed-from");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return;
    }
    let npm = command("npm").args(["ci", "--no-audit", "--no-fund"]).stdin(Stdio::null()).output();
    let Output { status, stderr, .. } = timeout(INSTALL_TIME, npm)
        .await
        .expect("npm ci ends within three minutes; is the package registry reachable?")
        .unwrap_or_else(|error| {
            panic!("cannot run npm ({error}); install Node.js 20 or newer with npm")
        });
    let told = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "npm ci failed in tests/oidc-provider ({status}):\n{told}");
    fs::write(stamp, wanted).expect("a stamp in node_modules");
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder()).kill_on_drop(true);
    command
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider")
}
