//! Just enough HTTP/1.1 on a socket, with answers that may be slow, endless, cut off, or not HTTP at all.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::tls::thumbprint;

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The thumbprint of the certificate that the client showed.
    pub certificate: Option<String>,
    /// It came to the port for clients with a certificate.
    pub at_alias: bool,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Before the head.
    pub delay: Duration,
    pub manner: Manner,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Whole,
    /// The body byte by byte, with this pause after each.
    Trickle(Duration),
    /// The connection is closed instead of an answer.
    HangUp,
    /// The connection is closed in the middle of the body.
    CutOff,
    /// The body is sent again and again, without a length, until the client has had enough.
    Endless,
}

impl Request {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The fields of the form body.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    /// A field of the form body.
    pub fn field(&self, name: &str) -> Option<String> {
        self.form().into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Client id and secret of `Authorization: Basic`, form-decoded as RFC 6749 §2.3.1 says.
    pub fn basic(&self) -> Option<(String, String)> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (id, secret) = pair.split_once(':')?;
        let decode = |text: &str| {
            let plus = text.replace('+', " ");
            percent_encoding::percent_decode_str(&plus).decode_utf8_lossy().into_owned()
        };
        Some((decode(id), decode(secret)))
    }
}

impl Reply {
    /// An answer of this media type.
    pub fn new(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), media_type.to_owned())],
            body: body.into(),
            delay: Duration::ZERO,
            manner: Manner::Whole,
        }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status, "text/plain", "").with_header("location", location)
    }

    /// With one more header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// After a delay.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Written in another manner.
    pub fn written(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }
}

/// Serves until the task is aborted.
pub async fn serve<F>(listener: TcpListener, tls: Option<TlsAcceptor>, answer: Arc<F>)
where
    F: Fn(Request) -> Reply + Send + Sync + 'static,
{
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((socket, _)) = accepted else { continue };
        // Head and body are two writes: without this each answer waits for a delayed acknowledgement.
        let _ = socket.set_nodelay(true);
        let (tls, answer) = (tls.clone(), Arc::clone(&answer));
        connections.spawn(async move {
            match tls {
                None => converse(socket, &*answer).await,
                Some(tls) => {
                    let socket = tls.accept(socket).await.ok()?;
                    let shown = socket.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    let certificate = shown.map(thumbprint);
                    let answer =
                        |request| answer(Request { certificate: certificate.clone(), ..request });
                    converse(socket, &answer).await
                }
            }
        });
    }
}

async fn converse<S>(mut socket: S, answer: &impl Fn(Request) -> Reply) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    loop {
        let request = read(&mut socket, &mut buffer).await?;
        let reply = answer(request);
        tokio::time::sleep(reply.delay).await;
        write(&mut socket, &reply).await?;
    }
}

/// Reads one request; `buffer` holds what came after the one before. `None` when the peer closes, or sends no request.
pub async fn read<S: AsyncRead + Unpin>(socket: &mut S, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(socket, buffer).await?;
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Some(0), |(_, value)| value.parse::<usize>().ok())?;
    while buffer.len() < length {
        more(socket, buffer).await?;
    }
    let body = String::from_utf8(buffer.drain(..length).collect()).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Some(Request {
        method,
        path: path.to_owned(),
        query,
        headers,
        body,
        certificate: None,
        at_alias: false,
    })
}

async fn more<S: AsyncRead + Unpin>(socket: &mut S, buffer: &mut Vec<u8>) -> Option<()> {
    let read = socket.read_buf(buffer).await.ok()?;
    (read > 0).then_some(())
}

/// Writes an answer; `None` ends the connection.
pub async fn write<S: AsyncWrite + Unpin>(socket: &mut S, reply: &Reply) -> Option<()> {
    if reply.manner == Manner::HangUp {
        return None;
    }
    let mut head = format!("HTTP/1.1 {} Whatever\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if reply.manner == Manner::Endless {
        head.push_str("connection: close\r\n");
    } else {
        head.extend(["content-length: ", &reply.body.len().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).await.ok()?;
    match reply.manner {
        Manner::Trickle(pause) => {
            for byte in &reply.body {
                socket.write_all(&[*byte]).await.ok()?;
                socket.flush().await.ok()?;
                tokio::time::sleep(pause).await;
            }
        }
        Manner::CutOff => {
            socket.write_all(&reply.body[..reply.body.len() / 2]).await.ok()?;
            socket.flush().await.ok()?;
            return None;
        }
        Manner::Endless => loop {
            socket.write_all(&reply.body).await.ok()?;
        },
        Manner::Whole | Manner::HangUp => socket.write_all(&reply.body).await.ok()?,
    }
    socket.flush().await.ok()
}
