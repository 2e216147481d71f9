//! A WebSocket client on a raw socket: sends exactly the handshake that a test writes, and reads frames one by one.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::browser::Browser;
use super::stack::Stack;

/// RFC 6455 §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Longer than any healthy test waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// The upstream's agreement to a handshake with [`KEY`].
pub fn switch(more: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {ACCEPT}\r\n{more}\r\n"
    )
}

/// An unmasked frame, as servers send.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(length),
        _ => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// A browser's handshake: `fields` come after those that every handshake has.
pub fn handshake(stack: &Stack, browser: &Browser, path: &str, fields: &str) -> String {
    let port = stack.port;
    let cookies: Vec<String> =
        browser.jar().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    format!(
        "GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: keep-alive, Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\
         cookie: {cookies}\r\n{fields}\r\n"
    )
}

/// A connection to the product.
pub struct Socket(pub TcpStream);

impl Socket {
    /// Sends these bytes over a new connection.
    pub async fn sending(stack: &Stack, bytes: impl AsRef<[u8]>) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", stack.port)).await.unwrap();
        socket.write_all(bytes.as_ref()).await.unwrap();
        Self(socket)
    }

    /// Opens a WebSocket from the app's page; panics unless it opens.
    pub async fn open(stack: &Stack, browser: &Browser, path: &str) -> Self {
        let origin = format!("origin: {}\r\n", stack.app);
        let mut socket = Self::sending(stack, handshake(stack, browser, path, &origin)).await;
        let head = socket.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        socket
    }

    /// Reads a response head.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, self.0.read_u8()).await.expect("a head in time");
            head.push(byte.expect("a whole head"));
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads exactly so many bytes.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = timeout(PATIENCE, self.0.read_exact(&mut bytes)).await;
        read.expect("bytes in time").expect("enough bytes");
        bytes
    }

    /// Reads to the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset after the last byte is an end, too.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("an end in time");
        rest
    }

    /// Sends raw bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// What comes last must be a Close frame of the product: its reason.
    pub async fn closed_because(&mut self) -> String {
        let rest = self.rest().await;
        assert_eq!(rest.get(..1), Some(&[0x88][..]), "{rest:?}");
        assert_eq!(usize::from(rest[1]), rest.len() - 2, "nothing after it: {rest:?}");
        assert_eq!(u16::from_be_bytes([rest[2], rest[3]]), 4401);
        String::from_utf8(rest[4..].to_vec()).unwrap()
    }
}
