//! A raw client that reads answers by their own framing, and tells an answer that is whole from one that broke off.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any healthy case.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection to the server under test.
pub struct Peer {
    socket: TcpStream,
    left: Vec<u8>,
}

/// An answer as it came; interim ones (1xx) are counted only.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Complete by its own framing.
    pub whole: bool,
    /// How many came before it.
    pub interim: usize,
}

impl Answer {
    /// All values of a field, name in lower case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// `403/csrf_origin` for an answer of Cloakroom's own, `400` for any other.
    pub fn outcome(&self) -> String {
        match self.all("cloakroom-error").first() {
            Some(code) => format!("{}/{code}", self.status),
            None => self.status.to_string(),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Peer {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap(), left: Vec::new() }
    }

    /// Sends these bytes. A server that has heard enough may close before the last one: that shows in its answer.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = timeout(PATIENCE, self.socket.write_all(bytes.as_ref())).await;
        let _closed_early = sent.expect("the server takes it or closes");
    }

    /// The next answer; `None` when the server closes instead.
    pub async fn answer(&mut self, to_head: bool) -> Option<Answer> {
        timeout(PATIENCE, self.read_answer(to_head)).await.expect("an answer, or the end")
    }

    /// Sends one request and reads its answer.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes).await;
        self.answer(false).await.expect("an answer")
    }

    /// Whether the server says something, or closes, within this time.
    pub async fn hears_something_within(&self, time: Duration) -> bool {
        timeout(time, self.socket.readable()).await.is_ok()
    }

    async fn read_answer(&mut self, to_head: bool) -> Option<Answer> {
        let mut interim = 0;
        loop {
            let Some(end) = self.head_end().await else {
                assert!(self.left.is_empty(), "not an answer: {:?}", text(&self.left));
                return None;
            };
            let head = text(&self.left[..end - 4]);
            self.left.drain(..end);
            let is_answer = head.starts_with("HTTP/1.1 ") || head.starts_with("HTTP/1.0 ");
            assert!(is_answer, "not an answer: {head:?}");
            let status: u16 = head[9..12].parse().unwrap();
            if (100..200).contains(&status) && status != 101 {
                interim += 1;
                continue;
            }
            let mut answer = Answer { status, head, interim, ..Answer::default() };
            self.read_body(&mut answer, to_head).await;
            return Some(answer);
        }
    }

    async fn read_body(&mut self, answer: &mut Answer, to_head: bool) {
        let lengths = answer.all("content-length");
        assert!(lengths.len() < 2, "{}", answer.head);
        let length = lengths.first().map(|text| text.parse::<usize>().unwrap());
        let is_chunked = answer.all("transfer-encoding") == ["chunked"];
        assert!(!(is_chunked && length.is_some()), "framed twice: {}", answer.head);
        if to_head || matches!(answer.status, 204 | 304) {
            answer.whole = true;
        } else if is_chunked {
            answer.whole = self.read_chunks(&mut answer.body).await.is_some();
        } else if let Some(length) = length {
            answer.whole = self.fill(length).await.is_some();
            let length = length.min(self.left.len());
            answer.body = self.left.drain(..length).collect();
        } else {
            while self.more().await.is_some() {}
            answer.body = std::mem::take(&mut self.left);
        }
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(&line, 16).expect("a chunk size of ours");
            if size == 0 {
                let end = self.line().await?;
                assert!(end.is_empty(), "a trailer: {end}");
                return Some(());
            }
            if self.fill(size + 2).await.is_none() {
                body.append(&mut self.left);
                return None;
            }
            body.extend(self.left.drain(..size));
            self.left.drain(..2);
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.left.windows(2).position(|pair| pair == b"\r\n") {
                let line = text(&self.left[..end]);
                self.left.drain(..end + 2);
                return Some(line);
            }
            self.more().await?;
        }
    }

    async fn head_end(&mut self) -> Option<usize> {
        loop {
            if let Some(at) = self.left.windows(4).position(|four| four == b"\r\n\r\n") {
                return Some(at + 4);
            }
            self.more().await?;
        }
    }

    async fn fill(&mut self, length: usize) -> Option<()> {
        while self.left.len() < length {
            self.more().await?;
        }
        Some(())
    }

    /// A reset is an end too.
    async fn more(&mut self) -> Option<()> {
        match self.socket.read_buf(&mut self.left).await {
            Ok(count) if count > 0 => Some(()),
            _ => None,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
