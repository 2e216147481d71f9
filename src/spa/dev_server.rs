//! Passes requests for the SPA on to a developer's own dev server (Vite and its like), hot-reload WebSocket included.
//! For loopback only, as the configuration makes sure. It opens a connection per request: it is made to be simple, not
//! fast. Cookies and credentials never go there, and its cookies never come back.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;

use crate::config::Upstream;
use crate::edge::{Code, Problem, Request};

type Upload = UnsyncBoxBody<Bytes, std::io::Error>;
type Tunnel = TokioIo<hyper::upgrade::Upgraded>;

/// A dev server that starts slowly is waited for; one that is not there is told at once.
const HEAD_WITHIN: Duration = Duration::from_secs(60);
/// Bytes read from a WebSocket at a time.
const PIECE: usize = 16 * 1024;
/// Fields that end here: hop by hop (RFC 9110 §7.6.1), or not the dev server's business.
const NOT_UP: [&str; 8] = [
    "host",
    "cookie",
    "authorization",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "content-length",
];
const NOT_DOWN: [&str; 6] = [
    "set-cookie",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "strict-transport-security",
    "content-length",
];

/// The dev server of one SPA.
#[derive(Debug)]
pub struct DevServer {
    upstream: Upstream,
    /// Our own origin: hot reload connects from our pages only.
    origin: String,
}

impl DevServer {
    /// `origin` is where browsers see the SPA.
    pub fn new(upstream: Upstream, origin: String) -> Self {
        Self { upstream, origin }
    }

    /// Passes the request for `path` on and gives the dev server's answer, its body still streaming.
    pub async fn answer(
        &self,
        request: &Request,
        path: &str,
        body: Payload,
    ) -> Result<HttpResponse, Problem> {
        let unavailable = || Problem::new(Code::DevServerUnavailable);
        let upgrade = request.fields().has("upgrade");
        if upgrade && !self.is_from_our_page(request) {
            return Err(Problem::new(Code::CsrfOrigin));
        }
        let socket = TcpStream::connect((self.upstream.host.as_str(), self.upstream.port)).await;
        let socket = TokioIo::new(socket.map_err(|_| unavailable())?);
        let (mut sender, driver) =
            http1::handshake::<_, Upload>(socket).await.map_err(|_| unavailable())?;
        tokio::task::spawn_local(driver.with_upgrades());
        if upgrade {
            let outgoing = self.head(request, path, no_body()).ok_or_else(bad_request)?;
            let answer = tokio::time::timeout(HEAD_WITHIN, sender.send_request(outgoing)).await;
            let answer = answer.ok().and_then(Result::ok).ok_or_else(unavailable)?;
            return tunnel(answer, body).await.ok_or_else(unavailable);
        }
        let outgoing = self.head(request, path, upload(body)).ok_or_else(bad_request)?;
        let answer = tokio::time::timeout(HEAD_WITHIN, sender.send_request(outgoing)).await;
        let answer = answer.ok().and_then(Result::ok).ok_or_else(unavailable)?;
        Ok(download(answer))
    }

    fn is_from_our_page(&self, request: &Request) -> bool {
        request.fields().get("origin") == Some(self.origin.as_bytes())
    }

    fn head(&self, request: &Request, path: &str, body: Upload) -> Option<hyper::Request<Upload>> {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut outgoing = hyper::Request::builder()
            .method(request.method().as_str())
            .uri(format!("{}{path}{query}", self.upstream.prefix))
            .header("host", &self.upstream.authority);
        for (name, value) in request.fields().iter() {
            if !NOT_UP.contains(&name) {
                outgoing = outgoing.header(name, value);
            }
        }
        outgoing.body(body).ok()
    }
}

fn bad_request() -> Problem {
    Problem::new(Code::BadRequest)
}

fn no_body() -> Upload {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// The browser's body, handed over from this worker's thread through a channel: the client library wants bodies that may
/// move between threads.
fn upload(body: Payload) -> Upload {
    let (pieces, received) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(8);
    tokio::task::spawn_local(async move {
        let mut body = body.map_err(std::io::Error::other);
        while let Some(piece) = body.next().await {
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    });
    let pieces = stream::unfold(received, |mut received| async move {
        received.recv().await.map(|piece| (piece.map(Frame::data), received))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

fn download(answer: hyper::Response<hyper::body::Incoming>) -> HttpResponse {
    let (head, body) = answer.into_parts();
    let mut response = response(&head);
    let headers = response.headers_mut();
    // The dev server's pages bring inline scripts: only framing is refused for them.
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let policy = HeaderValue::from_static("frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    let body = actix_web::body::BodyStream::new(BodyDataStream::new(body));
    response.set_body(actix_web::body::BoxBody::new(body))
}

fn response(head: &hyper::http::response::Parts) -> HttpResponse {
    let status = StatusCode::from_u16(head.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::new(status);
    for (name, value) in &head.headers {
        if !NOT_DOWN.contains(&name.as_str()) {
            copy(response.headers_mut(), name.as_str(), value.as_bytes());
        }
    }
    response
}

fn copy(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

/// Joins the browser's connection and the dev server's after `101 Switching Protocols`; a refusal is passed on.
async fn tunnel(
    answer: hyper::Response<hyper::body::Incoming>,
    body: Payload,
) -> Option<HttpResponse> {
    if answer.status().as_u16() != 101 {
        return Some(download(answer));
    }
    let head = answer.headers().clone();
    let upgraded = hyper::upgrade::on(answer).await.ok()?;
    let (down, up) = tokio::io::split(TokioIo::new(upgraded));
    tokio::task::spawn_local(send_up(body, up));
    let mut response = HttpResponse::SwitchingProtocols();
    response.upgrade("websocket");
    for (name, value) in &head {
        if name.as_str().starts_with("sec-websocket-") {
            response.insert_header((name.as_str(), value.as_bytes()));
        }
    }
    Some(response.streaming(read_down(down)))
}

async fn send_up(mut body: Payload, mut up: WriteHalf<Tunnel>) {
    while let Some(Ok(piece)) = body.next().await {
        if up.write_all(&piece).await.is_err() {
            return;
        }
    }
    // The browser has gone: nothing to do about a dev server that does not take the news.
    let _told = up.shutdown().await;
}

fn read_down(down: ReadHalf<Tunnel>) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(down, |mut down| async move {
        let mut piece = vec![0; PIECE];
        match down.read(&mut piece).await {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Bytes::from(piece)), down))
            }
            Err(error) => Some((Err(error), down)),
        }
    })
}
