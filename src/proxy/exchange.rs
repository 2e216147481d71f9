//! Sends a request and waits for the head of the answer: over an idle connection if there is one, else over a new one.
//! Tries a second time only when nothing of the first was sent, or when the route says so and the request may be repeated
//! (RFC 9110 §9.2.2, RFC 9112 §9.3.1).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::connection::Connection;
use super::error::ProxyError;
use super::fields::is_event_stream;
use super::multiplexed::{is_malformed, was_not_begun};
use super::pool::{Link, Pool, Slot, Terms};
use super::route::Route;
use super::upload::{Upload, UploadFault, Watch};
use crate::config::{Retry, RouteConfig};

/// A time limit beyond this is as good as none, and cannot overflow a point in time.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

type Failed = TrySendError<Request<Upload>>;

/// Sends what `head` builds, with `upload` as its body. The link belongs to the body of the answer.
pub async fn send(
    pool: &Pool,
    route: &Route,
    upload: Upload,
    head: impl Fn() -> Result<Request<()>, ProxyError>,
) -> Result<(Response<Incoming>, Link), ProxyError> {
    let slot = pool.enter(route)?;
    let route = route.config();
    let watch = upload.watch();
    if watch.is_some() {
        // The server asks before it takes the body out of what it has read already. Once it has, head and body go out
        // together; what has not come by then is not waited for.
        yield_now().await;
    }
    let started = Instant::now();
    let over = route.total_timeout.map(|limit| started + limit.min(LONGEST_WAIT));
    let ask = Ask { watch: watch.as_deref(), limit: route.response_timeout, over };
    let mut request = head()?.map(|()| upload);
    let may_repeat =
        route.retry == Retry::Idempotent && watch.is_none() && request.method().is_idempotent();
    if let Some(mut connection) = slot.reuse(started) {
        let answer = pin!(connection.ask(request));
        let failed = match ask.over(&mut connection, answer, started).await? {
            Ok(answer) => return Ok(ask.begun(answer, slot, connection, route)),
            Err(failed) => failed,
        };
        request = again(failed, ask.watch, may_repeat, head)?;
    }
    // Rare, and large: it does not belong into the future of every call.
    Box::pin(over_a_new_one(&ask, slot, route, request)).await
}

async fn over_a_new_one(
    ask: &Ask<'_>,
    slot: Slot,
    route: &RouteConfig,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Link), ProxyError> {
    let mut connection = slot.connect(route.connect_timeout).await?;
    let answer = pin!(connection.ask(request));
    match ask.over(&mut connection, answer, Instant::now()).await? {
        Ok(answer) => Ok(ask.begun(answer, slot, connection, route)),
        Err(failed) => {
            let reason = reason(failed.error(), ask.watch);
            if reason == ProxyError::Closed {
                slot.failed();
            }
            Err(reason)
        }
    }
}

/// What holds for the body, now that the head is known.
fn terms(answer: &Response<Incoming>, route: &RouteConfig, over: Option<Instant>) -> Terms {
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    // Silence is what an event stream mostly consists of.
    let is_endless =
        text(CONTENT_TYPE).is_some_and(|media_type| is_event_stream(media_type.as_bytes()));
    let hint = text(KEEP_ALIVE).and_then(kept_for).unwrap_or(Duration::MAX);
    Terms {
        idle: route.idle_timeout.filter(|_| !is_endless),
        over,
        keep: route.keepalive_timeout.min(hint),
        endless: is_endless,
    }
}

/// How long the upstream keeps the connection by its own word (`Keep-Alive: timeout=5, max=100`), less what a message may
/// be on its way: so none is sent into a connection that is being closed.
fn kept_for(keep_alive: &str) -> Option<Duration> {
    let timeout = keep_alive.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| value.trim().parse::<u32>().ok())?
    });
    timeout.map(|seconds| Duration::from_secs(u64::from(seconds).saturating_sub(1)))
}

/// The request for a second try after an idle connection turned out dead.
fn again(
    mut failed: Box<Failed>,
    watch: Option<&Watch>,
    may_repeat: bool,
    head: impl Fn() -> Result<Request<()>, ProxyError>,
) -> Result<Request<Upload>, ProxyError> {
    match failed.take_message() {
        // Not a byte of it was written.
        Some(unsent) => Ok(unsent),
        None if watch.is_none() && was_not_begun(failed.error()) => {
            Ok(head()?.map(|()| Upload::nothing()))
        }
        None if may_repeat && reason(failed.error(), watch) == ProxyError::Closed => {
            Ok(head()?.map(|()| Upload::nothing()))
        }
        None => Err(reason(failed.error(), watch)),
    }
}

/// How to ask for an answer.
struct Ask<'a> {
    watch: Option<&'a Watch>,
    /// Until the head; counts from the last byte of the body that came in, so that a long upload is not cut off while it
    /// moves.
    limit: Duration,
    /// When the whole call must be over.
    over: Option<Instant>,
}

impl Ask<'_> {
    /// Waits for the head of `answer`, which was asked for over `connection`.
    async fn over(
        &self,
        connection: &mut Connection,
        mut answer: Pin<&mut impl Future<Output = Result<Response<Incoming>, Failed>>>,
        started: Instant,
    ) -> Result<Result<Response<Incoming>, Box<Failed>>, ProxyError> {
        poll_fn(|cx| {
            // Put where it stays: an answer is large, and would be moved once for each layer.
            let mut head = None;
            let _ready = connection.poll_for(cx, |cx| {
                answer.as_mut().poll(cx).map(|answer| head = Some(answer.map_err(Box::new)))
            });
            if let Some(head) = head {
                return Poll::Ready(Ok(head));
            }
            if !connection.is_past(self.due(started), cx) {
                return Poll::Pending;
            }
            if self.watch.is_some_and(Watch::wants_more) {
                Poll::Ready(Err(ProxyError::ClientGone))
            } else {
                connection.distrust();
                Poll::Ready(Err(ProxyError::Timeout))
            }
        })
        .await
    }

    /// The answer has begun; its body takes the connection along.
    fn begun(
        &self,
        answer: Response<Incoming>,
        slot: Slot,
        mut connection: Connection,
        route: &RouteConfig,
    ) -> (Response<Incoming>, Link) {
        // An answer that comes before the request is over: whoever reads it slowly, or not at all yet, must not hold up
        // the rest of the upload.
        if self.watch.is_some_and(|watch| !watch.is_finished()) {
            connection.detach();
        }
        slot.worked();
        let terms = terms(&answer, route, self.over);
        (answer, slot.link(connection, terms))
    }

    fn due(&self, started: Instant) -> Instant {
        let due = self.watch.map_or(started, Watch::moved) + self.limit.min(LONGEST_WAIT);
        self.over.map_or(due, |over| over.min(due))
    }
}

fn reason(error: &hyper::Error, watch: Option<&Watch>) -> ProxyError {
    match watch.and_then(Watch::fault) {
        Some(UploadFault::TooLarge(limit)) => return ProxyError::BodyTooLarge { limit },
        Some(UploadFault::Incomplete) => return ProxyError::ClientGone,
        None => {}
    }
    if error.is_parse() || error.is_parse_status() {
        ProxyError::Invalid("the upstream's answer is not HTTP/1.1")
    } else if is_malformed(error) {
        ProxyError::Invalid("the upstream's answer is not HTTP/2")
    } else {
        ProxyError::Closed
    }
}

#[cfg(test)]
mod tests;
