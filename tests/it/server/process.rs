//! `cloakroom serve` as a process of its own before an upstream of the test's, with signals sent to it.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, KEY_ONE, free_port, write_config};

/// The running process; killed when dropped.
pub struct Process {
    child: Child,
    pub app: u16,
    admin: u16,
}

impl Process {
    /// Starts it with `server` as further lines of `[server]`; `/open` leads to `upstream` without a login.
    pub async fn start(upstream: SocketAddr, server: &str) -> Self {
        Self::start_with(upstream, server, "").await
    }

    /// The same, with `session` as further lines of `[session]`.
    pub async fn start_with(upstream: SocketAddr, server: &str, session: &str) -> Self {
        let (app, admin) = (free_port(), free_port());
        let text = configuration((app, admin), upstream, server, session);
        let child = command(&text).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let process = Self { child, app, admin };
        for _ in 0..1_000 {
            if process.connect().await.is_ok() {
                return process;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not start");
    }

    /// Starts one that must not start; gives what it says.
    pub async fn refused(session: &str) -> String {
        let ports = (free_port(), free_port());
        let text = configuration(ports, ([127, 0, 0, 1], 9).into(), "", session);
        let ended = timeout(Duration::from_secs(30), command(&text).output()).await;
        let output = ended.expect("the process ends").unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// A fresh connection to the apps.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.app)).await
    }

    /// A call that goes to the upstream, on a connection of its own.
    pub async fn call(&self) -> TcpStream {
        let mut socket = self.connect().await.unwrap();
        socket.write_all(self.request().as_bytes()).await.unwrap();
        socket
    }

    /// The bytes of such a call.
    pub fn request(&self) -> String {
        let fields =
            format!("host: localhost:{}\r\nx-csrf: 1\r\nsec-fetch-site: same-origin", self.app);
        format!("GET /open/x HTTP/1.1\r\n{fields}\r\n\r\n")
    }

    /// What the admin listener says to `path`: head and body.
    pub async fn admin(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.admin)).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Sends a signal: `TERM` or `INT`.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Waits until it has gone.
    pub async fn ended(mut self) -> ExitStatus {
        let ended = timeout(Duration::from_secs(30), self.child.wait()).await;
        ended.expect("the process ends").unwrap()
    }
}

fn configuration(
    (app, admin): (u16, u16),
    upstream: SocketAddr,
    server: &str,
    session: &str,
) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:{app}"
public_url = "http://localhost:{app}"
workers = 2
{server}
[admin]
listen = "127.0.0.1:{admin}"
[provider]
issuer = "http://127.0.0.1:9"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
[session]
keys = [{{ id = "one", env = "KEY_ONE" }}]
{session}
[[routes]]
path = "/open"
upstream = "http://{upstream}"
token = "none"
response_timeout = "10m"
"#
    )
}

fn command(text: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command
        .args(["serve", "--config"])
        .arg(write_config(text))
        .env("CLIENT_SECRET", CLIENT_SECRET)
        .env("KEY_ONE", KEY_ONE)
        .stdout(Stdio::null());
    command
}

/// Reads until `text` has come.
pub async fn read_to(socket: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let count = timeout(Duration::from_secs(20), socket.read_buf(&mut seen)).await;
        assert!(count.expect("bytes come").unwrap() > 0, "the stream ended before {text}");
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Reads what is left until the connection ends, however it does.
pub async fn rest(socket: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let reading = timeout(Duration::from_secs(20), socket.read_to_end(&mut seen)).await;
    let _reset_counts_as_an_end = reading.expect("the connection ends");
    String::from_utf8_lossy(&seen).into_owned()
}
