//! WebSockets: hands the browser's handshake to the upstream over a connection of its own, and when both agree, joins the
//! two connections. Raw bytes go both ways, each side read only as fast as the other takes them; nothing is inspected but
//! where the frames to the browser end, so that a Close frame of ours stands between two of them and never inside one.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, to_bytes_limited};
use actix_web::dev::Payload;
use actix_web::http::header as seen;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::connection::Failed;
use super::error::ProxyError;
use super::frames::{Frames, close_frame};
use super::head::NoValue;
use super::pool::{Link, Pool};
use super::switched::Switched;
use super::upgrade::Handshake;
use super::upload::{Framing, Upload};
use super::{Forwarded, Outgoing, challenge, proof, request, response};
use crate::edge::{Reply, Request};
use crate::http1::Fields;
use crate::store::Ending;

/// The close code of a session's end: what 401 is to a call. The reason tells which end it was.
const CLOSE_CODE: u16 = 4401;
/// RFC 6455 §7.4.1: the server goes down, another one will answer.
const GOING_AWAY: u16 = 1001;
/// The largest body of an upstream's refusal, and how long it may take.
const MOST_REFUSAL: usize = 64 * 1024;
const REFUSAL_WITHIN: Duration = Duration::from_secs(10);
/// One side that takes nothing for so long has gone, whatever its connection says.
const STALLED: Duration = Duration::from_secs(300);
/// How long the last frame may take when the end has come.
const LAST_FRAME: Duration = Duration::from_secs(5);
/// Bytes read at a time: few from a quiet upstream, so that thousands of idle tunnels are small.
const FEW: usize = 4 * 1024;
const MANY: usize = 32 * 1024;
/// Pieces on their way to the browser beside what the server buffers.
const PIECES: usize = 2;

/// What became of a handshake.
pub enum Opened {
    /// Both sides switch.
    Switched(Box<Tunnel>),
    /// The upstream answered otherwise; the browser's connection closes with it.
    Refused(Forwarded),
}

/// Why a tunnel was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The browser went away.
    Browser,
    /// The upstream closed its connection.
    Upstream,
    /// One of them took nothing for minutes.
    Stalled,
    Session(Ending),
    /// The process goes down.
    ShutDown,
}

impl Closed {
    /// As it stands in metrics and audit events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Upstream => "upstream",
            Self::Stalled => "stalled",
            Self::Session(ending) => ending.as_str(),
            Self::ShutDown => "shutdown",
        }
    }

    /// The close code that the browser is told; `None` where there is nothing to tell, or nobody.
    fn code(self) -> Option<u16> {
        match self {
            Self::Session(_) => Some(CLOSE_CODE),
            Self::ShutDown => Some(GOING_AWAY),
            Self::Browser | Self::Upstream | Self::Stalled => None,
        }
    }
}

/// An upstream's side of a WebSocket, ready to be joined. Dropping it closes the connection.
pub struct Tunnel {
    upstream: Switched,
    answer: Fields,
    /// A tunnel is a call in flight for as long as it is open.
    link: Link,
}

/// Asks the upstream for a WebSocket.
///
/// # Errors
/// As for [`super::forward`], and [`ProxyError::Invalid`] for a 101 that does not answer this handshake.
pub async fn open_tunnel(
    pool: &Pool,
    request: &Request,
    handshake: &Handshake,
    outgoing: Outgoing<'_>,
) -> Result<Opened, ProxyError> {
    let opened = ask(pool, request, handshake, &outgoing).await;
    opened.inspect_err(|error| super::log(error, &outgoing))
}

async fn ask(
    pool: &Pool,
    request: &Request,
    handshake: &Handshake,
    outgoing: &Outgoing<'_>,
) -> Result<Opened, ProxyError> {
    let route = outgoing.route;
    route.admit(request.method().as_str())?;
    request::refuse_any(request, route)?;
    let mut head = request::head(request, outgoing, Framing::None, Vec::new())?;
    handshake
        .add_to(&mut head)
        .map_err(|NoValue| ProxyError::BadRequest("the handshake cannot be forwarded"))?;
    let config = route.config();
    // A connection of its own: one that is joined does not come back.
    let mut link = pool.upgradable(route).await?;
    let mut asking = link.connection.ask(head, Upload::nothing(), route.upstream())?;
    let answer = poll_fn(|cx| link.connection.poll_answer(&mut asking, cx));
    let answer = timeout(config.response_timeout, answer).await.map_err(|_| ProxyError::Timeout)?;
    outgoing.called(request, answer.as_ref().ok().map(|answer| answer.status.as_u16()));
    let answer = answer.map_err(|failed| match failed {
        Failed::Invalid(why) => ProxyError::Invalid(why),
        _ => ProxyError::Closed,
    })?;
    if answer.status != http::StatusCode::SWITCHING_PROTOCOLS {
        let token_refused =
            challenge::refused(answer.status, &answer.fields, outgoing.dpop.is_some());
        let nonce_wanted = proof::learn(outgoing, &answer);
        // A call like any other: it has an end, which the way down waits for.
        link.terms.endless = false;
        let response = response::build(answer, link, request, outgoing)?;
        let response = whole(response).await?;
        let refused = Forwarded { token_refused, nonce_wanted, ..Forwarded::plain(response) };
        return Ok(Opened::Refused(refused));
    }
    if !handshake.is_answered_by(&answer.fields) {
        return Err(ProxyError::Invalid("the upstream's answer does not fit the handshake"));
    }
    let upstream = link.connection.switch().ok_or(ProxyError::Closed)?;
    Ok(Opened::Switched(Box::new(Tunnel { upstream, answer: answer.fields, link })))
}

/// The answer with its whole body. The server reads raw bytes after a handshake until the connection ends, which it closes after a
/// refusal; without a length nobody could tell whether that is complete.
async fn whole(reply: Reply) -> Result<Reply, ProxyError> {
    let (head, body) = reply.into_parts();
    let body = timeout(REFUSAL_WITHIN, to_bytes_limited(body, MOST_REFUSAL)).await;
    let body = body.map_err(|_| ProxyError::Timeout)?;
    let body = body.map_err(|_| ProxyError::Invalid("the upstream's refusal is too long"))?;
    let body = body.map_err(|_| ProxyError::Closed)?;
    Ok(head.with_body(BoxBody::new(body)))
}

impl Tunnel {
    /// The 101 for the browser; from then on `browser` yields its raw bytes, and the two sides are joined until one goes,
    /// or `over` says that the session does. `closed` is told the cause once it is all over.
    pub fn join(
        self,
        browser: Payload,
        over: impl Future<Output = Ending> + 'static,
        closed: impl FnOnce(Closed) + 'static,
    ) -> HttpResponse {
        let (to_browser, mut pieces) = mpsc::channel(PIECES);
        let mut response = HttpResponse::SwitchingProtocols();
        response.upgrade("websocket");
        for name in ["sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"] {
            for value in self.answer.get_all(name) {
                if let Ok(value) = seen::HeaderValue::from_bytes(value) {
                    response.append_header((name, value));
                }
            }
        }
        let (upstream, link) = (self.upstream, self.link);
        let going_down = link.ending();
        let over = async move {
            match going_down {
                Some(going_down) => tokio::select! {
                    ending = over => Closed::Session(ending),
                    () = going_down => Closed::ShutDown,
                },
                None => Closed::Session(over.await),
            }
        };
        spawn_local(async move {
            let cause = pump(upstream, browser, to_browser, over).await;
            drop(link);
            closed(cause);
        });
        response.streaming(stream::poll_fn(move |cx| {
            pieces.poll_recv(cx).map(|piece: Option<Bytes>| piece.map(Ok::<_, Infallible>))
        }))
    }
}

/// Moves bytes both ways until the end. Dropping the browser's side of the channel ends it, and the end of this task
/// closes the upstream's connection.
async fn pump(
    upstream: Switched,
    mut browser: Payload,
    to_browser: mpsc::Sender<Bytes>,
    over: impl Future<Output = Closed>,
) -> Closed {
    let (read, mut write) = tokio::io::split(upstream);
    let mut down = Down { read, frames: Frames::default(), to_browser, want: FEW };
    let mut over = pin!(over);
    let closed = {
        let gone = down.to_browser.clone();
        tokio::select! {
            biased;
            closed = &mut over => closed,
            closed = up(&mut browser, &mut write) => closed,
            closed = down.run() => closed,
            () = gone.closed() => Closed::Browser,
        }
    };
    if let Some(code) = closed.code() {
        // Nothing more of the browser goes up.
        drop(browser);
        // A browser that does not take its last frame, or an upstream that does not end it, gets no Close frame.
        let _in_time = timeout(LAST_FRAME, down.end(code, closed.as_str())).await;
    } else if closed == Closed::Upstream {
        // An upstream that takes nothing more may have said why.
        let _in_time = timeout(LAST_FRAME, down.run()).await;
    }
    closed
}

/// From the browser to the upstream.
async fn up(browser: &mut Payload, write: &mut WriteHalf<Switched>) -> Closed {
    while let Some(Ok(piece)) = browser.next().await {
        let written = timeout(STALLED, async {
            write.write_all(&piece).await?;
            write.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Closed::Upstream,
            Err(_) => return Closed::Stalled,
        }
    }
    Closed::Browser
}

/// From the upstream to the browser. Its futures may be dropped at any await: bytes that were read are passed on at once.
struct Down {
    read: ReadHalf<Switched>,
    frames: Frames,
    to_browser: mpsc::Sender<Bytes>,
    /// Bytes to ask for next.
    want: usize,
}

impl Down {
    async fn run(&mut self) -> Closed {
        loop {
            let place = match timeout(STALLED, self.to_browser.reserve()).await {
                Ok(Ok(place)) => place,
                Ok(Err(_)) => return Closed::Browser,
                Err(_) => return Closed::Stalled,
            };
            let mut piece = BytesMut::with_capacity(self.want);
            // A quiet socket may stay open as long as its session.
            match self.read.read_buf(&mut piece).await {
                Ok(1..) => {}
                _ => return Closed::Upstream,
            }
            self.want = if piece.len() == self.want { MANY } else { FEW };
            self.frames.pass(&piece);
            place.send(piece.freeze());
        }
    }

    /// Lets the current frame come to its end, then says why there are no more.
    async fn end(&mut self, code: u16, reason: &str) {
        while !self.frames.is_between() {
            let Ok(place) = self.to_browser.reserve().await else { return };
            let mut piece = BytesMut::with_capacity(FEW);
            if !matches!(self.read.read_buf(&mut piece).await, Ok(1..)) {
                return;
            }
            piece.truncate(self.frames.rest_of_frame(&piece));
            place.send(piece.freeze());
        }
        if !self.frames.has_closed() {
            let frame = close_frame(code, reason);
            // A browser that has gone needs no Close frame.
            let _sent = self.to_browser.send(frame.into()).await;
        }
    }
}
