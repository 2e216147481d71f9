//! Ends a response body that outlasts its request when the session ends that asked for it (PX-16). Event streams end
//! cleanly: the browser asks again, and is told 401. Anything else breaks off: what is incomplete must not look complete.
//! Costs nothing for a body that is over within seconds.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};

use crate::edge::Reply;
use crate::store::Ending;

/// A body that takes longer than this is watched.
const ORDINARY: Duration = Duration::from_secs(5);
/// A body of a known length up to this is on its way already; its end comes by itself.
const SMALL: u64 = 64 * 1024;

/// The body of a session that has ended; the browser sees a message that never ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session of this stream has ended")]
struct SessionOver;

/// Binds the body of `reply`, which may be an event stream, to a session: the future that `over` gives is done when it must end. It is asked for
/// only if the body may be a long one, first polled when it has proved to be, and dropped with it.
pub fn bind_to_session<F>(reply: Reply, is_event_stream: bool, over: impl FnOnce() -> F) -> Reply
where
    F: Future<Output = Ending> + 'static,
{
    if let BodySize::None | BodySize::Sized(..=SMALL) = reply.size() {
        return reply;
    }
    let over = over();
    reply.map_body(|body| {
        let watch = if is_event_stream {
            Watch::Over(Box::pin(over))
        } else {
            Watch::Later { over, since: Instant::now(), nap: None }
        };
        BoxBody::new(SessionBound { body: Some(body), watch: Some(watch), is_event_stream })
    })
}

enum Watch<F> {
    /// Not yet: it may be over in time.
    Later {
        over: F,
        since: Instant,
        nap: Option<Pin<Box<Sleep>>>,
    },
    Over(Pin<Box<F>>),
}

struct SessionBound<F> {
    /// `None` after the end.
    body: Option<BoxBody>,
    watch: Option<Watch<F>>,
    is_event_stream: bool,
}

// Nothing in it is pinned in place: both futures are boxed.
impl<F> Unpin for SessionBound<F> {}

impl<F: Future<Output = Ending>> SessionBound<F> {
    /// Ready when the session is over.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Watch::Over(over)) = &mut self.watch else { return Poll::Pending };
        let _cause = ready!(over.as_mut().poll(cx));
        self.watch = None;
        self.body = None;
        Poll::Ready(())
    }

    /// Starts to watch when the body has lasted long enough.
    fn poll_lasting(&mut self, cx: &mut Context<'_>, waits: bool) -> bool {
        let Some(Watch::Later { since, nap, .. }) = &mut self.watch else { return false };
        if since.elapsed() < ORDINARY {
            if !waits {
                return false;
            }
            let nap = nap.get_or_insert_with(|| Box::pin(sleep(ORDINARY)));
            if nap.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
        if let Some(Watch::Later { over, .. }) = self.watch.take() {
            self.watch = Some(Watch::Over(Box::pin(over)));
        }
        true
    }

    fn ended(&self) -> Option<Result<Bytes, Box<dyn std::error::Error>>> {
        if self.is_event_stream { None } else { Some(Err(Box::new(SessionOver))) }
    }
}

impl<F: Future<Output = Ending> + 'static> MessageBody for SessionBound<F> {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.as_ref().map_or(BodySize::Stream, MessageBody::size)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        if this.poll_over(cx).is_ready() {
            return Poll::Ready(this.ended());
        }
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let chunk = Pin::new(body).poll_next(cx);
        let starts = this.poll_lasting(cx, chunk.is_pending());
        // A watch that starts while the body waits must be able to wake this task; else the next poll comes soon.
        if starts && chunk.is_pending() && this.poll_over(cx).is_ready() {
            return Poll::Ready(this.ended());
        }
        chunk
    }
}

#[cfg(test)]
mod tests;
