//! An upstream on raw sockets that does exactly what a test tells it, valid HTTP or not, and keeps every byte it was sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// One thing to do on a connection. After the last step the connection is closed.
#[derive(Clone)]
pub enum Step {
    /// Read one whole request and record it.
    Read,
    /// Read to the end of the head only, and record that.
    ReadHead,
    /// Read what comes first, whatever it is, and record it.
    ReadAny,
    /// Read this many bytes of the body, as they come.
    ReadBytes(usize),
    /// Write these bytes.
    Send(Vec<u8>),
    /// Write this many bytes of filling, in pieces of 64 KiB; counted in [`HostileUpstream::sent`].
    SendFilling(usize),
    /// Write these bytes again and again until the peer closes.
    Flood(Vec<u8>),
    /// Read and answer with these bytes for as long as requests come.
    Serve(Vec<u8>),
    /// Wait until the test lets it go on.
    Wait(Arc<Notify>),
    /// Tell the test that this point is reached.
    Tell(Arc<Notify>),
    /// Keep the connection open until the peer closes it; counted in [`HostileUpstream::hung_up`].
    Hang,
}

/// `Step::Send` of a text.
pub fn send(text: impl AsRef<[u8]>) -> Step {
    Step::Send(text.as_ref().to_vec())
}

/// A plain 200 with this body.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Vec<u8>>>,
    connections: AtomicUsize,
    hung_up: AtomicUsize,
    sent: AtomicUsize,
    broken_off: AtomicUsize,
}

/// The running upstream; stops when dropped.
pub struct HostileUpstream {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Drop for HostileUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HostileUpstream {
    /// Plays `script(n)` on the `n`th connection, counted from 0.
    pub async fn start(script: impl Fn(usize) -> Vec<Step> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(play(socket, script(number), Arc::clone(&shared)));
            }
        });
        Self { address, seen, task }
    }

    /// Answers every request with the same bytes.
    pub async fn answering(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        Self::start(move |_| vec![Step::Serve(answer.clone())]).await
    }

    /// Plays the same script on every connection.
    pub async fn playing(steps: Vec<Step>) -> Self {
        Self::start(move |_| steps.clone()).await
    }

    /// Every recorded request, raw.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.seen.requests.lock().unwrap();
        requests.iter().map(|raw| String::from_utf8_lossy(raw).into_owned()).collect()
    }

    /// The only request there was.
    pub fn request(&self) -> String {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Connections that the peer closed while we hung.
    pub fn hung_up(&self) -> usize {
        self.seen.hung_up.load(Ordering::SeqCst)
    }

    /// Connections that the peer closed while we had more to say or to hear.
    pub fn broken_off(&self) -> usize {
        self.seen.broken_off.load(Ordering::SeqCst)
    }

    /// Bytes of filling that the peer's side has taken.
    pub fn sent(&self) -> usize {
        self.seen.sent.load(Ordering::SeqCst)
    }
}

async fn play(mut socket: TcpStream, steps: Vec<Step>, seen: Arc<Seen>) {
    // A peer that closes ends the script; what it saw until then is recorded.
    if run(&mut socket, steps, &seen).await.is_err() {
        seen.broken_off.fetch_add(1, Ordering::SeqCst);
    }
    let _ = socket.shutdown().await;
}

async fn run(socket: &mut TcpStream, steps: Vec<Step>, seen: &Seen) -> std::io::Result<()> {
    let mut left = Vec::new();
    for step in steps {
        match step {
            Step::Read => read_request(socket, &mut left, seen).await?,
            Step::ReadHead => {
                let end = read_head(socket, &mut left).await?;
                let rest = left.split_off(end);
                seen.requests.lock().unwrap().push(std::mem::replace(&mut left, rest));
            }
            Step::ReadAny => {
                more(socket, &mut left).await?;
                seen.requests.lock().unwrap().push(std::mem::take(&mut left));
            }
            Step::ReadBytes(count) => {
                while left.len() < count {
                    more(socket, &mut left).await?;
                }
                left.drain(..count);
            }
            Step::Send(bytes) => socket.write_all(&bytes).await?,
            Step::SendFilling(count) => {
                let piece = vec![b'x'; 64 * 1024];
                let mut done = 0;
                while done < count {
                    let length = piece.len().min(count - done);
                    socket.write_all(&piece[..length]).await?;
                    done += length;
                    seen.sent.fetch_add(length, Ordering::SeqCst);
                }
            }
            Step::Flood(bytes) => loop {
                socket.write_all(&bytes).await?;
                tokio::task::yield_now().await;
            },
            Step::Serve(answer) => loop {
                read_request(socket, &mut left, seen).await?;
                socket.write_all(&answer).await?;
            },
            Step::Wait(notify) => notify.notified().await,
            Step::Tell(notify) => notify.notify_one(),
            Step::Hang => {
                let mut sink = [0; 4096];
                while matches!(socket.read(&mut sink).await, Ok(count) if count > 0) {}
                seen.hung_up.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    Ok(())
}

async fn more(socket: &mut TcpStream, into: &mut Vec<u8>) -> std::io::Result<()> {
    into.reserve(16 * 1024);
    match socket.read_buf(into).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Reads until the empty line; gives the length of the head.
async fn read_head(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(at + 4);
        }
        more(socket, buffer).await?;
    }
}

/// Reads a request with its body; good enough for what a correct proxy sends.
async fn read_request(
    socket: &mut TcpStream,
    buffer: &mut Vec<u8>,
    seen: &Seen,
) -> std::io::Result<()> {
    let head = read_head(socket, buffer).await?;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let end = if text.contains("\r\ntransfer-encoding: chunked\r\n") {
        loop {
            let body = &buffer[head..];
            if body.starts_with(b"0\r\n\r\n") {
                break head + 5;
            }
            if let Some(at) = body.windows(7).position(|window| window == b"\r\n0\r\n\r\n") {
                break head + at + 7;
            }
            more(socket, buffer).await?;
        }
    } else {
        let length = text.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next());
        let end = head + length.map_or(0, |length| length.parse::<usize>().unwrap());
        while buffer.len() < end {
            more(socket, buffer).await?;
        }
        end
    };
    let rest = buffer.split_off(end);
    seen.requests.lock().unwrap().push(std::mem::replace(buffer, rest));
    Ok(())
}

/// Waits for a condition; fails after ten seconds instead of hanging.
pub async fn until(condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited ten seconds in vain");
}
