//! The API behind every server under test: prebuilt answers, an event stream, a WebSocket that echoes, bodies of any
//! length. One thread, never measured; it counts requests that carry no bearer token. It also says of every token that it is good.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::wire::{Head, Wire};

/// Between two events of a stream.
pub const EVENT_EVERY: Duration = Duration::from_secs(2);
const BLOCK: usize = 64 * 1024;

/// The running upstream; it lives as long as the process.
pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    without_token: AtomicU64,
    small: Bytes,
    large: Bytes,
    stored: Bytes,
    active: Bytes,
    block: Vec<u8>,
}

impl Upstream {
    /// Starts it on a free port.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            without_token: AtomicU64::new(0),
            small: answer(1024),
            large: answer(100 * 1024),
            stored: answer(32),
            active: json(r#"{"active":true}"#),
            block: vec![b'x'; BLOCK],
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let accepted = Arc::clone(&shared);
        std::thread::spawn(move || runtime.block_on(accept(listener, accepted)));
        Ok(Self { address, shared })
    }

    /// Requests so far that had no `Authorization: Bearer`.
    pub fn without_token(&self) -> u64 {
        self.shared.without_token.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let shared = Arc::clone(&shared);
        // A connection that breaks is the end of that connection only.
        tokio::spawn(async move { serve(stream, &shared).await.unwrap_or_default() });
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    let mut wire = Wire::new(stream)?;
    while let Some(head) = wire.head().await? {
        let path = head.target.split('?').next().unwrap_or_default();
        wire.skip(head.body).await?;
        if path == "/introspect" {
            wire.stream.write_all(&shared.active).await?;
            continue;
        }
        if !head.has_token {
            shared.without_token.fetch_add(1, Ordering::Relaxed);
        }
        match path.strip_prefix("/api/").unwrap_or_default() {
            "report" => wire.stream.write_all(&shared.large).await?,
            "upload" => wire.stream.write_all(&shared.stored).await?,
            "events" => return events(wire).await,
            "socket" => return echo(wire, &head).await,
            path => match path.strip_prefix("download/") {
                Some(length) => download(&mut wire, length.parse()?, &shared.block).await?,
                None => wire.stream.write_all(&shared.small).await?,
            },
        }
    }
    Ok(())
}

/// A JSON answer whose body has `length` bytes.
fn answer(length: usize) -> Bytes {
    json(&format!("{{\"orders\":\"{}\"}}", "x".repeat(length - 13)))
}

fn json(body: &str) -> Bytes {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into()
}

async fn download(wire: &mut Wire, length: usize, block: &[u8]) -> anyhow::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
    wire.stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n").as_bytes()).await?;
    let mut left = length;
    while left > 0 {
        let piece = block.get(..left.min(block.len())).unwrap_or(block);
        wire.stream.write_all(piece).await?;
        left -= piece.len();
    }
    Ok(())
}

/// One event now and then, until the reader goes.
async fn events(mut wire: Wire) -> anyhow::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
         X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";
    wire.stream.write_all(head.as_bytes()).await?;
    loop {
        wire.stream.write_all(b"f\r\ndata: an event\n\r\n").await?;
        tokio::select! {
            () = tokio::time::sleep(EVENT_EVERY) => {}
            // Nothing is said here by the reader but its end.
            _ended = wire.some() => return Ok(()),
        }
    }
}

/// A WebSocket that sends every short message back (RFC 6455 §4.2.2, §5.2).
async fn echo(mut wire: Wire, head: &Head) -> anyhow::Result<()> {
    let key = head.key.as_deref().context("a handshake without a key")?;
    let accepted = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let sha1 = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
    let accept = STANDARD.encode(aws_lc_rs::digest::digest(sha1, accepted.as_bytes()));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    wire.stream.write_all(answer.as_bytes()).await?;
    while let Some(payload) = wire.frame().await? {
        let length = u8::try_from(payload.len())?;
        let frame = [[0x82, length].as_slice(), &payload].concat();
        wire.stream.write_all(&frame).await?;
    }
    Ok(())
}
