//! One connection, from its first byte to its last: waits for a head within the limits, lets the handler answer, writes, and goes on or
//! closes. Never lets a handler work for a client that has gone (ADR 1), and never closes before the client could read its answer.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::answer::write_refusal;
use super::body::payload;
use super::closing::{Closing, Seat};
use super::desk::{Desk, Desks};
use super::framing::{Terms, judge};
use super::inbox::{Filled, Inbox, MOST_AHEAD, MOST_HEAD};
use super::outbox::Outbox;
use super::{Limits, Refusal};
use crate::alarm::Alarm;
use crate::edge::{Reply, Request};
use crate::http1::RequestHead;
use crate::server::transport::Transport;

/// How long a client may take to read an answer that came before all of its request was read (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the connections of a worker share.
pub(super) struct Wire {
    pub desks: Desks,
    pub limits: Limits,
    pub closing: Closing,
}

/// One of them.
pub(super) struct Connection<T> {
    pub(super) wire: Rc<Wire>,
    pub(super) io: T,
    pub(super) inbox: Rc<Inbox>,
    pub(super) outbox: Outbox,
    alarm: Alarm,
    seat: Seat,
    peer: Option<IpAddr>,
    /// When the wait for a head is over; `None` until somebody waits, for most heads are there at once.
    due: Option<Instant>,
    /// A byte of the head has come, or the time for the head has begun without one.
    has_begun: bool,
}

/// What is to be done next on a connection.
enum Next {
    /// A request, and the desk that it is on.
    Asked(Desk, Terms),
    Refused(Refusal),
    Over,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Next,
    /// There is nothing left to be read.
    Close,
    /// The client may still be sending, and must be able to read the answer.
    Linger,
    /// Nobody is there, or must take what was sent for complete.
    Cut,
}

/// What came while an answer was being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Something that whoever is polled by this task waits for.
    Body,
    Gone,
}

impl<T: Transport> Connection<T> {
    pub fn new(wire: Rc<Wire>, io: T) -> Self {
        let (peer, seat) = (io.peer(), wire.closing.seat());
        Self {
            wire,
            io,
            inbox: Rc::default(),
            outbox: Outbox::default(),
            alarm: Alarm::default(),
            seat,
            peer,
            due: None,
            has_begun: true,
        }
    }

    /// Serves it until it is over.
    pub async fn serve(mut self) {
        loop {
            let after = match poll_fn(|cx| self.poll_next(cx)).await {
                Next::Asked(desk, terms) => self.exchange(desk, terms).await,
                Next::Refused(refusal) => {
                    write_refusal(refusal, self.outbox.buffer());
                    self.written(After::Linger).await
                }
                Next::Over => After::Close,
            };
            match after {
                After::Next => self.rest(),
                After::Close => return self.shut().await,
                After::Linger => return self.linger().await,
                After::Cut => return,
            }
        }
    }

    /// Waits for the next request.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            match self.inbox.take_head() {
                Ok(Some(head)) => {
                    return Poll::Ready(self.begin(head, cx).unwrap_or_else(Next::Refused));
                }
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
            }
            match self.inbox.poll_fill(&mut self.io, MOST_HEAD, cx) {
                Poll::Ready(Filled::Bytes) => self.head_begins(),
                Poll::Ready(Filled::End) => return Poll::Ready(Next::Over),
                Poll::Pending => break,
            }
        }
        if self.seat.has_begun(cx) {
            return Poll::Ready(Next::Over);
        }
        let limits = self.wire.limits;
        let limit = if self.has_begun { limits.head } else { limits.idle };
        let due = *self.due.get_or_insert_with(|| Instant::now() + limit);
        ready!(self.alarm.poll_at(due, cx));
        Poll::Ready(if self.inbox.is_blank() { Next::Over } else { Next::Refused(Refusal::Late) })
    }

    fn head_begins(&mut self) {
        if !self.has_begun {
            (self.has_begun, self.due) = (true, None);
        }
    }

    /// Begins to wait for a request after another.
    fn rest(&mut self) {
        self.inbox.rest();
        (self.has_begun, self.due) = (!self.inbox.is_blank(), None);
    }

    fn begin(&mut self, head: RequestHead, cx: &mut Context<'_>) -> Result<Next, Refusal> {
        let (terms, framing) = judge(&head)?;
        let request = Request::new(head, self.peer).ok_or(Refusal::Malformed)?;
        let payload = payload(&self.inbox, framing);
        if terms.expects_continue {
            self.outbox.buffer().extend_from_slice(CONTINUE);
        } else {
            // Whoever sends head and body has often sent both by now: so the handler finds them together. What this brings, or that
            // nobody is there any more, is seen again.
            while self.inbox.lacks_body()
                && self.inbox.poll_fill(&mut self.io, MOST_AHEAD, cx).is_ready()
                && !self.inbox.is_ended()
            {}
        }
        Ok(Next::Asked(self.wire.desks.ask(request, payload), terms))
    }

    async fn exchange(&mut self, mut desk: Desk, terms: Terms) -> After {
        let Some(reply) = poll_fn(|cx| self.poll_answer(&mut desk, cx)).await else {
            return After::Cut;
        };
        self.wire.desks.free(desk);
        self.send(reply, terms).await
    }

    /// Lets the handler work; `None` when the client has gone.
    fn poll_answer(&mut self, desk: &mut Desk, cx: &mut Context<'_>) -> Poll<Option<Reply>> {
        let mut is_gone = false;
        loop {
            if let Poll::Ready(reply) = desk.poll(cx) {
                return Poll::Ready(Some(reply));
            }
            if is_gone || matches!(self.poll_flush(cx), Poll::Ready(Err(_))) {
                return Poll::Ready(None);
            }
            // Once more after the end: a handler that has the whole request may have its answer, too.
            is_gone = ready!(self.poll_news(cx)) == News::Gone;
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.outbox.poll_write(&mut self.io, cx)
    }

    /// Reads while an answer is made: the rest of its request, the beginning of the next, or that the client has gone.
    pub(super) fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        loop {
            let filled = ready!(self.inbox.poll_fill(&mut self.io, MOST_AHEAD, cx));
            let reader = self.inbox.take_reader();
            let is_ours = reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker()));
            if let Some(reader) = reader.filter(|_| !is_ours) {
                reader.wake();
            }
            match filled {
                Filled::End => return Poll::Ready(News::Gone),
                Filled::Bytes if is_ours => return Poll::Ready(News::Body),
                Filled::Bytes => {}
            }
        }
    }

    /// Writes what is there, and says what comes then.
    pub(super) async fn written(&mut self, then: After) -> After {
        match poll_fn(|cx| self.poll_flush(cx)).await {
            Ok(()) => then,
            Err(_) => After::Cut,
        }
    }

    /// Says that nothing more comes.
    async fn shut(&mut self) {
        let _gone_already = poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await;
    }

    /// Says so, and reads on for a while: a connection that is closed with unread bytes is reset, and the answer may be lost with it.
    async fn linger(&mut self) {
        let until = Instant::now() + LINGER;
        poll_fn(|cx| {
            let shut = Pin::new(&mut self.io).poll_shutdown(cx);
            loop {
                // Whatever is here: it is thrown away.
                match self.inbox.poll_fill(&mut self.io, usize::MAX, cx) {
                    Poll::Ready(Filled::Bytes) => self.inbox.discard(),
                    Poll::Ready(Filled::End) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            if matches!(shut, Poll::Ready(Err(_))) {
                return Poll::Ready(());
            }
            self.alarm.poll_at(until, cx)
        })
        .await;
    }
}

impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        self.inbox.end();
    }
}
