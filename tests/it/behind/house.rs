//! The product as it stands behind a proxy: a public https address that is the proxy's, with the dev stack beside it and two
//! upstreams of the tests' own, one that records what it is asked, one that sends events when it is told.

use std::sync::Arc;

use cloakroom::clock::Clock;
use cloakroom::dev::DevStack;
use cloakroom::secret::Random;
use cloakroom::server::{self, Running};
use tokio::sync::Notify;

use super::FILLING;
use crate::support::hostile_upstream::{HostileUpstream, Step, send};
use crate::support::stack::{CLIENT_ID, Setup, dev_stack, free_port, load_text};

/// How many the stream sends.
pub const EVENTS: usize = 5;
const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Everything behind the proxy, running.
pub struct House {
    /// Where the proxy is to listen, with TLS.
    pub front: u16,
    /// Where the product listens, and its admin listener.
    pub product: u16,
    pub admin: u16,
    /// Lets the stream go on.
    pub next_event: Arc<Notify>,
    base_path: &'static str,
    recorder: HostileUpstream,
    _stream: HostileUpstream,
    dev: DevStack,
    running: Running,
}

impl House {
    /// Starts it all, own endpoints below `base_path`.
    pub async fn start(base_path: &'static str) -> Self {
        let (front, product, admin) = (free_port(), free_port(), free_port());
        let next_event = Arc::new(Notify::new());
        let stream = HostileUpstream::playing(events(&next_event)).await;
        let filling = "x".repeat(FILLING);
        let answer =
            format!("HTTP/1.1 200 OK\r\nx-filling: {filling}\r\ncontent-length: 2\r\n\r\nok");
        let recorder = HostileUpstream::answering(answer).await;
        let base = base_path.trim_end_matches('/');
        let real_time = Setup { clock: Clock::system(), ..Setup::default() };
        let dev = dev_stack(&format!("https://localhost:{front}{base}"), &real_time).await;
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:{product}"
public_url = "https://localhost:{front}"
workers = 2
trusted_proxies = ["127.0.0.1/32"]
[admin]
listen = "127.0.0.1:{admin}"
[app]
base_path = "{base_path}"
[provider]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
scopes = ["openid", "profile", "email", "sales"]
[session]
keys = [{{ id = "one", env = "KEY_ONE" }}]
[[routes]]
path = "/api"
upstream = "http://{api}/api"
strip_prefix = true
websocket = true
[[routes]]
path = "/api/stream"
upstream = "http://{stream}"
[[routes]]
path = "/api/open"
upstream = "http://{open}"
token = "none"
"#,
            issuer = dev.issuer,
            api = dev.api_addr,
            stream = stream.address,
            open = recorder.address,
        );
        let running = server::start(load_text(&text), Clock::system(), Random::system()).unwrap();
        Self {
            front,
            product,
            admin,
            next_event,
            base_path,
            recorder,
            _stream: stream,
            dev,
            running,
        }
    }

    /// The path of one of the product's own endpoints.
    pub fn own(&self, path: &str) -> String {
        format!("{}{path}", self.base_path.trim_end_matches('/'))
    }

    /// Whom the product says the request with this end of a path came from.
    pub fn address_seen(&self, path: &str) -> String {
        let requests = self.recorder.requests();
        let is_it = |raw: &&String| raw.lines().next().is_some_and(|line| line.contains(path));
        let request = requests.iter().find(is_it).expect("the request has arrived").to_lowercase();
        let lines: Vec<&str> =
            request.lines().filter_map(|line| line.strip_prefix("x-forwarded-for: ")).collect();
        assert_eq!(lines.len(), 1, "{request}");
        lines[0].to_owned()
    }

    pub async fn stop(self) {
        self.running.stop().await;
        self.dev.stop().await;
    }
}

fn events(go: &Arc<Notify>) -> Vec<Step> {
    let mut steps = vec![Step::Read, send(STREAM)];
    for n in 0..EVENTS {
        steps.push(send(format!("A\r\ndata: {n:02}\n\n\r\n")));
        steps.push(Step::Wait(Arc::clone(go)));
    }
    steps.push(send("0\r\n\r\n"));
    steps
}
