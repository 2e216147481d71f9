//! Reads HTTP/1.1 messages, WebSocket frames and bodies from a socket: what load and upstream share. Trusts its peer as
//! only a bench may: no limit but the head's, no chunked bodies.

use anyhow::{Context as _, bail, ensure};
use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const LARGEST_HEAD: usize = 64 * 1024;

/// One connection and what was read from it ahead.
pub struct Wire {
    pub stream: TcpStream,
    ahead: BytesMut,
}

/// What matters of a message's head.
#[derive(Debug, Default)]
pub struct Head {
    /// The request's target; a response's reason phrase or nothing.
    pub target: String,
    /// A response's status; 0 for a request.
    pub status: u16,
    pub body: u64,
    pub has_token: bool,
    /// `Sec-WebSocket-Key` of a request.
    pub key: Option<String>,
    pub is_chunked: bool,
}

impl Wire {
    /// Around a fresh connection.
    pub fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, ahead: BytesMut::with_capacity(4 * 1024) })
    }

    /// The next message's head; `None` when the peer closed before it.
    pub async fn head(&mut self) -> anyhow::Result<Option<Head>> {
        let mut searched = 0;
        loop {
            if let Some(end) = end_of_head(&self.ahead, searched) {
                let head = Head::parse(std::str::from_utf8(&self.ahead.split_to(end))?)?;
                return Ok(Some(head));
            }
            searched = self.ahead.len().saturating_sub(3);
            ensure!(searched < LARGEST_HEAD, "a head that does not end");
            if !self.read().await? {
                ensure!(self.ahead.is_empty(), "closed within a head");
                return Ok(None);
            }
        }
    }

    /// Reads `length` bytes of body and forgets them.
    pub async fn skip(&mut self, length: u64) -> anyhow::Result<()> {
        let mut left = length;
        loop {
            let here = self.ahead.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let _body = self.ahead.split_to(here);
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            self.ahead.reserve(usize::try_from(left)?.min(64 * 1024));
            ensure!(self.read().await?, "the body is too short");
        }
    }

    /// Whatever comes next, as it comes; nothing when the peer closed.
    pub async fn some(&mut self) -> std::io::Result<BytesMut> {
        if self.ahead.is_empty() {
            self.read().await?;
        }
        Ok(self.ahead.split())
    }

    /// The payload of the next WebSocket frame, unmasked: one short, unfragmented frame (RFC 6455 §5.2); `None` when
    /// the peer closed.
    pub async fn frame(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some((length, payload)) = short_frame(&self.ahead)? {
                let _frame = self.ahead.split_to(length);
                return Ok(Some(payload));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    async fn read(&mut self) -> std::io::Result<bool> {
        self.ahead.reserve(2 * 1024);
        Ok(self.stream.read_buf(&mut self.ahead).await? > 0)
    }
}

impl Head {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
        let (start, middle) = (first.next(), first.next().unwrap_or_default());
        let mut head = Self::default();
        if start.is_some_and(|start| start.starts_with("HTTP/")) {
            head.status = middle.parse().context("an answer without a status")?;
        } else {
            middle.clone_into(&mut head.target);
        }
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.trim();
            match name.len() {
                13 if name.eq_ignore_ascii_case("authorization") => {
                    head.has_token = value.starts_with("Bearer ");
                }
                14 if name.eq_ignore_ascii_case("content-length") => head.body = value.parse()?,
                17 if name.eq_ignore_ascii_case("sec-websocket-key") => {
                    head.key = Some(value.to_owned());
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => head.is_chunked = true,
                _ => {}
            }
        }
        Ok(head)
    }
}

/// Where the head ends, looking from `searched` on.
fn end_of_head(ahead: &[u8], searched: usize) -> Option<usize> {
    // The usual case first: the head of a request without a body is all there is.
    if ahead.ends_with(b"\r\n\r\n") && searched == 0 && !ahead.starts_with(b"HTTP/") {
        return Some(ahead.len());
    }
    let rest = ahead.get(searched..)?;
    rest.windows(4).position(|window| window == b"\r\n\r\n").map(|at| searched + at + 4)
}

fn short_frame(ahead: &[u8]) -> anyhow::Result<Option<(usize, Vec<u8>)>> {
    let [first, second, rest @ ..] = ahead else { return Ok(None) };
    let length = usize::from(second & 0x7f);
    if first & 0x80 == 0 || length > 125 {
        bail!("a fragmented or long WebSocket frame");
    }
    let (mask, header) = match (second & 0x80, rest) {
        (0, _) => ([0; 4], 2),
        (_, [a, b, c, d, ..]) => ([*a, *b, *c, *d], 6),
        _ => return Ok(None),
    };
    let Some(payload) = ahead.get(header..header + length) else { return Ok(None) };
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    Ok(Some((header + length, payload.collect())))
}
