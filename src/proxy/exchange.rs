//! Sends a request and waits for the head of the answer: over an idle connection if there is one, else over a new one.
//! Tries a second time only when nothing of the first was sent, or when the route says so and the request may be repeated
//! (RFC 9110 §9.2.2, RFC 9112 §9.3.1).

use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Answer, Asking, Connection, Failed};
use super::error::ProxyError;
use super::fields::is_event_stream;
use super::head::Head;
use super::pool::{Link, Pool, Slot, Terms};
use super::route::Route;
use super::shelf::Shelf;
use super::upload::{Upload, UploadFault, Watch};
use crate::config::{Retry, RouteConfig, Upstream};

/// A time limit beyond this is as good as none, and cannot overflow a point in time.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Sends what `head` builds, in the room that it is given, with `upload` as its body. The link belongs to the body of the answer.
pub async fn send(
    pool: &Pool,
    route: &Route,
    upload: Upload,
    head: impl Fn(Vec<u8>) -> Result<Head, ProxyError>,
) -> Result<(Answer, Link), ProxyError> {
    let slot = pool.enter(route)?;
    let (upstream, route) = (route.upstream(), route.config());
    let watch = upload.watch();
    let started = Instant::now();
    let over = route.total_timeout.map(|limit| started + limit.min(LONGEST_WAIT));
    let home = slot.home();
    let ask = Ask { watch: watch.as_deref(), limit: route.response_timeout, over, home: &home };
    let first = head(home.room())?;
    let may_repeat =
        route.retry == Retry::Idempotent && watch.is_none() && first.method().is_idempotent();
    let unsent = match slot.reuse(started) {
        None => Unsent::New(first, upload),
        Some(mut connection) => {
            let mut asking = connection.ask(first, upload, upstream)?;
            match ask.over(&mut connection, &mut asking, started).await? {
                Ok(answer) => return Ok(ask.begun((answer, asking), slot, connection, route)),
                Err(Failed::Unsent) => Unsent::Begun(asking),
                Err(failed) if ask.may_go_again(failed, may_repeat) => {
                    Unsent::New(head(home.room())?, Upload::nothing())
                }
                Err(failed) => return Err(ask.reason(failed)),
            }
        }
    };
    // Rare, and large: it does not belong into the future of every call.
    Box::pin(over_a_new_one(&ask, slot, (route, upstream), unsent)).await
}

/// A request of which nothing was sent.
enum Unsent {
    New(Head, Upload),
    /// It met a connection that was dead.
    Begun(Asking),
}

async fn over_a_new_one(
    ask: &Ask<'_>,
    slot: Slot,
    (route, upstream): (&RouteConfig, &Upstream),
    unsent: Unsent,
) -> Result<(Answer, Link), ProxyError> {
    let mut connection = slot.connect(route.connect_timeout).await?;
    let mut asking = match unsent {
        Unsent::New(head, upload) => connection.ask(head, upload, upstream)?,
        Unsent::Begun(asking) => asking,
    };
    match ask.over(&mut connection, &mut asking, Instant::now()).await? {
        Ok(answer) => Ok(ask.begun((answer, asking), slot, connection, route)),
        Err(failed) => {
            let reason = ask.reason(failed);
            if reason == ProxyError::Closed {
                slot.failed();
            }
            Err(reason)
        }
    }
}

/// What holds for the body, now that the head is known.
fn terms(answer: &Answer, route: &RouteConfig, over: Option<Instant>) -> Terms {
    // Silence is what an event stream mostly consists of.
    let is_endless = answer.fields.get("content-type").is_some_and(is_event_stream);
    let hint = answer.fields.text("keep-alive").and_then(kept_for).unwrap_or(Duration::MAX);
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

/// How to ask for an answer.
struct Ask<'a> {
    watch: Option<&'a Watch>,
    /// Until the head; counts from the last byte of the body that came in, so that a long upload is not cut off while it
    /// moves.
    limit: Duration,
    /// When the whole call must be over.
    over: Option<Instant>,
    /// Where the room of heads that were sent is kept.
    home: &'a Shelf,
}

impl Ask<'_> {
    /// Sends the request over `connection` and waits for the head of the answer.
    async fn over(
        &self,
        connection: &mut Connection,
        asking: &mut Asking,
        started: Instant,
    ) -> Result<Result<Answer, Failed>, ProxyError> {
        poll_fn(|cx| {
            let answer = connection.poll_answer(asking, cx);
            if let Some(room) = asking.take_room() {
                self.home.keep_room(room);
            }
            if let Poll::Ready(answer) = answer {
                return Poll::Ready(Ok(answer));
            }
            ready!(connection.poll_due(self.due(started), cx));
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
        (answer, asking): (Answer, Asking),
        slot: Slot,
        mut connection: Connection,
        route: &RouteConfig,
    ) -> (Answer, Link) {
        connection.answered(asking);
        slot.worked();
        let terms = terms(&answer, route, self.over);
        (answer, slot.link(connection, terms))
    }

    /// Whether a request that failed over a connection which had been idle may be sent anew.
    fn may_go_again(&self, failed: Failed, may_repeat: bool) -> bool {
        match failed {
            Failed::NotBegun => self.watch.is_none(),
            Failed::Closed => may_repeat,
            _ => false,
        }
    }

    fn reason(&self, failed: Failed) -> ProxyError {
        match (self.watch.and_then(Watch::fault), failed) {
            (Some(UploadFault::TooLarge(limit)), _) => ProxyError::BodyTooLarge { limit },
            (Some(UploadFault::Incomplete), _) => ProxyError::ClientGone,
            (None, Failed::Invalid(why)) => ProxyError::Invalid(why),
            (None, _) => ProxyError::Closed,
        }
    }

    fn due(&self, started: Instant) -> Instant {
        let due = self.watch.map_or(started, Watch::moved) + self.limit.min(LONGEST_WAIT);
        self.over.map_or(due, |over| over.min(due))
    }
}

#[cfg(test)]
mod tests;
