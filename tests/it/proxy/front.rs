//! A real server whose every request goes through `forward` with the routes of a test, and a raw client for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_server::Server;
use actix_web::dev::{Payload, ServerHandle};
use cloakroom::config::{
    CloseAt, PublicUrl, Retry, RouteConfig, TokenSource, TokenTarget, Upstream,
};
use cloakroom::edge::{Code, Problem, Reply, Request};
use cloakroom::proxy::{Drain, NormalPath, Outgoing, Pool, RouteTable, forward};
use cloakroom::secret::Secret;
use cloakroom::server::wire::{self, Limits, Listeners};
use cloakroom::telemetry::Metrics;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The token that the front holds; nobody else may get it.
pub const TOKEN: &str = "the-access-token";
/// Longer than any healthy test; shorter than a patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// A route `/api` to `address`, with short time limits.
pub fn route(address: SocketAddr) -> RouteConfig {
    RouteConfig {
        path: "/api".to_owned(),
        upstream: Upstream {
            tls: false,
            authority: address.to_string(),
            host: address.ip().to_string(),
            port: address.port(),
            prefix: String::new(),
            addresses: Vec::new(),
            trust: None,
            http2: false,
        },
        session_rate: None,
        rules: cloakroom::config::ClaimRules::default(),
        token: TokenSource::Login,
        target: TokenTarget::default(),
        methods: Vec::new(),
        strip_prefix: false,
        header_free: false,
        websocket: false,
        close_at: CloseAt::SessionEnd,
        fetch_dest: Vec::new(),
        inline_types: Vec::new(),
        forward_headers: Vec::new(),
        drop_response_headers: Vec::new(),
        set_response_headers: Vec::new(),
        forward_cookies: Vec::new(),
        response_cookies: Vec::new(),
        cache_private: false,
        body_limit: 1024 * 1024,
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        idle_timeout: Some(Duration::from_secs(300)),
        total_timeout: None,
        keepalive_timeout: Duration::from_secs(30),
        retry: Retry::NeverSent,
        audit: false,
        max_in_flight: 10_000,
    }
}

/// The running server.
pub struct Front {
    pub address: SocketAddr,
    stop: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl Front {
    /// One worker, one route.
    pub fn start(route: RouteConfig) -> Self {
        Self::with(vec![route], 1, false)
    }

    /// Any number of workers and routes.
    pub fn with(routes: Vec<RouteConfig>, workers: usize, sibling_spa: bool) -> Self {
        let metrics = Metrics::default();
        let handlers = move || {
            let table = Arc::new(RouteTable::new(routes.clone()));
            // One pool for each worker: it lives and dies on the worker's thread.
            let pool = Pool::new(Arc::new(trusting_nobody()), metrics.clone(), Drain::default());
            move |request, body| {
                answer((request, body), Arc::clone(&table), pool.clone(), sibling_spa)
            }
        };
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let server = Server::build().workers(workers).disable_signals();
        let minute = Duration::from_secs(60);
        let limits = Limits { head: minute, idle: minute, write: minute };
        let listeners = Listeners { tcp, tls: None, unix: None };
        let server = wire::serve(server, listeners, limits, &Drain::default(), handlers).unwrap();
        let stop = server.handle();
        Self { address, stop, task: tokio::spawn(server) }
    }

    /// A fresh connection.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and reads until the server closes; the request must ask for that.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut socket = self.connect().await;
        socket.write_all(bytes.as_ref()).await.unwrap();
        read_answer(&mut socket).await
    }

    /// A request without body: `line` is method and target, `fields` are lines with their ends.
    pub async fn call(&self, line: &str, fields: &str) -> Answer {
        let head =
            format!("{line} HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n{fields}\r\n");
        self.raw(head).await
    }

    /// Stops the server.
    pub async fn stop(self) {
        self.stop.stop(false).await;
        self.task.await.unwrap().unwrap();
    }
}

/// An answer as the client got it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    /// As it came: chunked bodies with their chunk lines.
    pub body: Vec<u8>,
    /// The body is complete by its own framing.
    pub is_complete: bool,
}

impl Answer {
    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The only value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} came more than once: {all:?}");
        all.first().copied()
    }

    /// Status and code of an error of Cloakroom's own.
    pub fn problem(&self) -> (u16, &str) {
        (self.status, self.field("cloakroom-error").unwrap_or("(not ours)"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads until the end of the stream and looks whether the answer is whole.
pub async fn read_answer(socket: &mut TcpStream) -> Answer {
    let mut raw = Vec::new();
    let reading = socket.read_to_end(&mut raw);
    // A reset after the last byte is how a broken answer may end; what came before counts.
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("the answer ends");
    parse(&raw)
}

fn parse(raw: &[u8]) -> Answer {
    let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Answer { status: 0, head: String::new(), body: raw.to_vec(), is_complete: false };
    };
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = raw[end + 4..].to_vec();
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let is_complete = if lower.contains("transfer-encoding: chunked") {
        body.ends_with(b"0\r\n\r\n")
    } else {
        length.is_none_or(|length| length.parse::<usize>().unwrap() == body.len())
    };
    Answer { status, head, body, is_complete }
}

async fn answer(
    (request, body): (Request, Payload),
    table: Arc<RouteTable>,
    pool: Pool,
    sibling_spa: bool,
) -> Reply {
    let public = PublicUrl {
        origin: "https://app.example".to_owned(),
        host: "app.example".to_owned(),
        https: true,
    };
    let token = Secret::from(TOKEN);
    let result = async {
        let path = NormalPath::parse(request.uri().path())?;
        let route = table.find(&path).ok_or(Problem::new(Code::NotFound))?;
        let outgoing = Outgoing {
            claim_fields: &[],
            told: &[],
            trace: None,
            csrf_header: "x-csrf",
            route,
            path: &path,
            access_token: Some(&token),
            dpop: None,
            client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            public: &public,
            request_id: "request-1",
            is_ours: &|name| name.to_ascii_lowercase().starts_with("__host-http-"),
            sibling_spa,
        };
        Ok::<Reply, Problem>(forward(&pool, &request, body, outgoing).await?.response)
    }
    .await;
    result.unwrap_or_else(|problem| problem.response("request-1", false).into())
}

fn trusting_nobody() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}
