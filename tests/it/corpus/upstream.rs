//! The API behind the server under test. It reads requests as strictly as the RFC allows, keeps each with its bytes, says
//! what it saw (method, target, `Authorization`), or answers with the bytes that a case has set for its target.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a case wants answered instead of an echo.
#[derive(Clone)]
pub struct Reply {
    pub bytes: Vec<u8>,
    /// Answer before the body of the request is read.
    pub early: bool,
    pub then: Then,
}

/// What follows the bytes of a [`Reply`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Serve the next request.
    Serve,
    Close,
    /// Say nothing more until the peer closes.
    Hang,
    /// The same bytes again and again until the peer closes.
    Flood,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counted from 0.
    pub connection: usize,
    pub method: String,
    pub target: String,
    pub head: String,
    /// Decoded.
    pub body: Vec<u8>,
    /// The body is complete.
    pub whole: bool,
}

impl Seen {
    /// All values of a field, name in lower case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
    }

    fn authorization(&self) -> String {
        self.all("authorization").join("+")
    }
}

#[derive(Default)]
struct Shared {
    replies: Mutex<HashMap<String, Reply>>,
    seen: Mutex<Vec<Seen>>,
    broken: Mutex<Vec<String>>,
    closed: Mutex<HashSet<usize>>,
}

/// The running upstream; stops when dropped.
pub struct CorpusUpstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for CorpusUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl CorpusUpstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(Connection::new(socket, number), Arc::clone(&state)));
            }
        });
        Self { address, shared, task }
    }

    /// Answers requests for exactly this target (without query) so.
    pub fn set(&self, target: &str, reply: Reply) {
        self.shared.replies.lock().unwrap().insert(target.to_owned(), reply);
    }

    /// The requests whose target holds `text`, in order.
    pub fn seen(&self, text: &str) -> Vec<Seen> {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|request| request.target.contains(text)).cloned().collect()
    }

    /// How many requests came in all.
    pub fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// Whether the other side has closed this connection.
    pub fn is_closed(&self, connection: usize) -> bool {
        self.shared.closed.lock().unwrap().contains(&connection)
    }

    /// Every request so far was framed once, in the strict form, with the fields of one reader.
    pub fn assert_strict(&self) {
        let broken = self.shared.broken.lock().unwrap();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

struct Connection {
    socket: TcpStream,
    number: usize,
    buffer: Vec<u8>,
}

async fn serve(mut connection: Connection, shared: Arc<Shared>) {
    // A peer that closes ends the service; what was seen until then is kept.
    let _ended = answer_all(&mut connection, &shared).await;
    shared.closed.lock().unwrap().insert(connection.number);
}

async fn answer_all(connection: &mut Connection, shared: &Shared) -> std::io::Result<()> {
    loop {
        let mut request = connection.head().await?;
        if let Err(why) = check(&request.head) {
            shared.broken.lock().unwrap().push(format!("{why}: {:?}", request.head));
        }
        let path = request.target.split('?').next().unwrap_or_default();
        let reply = shared.replies.lock().unwrap().get(path).cloned();
        let early = reply.as_ref().is_some_and(|reply| reply.early);
        if !early && let Err(why) = connection.body(&mut request).await {
            shared.broken.lock().unwrap().push(format!("{why}: {:?}", request.head));
        }
        let whole = request.whole;
        shared.seen.lock().unwrap().push(request.clone());
        if !whole && !early {
            return Ok(());
        }
        let Some(reply) = reply else {
            connection.socket.write_all(&echo(&request)).await?;
            continue;
        };
        connection.socket.write_all(&reply.bytes).await?;
        match reply.then {
            Then::Serve => {}
            Then::Close => return connection.socket.shutdown().await,
            Then::Hang => connection.until_closed().await,
            Then::Flood => loop {
                connection.socket.write_all(&reply.bytes).await?;
                tokio::task::yield_now().await;
            },
        }
    }
}

/// What an upstream saw, said in its answer: whose token, which target.
fn echo(request: &Seen) -> Vec<u8> {
    let text = format!("{} {} {}", request.method, request.target, request.authorization());
    let body = if request.method == "HEAD" { "" } else { text.as_str() };
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", text.len()).into_bytes()
}

impl Connection {
    fn new(socket: TcpStream, number: usize) -> Self {
        Self { socket, number, buffer: Vec::new() }
    }

    async fn more(&mut self) -> std::io::Result<()> {
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn until_closed(&mut self) {
        while self.more().await.is_ok() {
            self.buffer.clear();
        }
    }

    async fn head(&mut self) -> std::io::Result<Seen> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let raw: Vec<u8> = self.buffer.drain(..end).collect();
        let head = String::from_utf8_lossy(&raw[..end - 4]).into_owned();
        let mut parts = head.split("\r\n").next().unwrap_or_default().split(' ');
        let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Ok(Seen {
            connection: self.number,
            method: method.to_owned(),
            target: target.to_owned(),
            head,
            body: Vec::new(),
            whole: false,
        })
    }

    /// Reads the body; the end of the connection inside it leaves the request torn.
    async fn body(&mut self, request: &mut Seen) -> Result<(), String> {
        let length = request.all("content-length").first().map(|text| text.parse::<usize>());
        let ended = if request.all("transfer-encoding").is_empty() {
            let length = length.unwrap_or(Ok(0)).map_err(|_| "the length is no number")?;
            self.take(length, &mut request.body).await
        } else {
            self.chunks(&mut request.body).await?
        };
        request.whole = ended.is_some();
        Ok(())
    }

    async fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Option<()> {
        while self.buffer.len() < length {
            if self.more().await.is_err() {
                into.append(&mut self.buffer);
                return None;
            }
        }
        into.extend(self.buffer.drain(..length));
        Some(())
    }

    /// Chunks without extensions, and no trailer.
    async fn chunks(&mut self, into: &mut Vec<u8>) -> Result<Option<()>, String> {
        loop {
            let at = loop {
                if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                    break at;
                }
                if self.more().await.is_err() {
                    return Ok(None);
                }
            };
            let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
            self.buffer.drain(..at + 2);
            if !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("a chunk size {line:?}"));
            }
            let size =
                usize::from_str_radix(&line, 16).map_err(|_| format!("a chunk size {line:?}"))?;
            if self.take(size, into).await.is_none() {
                return Ok(None);
            }
            let mut end = Vec::new();
            if self.take(2, &mut end).await.is_none() {
                return Ok(None);
            }
            if end != b"\r\n" {
                return Err(format!("after a chunk {end:?}"));
            }
            if size == 0 {
                return Ok(Some(()));
            }
        }
    }
}

/// The form that every reader takes for the same: RFC 9112 §2 without any of its allowances.
fn check(head: &str) -> Result<(), &'static str> {
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let parts: Vec<&str> = line.split(' ').collect();
    if parts.len() != 3 || parts[2] != "HTTP/1.1" || !parts[1].starts_with('/') {
        return Err("the request line");
    }
    if head.replace("\r\n", "").contains(|c: char| c.is_control() && c != '\t') {
        return Err("a control character");
    }
    let mut framed = 0;
    let mut hosts = 0;
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or("a line without a colon")?;
        if !name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()) {
            return Err("a field name");
        }
        hosts += usize::from(name == "host");
        framed += usize::from(name == "content-length");
        if name == "transfer-encoding" {
            framed += 1;
            if value != "chunked" {
                return Err("a transfer coding");
            }
        }
    }
    if framed > 1 {
        return Err("framed twice");
    }
    if hosts == 1 { Ok(()) } else { Err("not one host") }
}
