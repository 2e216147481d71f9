//! One connection that many exchanges share (HTTP/2, RFC 9113). Each has a stream of it; a task of its own drives it.
//! Never lets one reader who stalls hold up the others: the connection's window has room for all of its streams' windows.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::Instant;

use super::connection::Failed;
use super::error::ProxyError;
use super::upload::Upload;

/// Exchanges at the same time over one connection, if the upstream allows as many (RFC 9113 §6.5.2 recommends to).
const MOST_STREAMS: u32 = 100;
/// The same, before the upstream has said how many it allows: more might have to wait for each other.
const BEFORE_SETTINGS: usize = 1;
/// What an upstream may send of one answer ahead of its reader, bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The largest answer head, bytes, as HTTP/2 counts it.
const MOST_HEAD_BYTES: u32 = 64 * 1024;
/// What waits to be sent of one request, bytes.
const MOST_UNSENT: usize = 64 * 1024;
/// How long a connection with calls under way may be silent before it is asked whether it still lives, and how long that
/// may take: without, calls would go to a machine that is gone until TCP gives up.
const SILENCE: Duration = Duration::from_secs(15);
const REPLY: Duration = Duration::from_secs(10);

/// A connection, as long as it is kept for further exchanges or has one.
pub struct Multiplexed {
    sender: SendRequest<Upload>,
    /// Exchanges under way.
    open: Cell<usize>,
    /// So many may be, as the upstream says.
    most: Box<dyn Fn() -> usize>,
    /// How long it is kept without any, and until when that is. At first not at all.
    keep: Cell<Duration>,
    until: Cell<Instant>,
    /// A call over it came to nothing: it gets no further ones.
    is_distrusted: Cell<bool>,
    driver: JoinHandle<()>,
}

/// The right to one exchange; dropped, what is left of the exchange is reset.
pub struct Stream(Rc<Multiplexed>);

/// Runs what belongs to the connection on the thread of its worker.
#[derive(Clone)]
struct Here;

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// Speaks HTTP/2 over `io` from the first byte on (RFC 9113 §3.2, §3.3). Gives its first stream.
pub async fn handshake<S>(io: S) -> Result<Stream, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = Builder::new(Here)
        .timer(TokioTimer::new())
        .keep_alive_interval(SILENCE)
        .keep_alive_timeout(REPLY)
        .initial_max_send_streams(BEFORE_SETTINGS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * MOST_STREAMS)
        .max_header_list_size(MOST_HEAD_BYTES)
        .max_send_buf_size(MOST_UNSENT)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|_| ProxyError::Connect)?;
    let open = Rc::new(RefCell::new(Some(connection)));
    let shared = Rc::clone(&open);
    let driver = spawn_local(async move {
        // Whoever waits for an answer gets the error; an idle connection that ends is no news.
        let _ended = poll_fn(|cx| match &mut *open.borrow_mut() {
            Some(connection) => Pin::new(connection).poll(cx),
            None => Poll::Ready(Ok(())),
        })
        .await;
        // What it was still asked for is answered by its end.
        open.take();
    });
    // Asked for when it is needed: nobody is told when the upstream says another number.
    let most = move || {
        let open = shared.try_borrow();
        let allowed = open.ok().and_then(|open| Some(open.as_ref()?.current_max_send_streams()));
        allowed.map_or(BEFORE_SETTINGS, |allowed| allowed.min(MOST_STREAMS as usize))
    };
    let connection = Multiplexed {
        sender,
        open: Cell::new(0),
        most: Box::new(most),
        keep: Cell::default(),
        until: Cell::new(Instant::now()),
        is_distrusted: Cell::new(false),
        driver,
    };
    Ok(Rc::new(connection).begin())
}

impl Multiplexed {
    /// A stream for one more exchange, if there may be one.
    pub fn stream(self: &Rc<Self>, now: Instant) -> Option<Stream> {
        let is_free = self.is_kept(now) && self.open.get() < (self.most)();
        is_free.then(|| Rc::clone(self).begin())
    }

    /// Whether it is there for further exchanges: the upstream has not closed it, and it is used or was until lately.
    pub fn is_kept(&self, now: Instant) -> bool {
        let is_used = self.open.get() > 0 || now < self.until.get();
        is_used && !self.is_distrusted.get() && !self.sender.is_closed()
    }

    fn begin(self: Rc<Self>) -> Stream {
        self.open.update(|open| open + 1);
        Stream(self)
    }
}

impl Drop for Multiplexed {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Stream {
    /// The connection.
    pub fn connection(&self) -> &Rc<Multiplexed> {
        &self.0
    }

    /// Whether the upstream has not closed the connection.
    pub fn is_open(&self) -> bool {
        !self.0.sender.is_closed()
    }

    /// The connection gets no further exchanges: this one has waited in vain, and the others might.
    pub fn distrust(&self) {
        self.0.is_distrusted.set(true);
    }

    /// The exchange is over; the connection is kept for `keep` without another one.
    pub fn finish(self, keep: Duration) {
        self.0.keep.set(keep);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Multiplexed { open, keep, until, .. } = &*self.0;
        open.update(|open| open.saturating_sub(1));
        until.set(until.get().max(Instant::now() + keep.get()));
    }
}

type Answering =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>>>>;

/// A request for one stream, until its answer has begun.
pub struct Asked {
    /// Not sent yet, or not at all.
    unsent: Option<Request<Upload>>,
    answering: Option<Answering>,
}

impl Asked {
    /// Sent when it is polled.
    pub fn new(request: Request<Upload>) -> Self {
        Self { unsent: Some(request), answering: None }
    }

    /// Waits for the head of the answer.
    pub fn poll(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Incoming>, Failed>> {
        if let Some(request) = self.unsent.take() {
            let mut sender = stream.0.sender.clone();
            self.answering = Some(Box::pin(sender.try_send_request(request)));
        }
        let Some(answering) = &mut self.answering else {
            return Poll::Ready(Err(Failed::Closed));
        };
        let answered = ready!(answering.as_mut().poll(cx));
        self.answering = None;
        Poll::Ready(answered.map_err(|mut error| {
            self.unsent = error.take_message();
            match &self.unsent {
                Some(_) => Failed::Unsent,
                None if was_not_begun(error.error()) => Failed::NotBegun,
                None if is_malformed(error.error()) => {
                    Failed::Invalid("the upstream's answer is not HTTP/2")
                }
                None => Failed::Closed,
            }
        }))
    }
}

/// Whether the upstream says that it has not begun with the request: it may be sent again, whatever it asks for
/// (RFC 9113 §8.7).
fn was_not_begun(error: &hyper::Error) -> bool {
    reason(error).is_some_and(|error| {
        let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        // Streams up to the one that a GOAWAY names go on, and only the others fail by it.
        error.is_remote() && (is_refused || error.is_go_away())
    })
}

/// Whether the upstream sent what is no HTTP/2.
fn is_malformed(error: &hyper::Error) -> bool {
    reason(error).is_some_and(|error| !error.is_remote() && !error.is_io())
}

fn reason(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}
