//! The whole server as the corpora want it: one worker, two users logged in, an SPA, and the strict upstream behind every
//! route.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::upstream::CorpusUpstream;
use crate::support::browser::Browser;
use crate::support::peer::{Answer, Peer};
use crate::support::stack::{Setup, Stack};

/// The fields of a fetch from the app's own page.
pub const FETCH: &str =
    "X-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n";
/// The two fields of a fetch without which no route lets a request pass.
pub const CALL: &str = "X-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n";
/// The fields of an address typed into a tab.
pub const OPEN: &str = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html\r\n";

/// A user of the app, as raw bytes show her.
pub struct User {
    /// The value of her `Cookie` field.
    pub cookie: String,
    /// The `Authorization` field that upstreams get for her.
    pub authorization: String,
}

/// The running house.
pub struct House {
    pub stack: Stack,
    pub upstream: CorpusUpstream,
    pub host: String,
    pub address: SocketAddr,
    pub alice: User,
    pub bob: User,
    spa: PathBuf,
}

impl House {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With more lines under `[server]`.
    pub async fn with(server: &str) -> Self {
        let upstream = CorpusUpstream::start().await;
        let spa = spa_folder();
        let at = upstream.address;
        let more = format!(
            r#"
[[routes]]
path = "/api/admin"
upstream = "http://{at}/admin-only"
strip_prefix = true
methods = ["GET"]
[[routes]]
path = "/slow"
upstream = "http://{at}"
token = "none"
response_timeout = "1s"
body_limit = "1MiB"
[spa]
root = {spa:?}
"#
        );
        let server = format!("workers = 1\n{server}");
        let setup = Setup { upstream: Some(at), server, more, ..Setup::default() };
        let stack = Stack::start(setup).await;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, stack.port));
        let host = format!("localhost:{}", stack.port);
        let alice = user(&stack, address, &host, "alice").await;
        let bob = user(&stack, address, &host, "bob").await;
        assert_ne!(alice.authorization, bob.authorization);
        Self { stack, upstream, host, address, alice, bob, spa }
    }

    /// What the text of a case may name: the house, and itself.
    pub fn names<'a>(&'a self, case: &'a str) -> [(&'a str, &'a str); 7] {
        [
            ("case", case),
            ("host", &self.host),
            ("port", self.host.rsplit(':').next().unwrap_or_default()),
            ("fetch", CALL),
            ("alice", &self.alice.cookie),
            ("bob", &self.bob.cookie),
            ("token", &self.alice.authorization),
        ]
    }

    /// A call of `user` by a fetch; `fields` are whole lines.
    pub async fn fetch(&self, method: &str, target: &str, user: &User, fields: &str) -> Answer {
        let mut peer = Peer::connect(self.address).await;
        peer.send(request(method, target, &self.host, &user.cookie, fields)).await;
        peer.answer(method == "HEAD").await.expect("an answer")
    }

    pub async fn stop(self) {
        self.upstream.assert_strict();
        self.stack.stop().await;
        std::fs::remove_dir_all(&self.spa).unwrap();
    }
}

/// The bytes of a fetch.
pub fn request(method: &str, target: &str, host: &str, cookie: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{FETCH}Cookie: {cookie}\r\n{fields}\r\n")
}

async fn user(stack: &Stack, address: SocketAddr, host: &str, name: &str) -> User {
    let browser = Browser::new();
    stack.log_in(&browser, name).await;
    let pairs: Vec<String> =
        browser.jar().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookie = pairs.join("; ");
    let mut peer = Peer::connect(address).await;
    let answer = peer.ask(request("GET", "/api/whoami", host, &cookie, "")).await;
    let text = answer.text();
    let authorization = text.strip_prefix("GET /api/whoami ").unwrap_or_else(|| panic!("{text}"));
    assert!(authorization.starts_with("Bearer "), "{text}");
    User { cookie, authorization: authorization.to_owned() }
}

/// An SPA whose files say their own names.
fn spa_folder() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("cloakroom-it-house-{}-{number}", std::process::id());
    let root = std::env::temp_dir().join(name);
    for path in ["index.html", "about.html", "assets/app-AbCd1234.js", "deep/index.html"] {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("file {path}")).unwrap();
    }
    std::fs::write(root.join(".env"), "file .env").unwrap();
    root
}
