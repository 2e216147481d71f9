//! The released command as a process of its own, with its log in a file that the test reads when it has ended.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::browser::{Browser, Page};
use crate::support::child;
use crate::support::hostile_op::HostileOp;
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, KEY_ONE, free_port, write_config};

/// The usual lines of `[session]`.
pub const SESSION: &str = "keys = [{ id = \"one\", env = \"KEY_ONE\" }]";

/// The process under test with everything that it was seen to write.
pub struct Served {
    child: Child,
    pub app: String,
    pub admin: String,
    config: PathBuf,
    log: PathBuf,
    /// Everything a script, a proxy or a log of addresses could see.
    pub seen: String,
}

impl Served {
    /// Starts the command before `op`, with log lines in `format`.
    pub async fn start(op: &HostileOp, format: &str) -> Self {
        Self::start_with(op, format, (SESSION, "")).await
    }

    /// The same, with other lines for `[session]` and further sections.
    pub async fn start_with(op: &HostileOp, format: &str, (session, more): (&str, &str)) -> Self {
        let (port, admin) = (free_port(), free_port());
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "http://localhost:{port}"
trusted_proxies = ["127.0.0.1/32"]
[admin]
listen = "127.0.0.1:{admin}"
[log]
format = "{format}"
level = "trace"
[provider]
issuer = "{}"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
userinfo = true
[login]
loop_limit = 100
[session]
{session}
[[routes]]
path = "/api"
upstream = "http://{}"
{more}
"#,
            op.issuer, op.address
        );
        Self::start_at((port, admin), write_config(&text)).await
    }

    /// The same, with a file that says where to listen: at these two ports, for apps and for admins.
    pub async fn start_at((port, admin): (u16, u16), config: PathBuf) -> Self {
        let log = std::env::temp_dir().join(format!("cloakroom-canary-{port}.log"));
        let mut command = child::command(env!("CARGO_BIN_EXE_cloakroom"));
        command
            .args(["serve", "--config"])
            .arg(&config)
            .env("CLIENT_SECRET", CLIENT_SECRET)
            .env("KEY_ONE", KEY_ONE)
            // Files, not pipes: nobody reads while the test runs, and a full pipe would stop the server.
            .stdout(std::fs::File::create(log.with_extension("out")).unwrap())
            .stderr(std::fs::File::create(&log).unwrap());
        let child = child::spawn(command).unwrap();
        let (app, admin) =
            (format!("http://localhost:{port}"), format!("http://127.0.0.1:{admin}"));
        let served = Self { child, app, admin, config, log, seen: String::new() };
        served.wait().await;
        served
    }

    async fn wait(&self) {
        let address = self.admin.strip_prefix("http://").unwrap();
        for _ in 0..1_000 {
            if TcpStream::connect(address).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not start");
    }

    /// Sends a request and keeps what can be seen of the answer; cookies are sealed, and looked at apart.
    pub async fn send(
        &mut self,
        browser: &Browser,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Page {
        let url = format!("{}{path}", self.app);
        let page = browser.send(method, &url, headers, "").await;
        let own_redirect =
            page.redirect().is_some_and(|target| target.host_str() == Some("localhost"));
        for (name, value) in &page.headers {
            if name != "set-cookie" && (name != "location" || own_redirect) {
                writeln!(self.seen, "{name}: {value:?}").unwrap();
            }
        }
        self.seen.push_str(&page.body);
        page
    }

    /// Sends these bytes, which must ask for the end of the connection, and keeps the whole answer; gives its status.
    pub async fn raw(&mut self, bytes: &[u8]) -> u16 {
        let address = self.app.strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is how a refusal may end; what came before counts.
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        self.seen.push_str(&answer);
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// Writes its configuration anew, with `from` replaced by `to`.
    pub fn rewrite(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        std::fs::write(&self.config, text.replacen(from, to, 1)).unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// What it has written to standard output so far.
    pub fn stdout_so_far(&self) -> String {
        std::fs::read_to_string(self.log.with_extension("out")).unwrap()
    }

    /// What it has logged so far.
    pub fn log_so_far(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Stops the process; gives its log, and everything that was seen.
    pub fn logs(mut self) -> (String, String) {
        self.signal("TERM");
        let ended = self.child.wait().unwrap();
        let logs = std::fs::read_to_string(&self.log).unwrap();
        std::fs::remove_file(&self.log).unwrap();
        std::fs::remove_file(self.log.with_extension("out")).unwrap();
        assert!(ended.success(), "{logs}");
        (logs, std::mem::take(&mut self.seen))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        child::kill(&mut self.child);
    }
}
