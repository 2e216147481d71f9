//! An open connection to an upstream: of one exchange after another (HTTP/1.1), or of one among many at the same time
//! (HTTP/2); and what drives it.

#[cfg(test)]
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use tokio::task::{JoinHandle, spawn_local, unconstrained};
use tokio::time::{Instant, Sleep, sleep_until};

use super::multiplexed::Stream;
use super::relay::Relay;
use super::upload::Upload;

/// A way to the upstream for one exchange. Dropping it ends the exchange at once, whatever is still on its way: HTTP/1.1
/// closes the connection, HTTP/2 resets the stream. A stream that was handed over after an upgrade is no longer part of it.
pub struct Connection {
    way: Way,
    /// Wakes whoever polls; see [`Connection::is_past`].
    alarm: Option<Pin<Box<Sleep>>>,
}

enum Way {
    Own(Own),
    Shared(Stream),
}

/// Whoever waits for something on it drives it meanwhile: no other task has to be woken for each message, which is a tenth
/// of what a small call costs.
struct Own {
    sender: SendRequest<Upload>,
    driver: Driver,
    relay: Arc<Relay>,
    /// The relay once more, as hyper wants it.
    waker: Waker,
}

/// More than any message takes; one that takes more is no reason to let others wait.
const MOST_ROUNDS: usize = 8;

/// What drives an HTTP/1.1 connection.
pub enum Driver {
    /// Driven by [`Connection::drive`]; `None` once the connection has ended.
    Inline(Option<Pin<Box<dyn Future<Output = hyper::Result<()>>>>>),
    /// Driven by a task of its own.
    Task(JoinHandle<()>),
}

impl Driver {
    fn drive(&mut self, cx: &mut Context<'_>) {
        // Whoever waits for an answer gets the error; an idle connection that ends is no news.
        if let Self::Inline(open) = self
            && open.as_mut().is_some_and(|open| open.as_mut().poll(cx).is_ready())
        {
            *open = None;
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

impl Own {
    fn poll_for<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut polling = self.relay.polling(cx);
        let mut relayed = Context::from_waker(&self.waker);
        for _ in 0..MOST_ROUNDS {
            if !polling.woken() {
                return Poll::Pending;
            }
            if let Poll::Ready(value) = wanted(&mut relayed) {
                polling.unfinished();
                return Poll::Ready(value);
            }
            // Whatever `wanted` has woken is driven now.
            polling.woken();
            self.driver.drive(&mut relayed);
        }
        // It goes on and on: others have their turn first.
        polling.unfinished();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Connection {
    /// HTTP/1.1, ready for a request.
    pub fn own(sender: SendRequest<Upload>, driver: Driver) -> Self {
        let relay = Arc::new(Relay::new());
        let waker = Waker::from(Arc::clone(&relay));
        Self { way: Way::Own(Own { sender, driver, relay, waker }), alarm: None }
    }

    /// One exchange of a connection that others share.
    pub fn shared(stream: Stream) -> Self {
        Self { way: Way::Shared(stream), alarm: None }
    }

    /// The stream, if others share the connection.
    pub fn stream(&self) -> Option<&Stream> {
        match &self.way {
            Way::Own(_) => None,
            Way::Shared(stream) => Some(stream),
        }
    }

    /// The exchange is over: a connection that is shared is kept for `keep` from now on, one that is not is given back.
    pub fn finish(self, keep: Duration) -> Option<Self> {
        match self.way {
            Way::Own(_) => Some(self),
            Way::Shared(stream) => {
                stream.finish(keep);
                None
            }
        }
    }

    /// An exchange over it waited in vain: others do not come to it.
    pub fn distrust(&self) {
        if let Way::Shared(stream) = &self.way {
            stream.distrust();
        }
    }

    /// Whether nothing is under way, so that it takes a request at once.
    pub fn is_ready(&self) -> bool {
        match &self.way {
            Way::Own(own) => own.sender.is_ready(),
            Way::Shared(stream) => stream.is_open(),
        }
    }

    /// Polls `wanted`, which waits for something on this connection, and drives the connection for it.
    pub fn poll_for<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match &mut self.way {
            Way::Own(own) => own.poll_for(cx, wanted),
            // It has a task of its own.
            Way::Shared(_) => wanted(cx),
        }
    }

    /// Does what can be done now; `cx` is woken when there is more to do. An idle connection that the other side closed
    /// is no longer ready afterwards.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        let _pending: Poll<()> = self.poll_for(cx, |_| Poll::Pending);
    }

    /// Lets a task of its own drive the connection from now on: for an exchange that goes on although nobody waits for it.
    pub fn detach(&mut self) {
        if let Way::Own(Own { driver, .. }) = &mut self.way
            && let Driver::Inline(inline) = driver
            && let Some(open) = inline.take()
        {
            *driver = Driver::Task(spawn_local(async move {
                let _ = open.await;
            }));
        }
    }

    /// Sends `request`; the future gives the head of the answer, when it is polled by [`Connection::poll_for`].
    pub fn ask(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<>
    {
        match &mut self.way {
            Way::Own(own) => {
                // Whoever watches the connection while it is idle need not hear that it is used.
                own.relay.renew();
                Either::Left(own.sender.try_send_request(request))
            }
            Way::Shared(stream) => Either::Right(stream.ask(request)),
        }
    }

    /// Whether it is `due` or later. If not, whoever polls the connection with `cx` is woken by then: by one alarm for all
    /// calls over this connection, which may ring early, so that a call costs no timer.
    pub fn is_past(&mut self, due: Instant, cx: &Context<'_>) -> bool {
        let is_set = |alarm: &Pin<Box<Sleep>>| !alarm.is_elapsed() && alarm.deadline() <= due;
        if self.alarm.as_ref().is_some_and(is_set) {
            return false;
        }
        if due <= Instant::now() {
            return true;
        }
        let waker = match &self.way {
            Way::Own(own) => &own.waker,
            // The call that polls has this alarm for itself.
            Way::Shared(_) => cx.waker(),
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        alarm.as_mut().reset(due);
        // Unconstrained, for a poll that is put off would not set it.
        let mut set = pin!(unconstrained(alarm.as_mut()));
        set.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
    }
}

#[cfg(test)]
impl Connection {
    /// Drives the connection until it waits for a request.
    pub async fn ready(&mut self) {
        poll_fn(|cx| {
            self.drive(cx);
            if self.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
