//! A browser on another machine, as far as loopback can show one: it has an address of its own, speaks TLS, and trusts the
//! tests' authority only. Raw connections for what a browser without a screen cannot see: the moment that bytes arrive.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::house::House;
use crate::support::browser::{Browser, Page, login};
use crate::support::stack::{FETCH, LINK};
use crate::support::tls;

/// The proxies call from 127.0.0.1.
pub const VISITOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const PATIENCE: Duration = Duration::from_secs(20);

/// One person with one browser.
pub struct Visitor {
    /// `https://localhost:PORT`
    pub app: String,
    front: u16,
    product: u16,
    login: String,
    session: String,
    browser: Browser,
}

impl Visitor {
    pub fn new(house: &House) -> Self {
        let pem = std::fs::read(tls::ca_file()).unwrap();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .no_proxy()
            .local_address(IpAddr::from(VISITOR))
            .resolve("localhost", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .build()
            .unwrap();
        Self {
            app: format!("https://localhost:{}", house.front),
            front: house.front,
            product: house.product,
            login: house.own("/login"),
            session: house.own("/session"),
            browser: Browser::with(client),
        }
    }

    /// The whole way to the authorization server and back.
    pub async fn log_in(&self, user: &str) {
        let url = format!("{}{}?return_to=/", self.app, self.login);
        let page = self.browser.send("GET", &url, &LINK, "").await;
        assert_eq!(page.status, 303, "{}", page.body);
        let callback = login(&self.browser, page.redirect().unwrap().as_str(), user).await;
        assert!(callback.starts_with(&self.app), "{callback}");
        let landed = self.browser.get_from_elsewhere(&callback).await;
        assert_eq!(landed.headers["location"], format!("{}/", self.app), "{}", landed.body);
    }

    /// What the app's page is told of the session.
    pub async fn session(&self) -> serde_json::Value {
        let page = self.fetch("GET", &self.session, &[], "").await;
        assert_eq!(page.status, 200, "{}", page.body);
        serde_json::from_str(&page.body).unwrap()
    }

    /// A call from the app's page, with its cookies.
    pub async fn fetch(&self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Page {
        let headers = [&FETCH[..], more].concat();
        self.browser.send(method, &format!("{}{path}", self.app), &headers, body).await
    }

    /// The same from a page that has no cookies but those in `more`.
    pub async fn bare(&self, method: &str, path: &str, more: &[(&str, &str)]) -> Page {
        let stranger = self.browser.copy();
        stranger.tamper(|_, _| None);
        let headers = [&FETCH[..], more].concat();
        stranger.send(method, &format!("{}{path}", self.app), &headers, "").await
    }

    /// The `Cookie` line of a call.
    pub fn cookies(&self) -> String {
        let url = format!("{}/api/x", self.app);
        self.browser.cookie_line(&url.parse().unwrap())
    }

    /// The same with so many bytes of other cookies, none larger than browsers allow.
    pub fn cookies_and(&self, filling: usize) -> String {
        let mut line = self.cookies();
        for n in 0..filling.div_ceil(3_000) {
            write!(line, "; filling-{n}={}", "x".repeat(3_000)).unwrap();
        }
        line
    }

    /// `GET` in HTTP/2, which none of the tests' own clients speaks; the answer's head.
    pub async fn over_http_2(&self, path: &str, cookies: &str) -> String {
        let mut command = tokio::process::Command::new("curl");
        command.args(["--silent", "--show-error", "--http2", "--head", "--request", "GET"]);
        command
            .args(["--ipv4", "--noproxy", "*", "--max-time", "20", "--cacert"])
            .arg(tls::ca_file());
        for (name, value) in FETCH {
            command.args(["--header", &format!("{name}: {value}")]);
        }
        // A browser's many small fields; curl sends one unless it is given several.
        for pair in cookies.split("; ") {
            command.args(["--header", &format!("cookie: {pair}")]);
        }
        command.arg(format!("{}{path}", self.app)).stdin(Stdio::null());
        let output = command.output().await.expect("curl is missing: apt-get install curl");
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Asks the product itself, as nobody but the proxy should be able to; the status.
    pub async fn past_the_proxy(&self, path: &str, (name, value): (&str, &str)) -> u16 {
        let mut socket = connect(self.product).await;
        let host = format!("localhost:{}", self.front);
        let fields = FETCH.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{fields}{name}: {value}\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(PATIENCE, socket.read_to_string(&mut answer)).await;
        read.expect("an answer in time").unwrap();
        answer[9..12].parse().unwrap()
    }

    /// Sends a `GET` with these fields on a connection of its own.
    pub async fn open(&self, path: &str, fields: &str) -> Line {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(tls::ca_file()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let socket = connect(self.front).await;
        let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
        let mut line = Line { socket, left: Vec::new() };
        let host = format!("localhost:{}", self.front);
        line.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n")).await;
        line
    }
}

async fn connect(port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((VISITOR, 0))).unwrap();
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.unwrap()
}

/// A raw TLS connection.
pub struct Line {
    socket: TlsStream<TcpStream>,
    left: Vec<u8>,
}

impl Line {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
        self.socket.flush().await.unwrap();
    }

    /// Reads up to this text, and not further: what comes behind it is for the next call.
    pub async fn read_to(&mut self, text: &str) -> String {
        loop {
            let found = self.left.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                let read: Vec<u8> = self.left.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&read).into_owned();
            }
            self.more(text).await;
        }
    }

    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.left.len() < count {
            self.more("more bytes").await;
        }
        self.left.drain(..count).collect()
    }

    async fn more(&mut self, awaited: &str) {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.left)).await;
        let seen = String::from_utf8_lossy(&self.left).into_owned();
        let count = read.unwrap_or_else(|_| panic!("no {awaited:?} in time, only {seen:?}"));
        assert!(count.unwrap() > 0, "ended before {awaited:?}: {seen:?}");
    }
}
