//! Sends one answer, and finds out whether the connection can serve another request. Never sends more or less of a body than its head
//! says: a connection is cut before that.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BoxBody, MessageBody as _};
use bytes::Bytes;

use super::answer::{Framing, Plan};
use super::connection::{After, Connection, News};
use super::framing::{Persistence, Terms};
use super::inbox::{Filled, MOST_AHEAD};
use super::outbox::Outbox;
use crate::edge::Reply;
use crate::server::transport::Transport;

/// How often more of a body is asked for that nobody wants.
const MOST_READS: usize = 8;

/// How a body that streams goes on.
enum Body {
    Open(BoxBody),
    Ended,
    /// It broke off, or is not what its head said.
    Broken,
}

impl<T: Transport> Connection<T> {
    /// Sends head and body of `reply`.
    pub(super) async fn send(&mut self, reply: Reply, terms: Terms) -> After {
        let (head, body) = reply.into_parts();
        let is_read = poll_fn(|cx| Poll::Ready(self.is_request_read(cx))).await;
        let must_close = !is_read || self.wire.closing.has_begun();
        let mut plan = Plan::of(&head, body.size(), terms, must_close);
        plan.write(&head, terms, self.outbox.buffer());
        drop(head);
        let after = match plan.persistence {
            Persistence::KeepAlive => After::Next,
            Persistence::Close if !is_read || !self.inbox.is_empty() => After::Linger,
            // What the client says meanwhile must not take the last words from it.
            Persistence::Upgrade => After::Linger,
            Persistence::Close => After::Close,
        };
        if terms.is_head || matches!(plan.framing, Framing::None | Framing::Length(0)) {
            drop(body);
            return self.written(after).await;
        }
        match body.try_into_bytes() {
            Ok(bytes) => {
                let whole = put(&mut self.outbox, &mut plan.framing, bytes)
                    && finish(&mut self.outbox, plan.framing);
                self.written(if whole { after } else { After::Cut }).await
            }
            Err(body) => {
                let mut body = Body::Open(body);
                poll_fn(|cx| self.poll_stream(&mut body, &mut plan.framing, after, cx)).await
            }
        }
    }

    /// Whether the whole request was read. A body that nobody wants is read as far as it has come: who refuses a call would close a
    /// connection for each otherwise. What comes later is not waited for.
    fn is_request_read(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..MOST_READS {
            if self.inbox.is_body_over() {
                return true;
            }
            let wanted = !self.inbox.is_left();
            if wanted
                || self.inbox.poll_fill(&mut self.io, MOST_AHEAD, cx) != Poll::Ready(Filled::Bytes)
            {
                return false;
            }
        }
        false
    }

    /// Sends a body as it comes: what is there at once goes out together, and what is there is never held back.
    fn poll_stream(
        &mut self,
        body: &mut Body,
        framing: &mut Framing,
        after: After,
        cx: &mut Context<'_>,
    ) -> Poll<After> {
        loop {
            let waits = self.fill(body, framing, cx);
            match (self.poll_flush(cx), &*body) {
                (Poll::Ready(Err(_)), _) => return Poll::Ready(After::Cut),
                (_, Body::Broken) => return Poll::Ready(self.cut_off(*framing)),
                (Poll::Ready(Ok(())), Body::Ended) => return Poll::Ready(after),
                (Poll::Ready(Ok(())), Body::Open(_)) if !waits => continue,
                (Poll::Ready(Ok(())) | Poll::Pending, _) => {}
            }
            if ready!(self.poll_news(cx)) == News::Gone {
                return Poll::Ready(self.cut_off(*framing));
            }
        }
    }

    /// Takes what the body has; whether it has nothing more at the moment.
    fn fill(&mut self, body: &mut Body, framing: &mut Framing, cx: &mut Context<'_>) -> bool {
        while let Body::Open(open) = body
            && !self.outbox.is_full()
        {
            let Poll::Ready(chunk) = Pin::new(open).poll_next(cx) else { return true };
            let fits = match chunk {
                Some(Ok(bytes)) => {
                    if put(&mut self.outbox, framing, bytes) {
                        continue;
                    }
                    false
                }
                None => finish(&mut self.outbox, *framing),
                Some(Err(_)) => false,
            };
            *body = if fits { Body::Ended } else { Body::Broken };
        }
        false
    }

    /// A body that is not complete. Where its end would be taken for the body's, the connection is reset.
    fn cut_off(&mut self, framing: Framing) -> After {
        if framing == Framing::UntilClose {
            self.io.reset();
        }
        After::Cut
    }
}

/// Adds a piece of a body; `false` if it is longer than its head said.
fn put(outbox: &mut Outbox, framing: &mut Framing, bytes: Bytes) -> bool {
    match framing {
        Framing::Chunked => outbox.put_chunk(bytes),
        Framing::UntilClose | Framing::Raw => outbox.put(bytes),
        Framing::None => return false,
        Framing::Length(left) => {
            let Some(rest) = left.checked_sub(bytes.len() as u64) else { return false };
            *left = rest;
            outbox.put(bytes);
        }
    }
    true
}

/// Ends a body; `false` if it is shorter than its head said.
fn finish(outbox: &mut Outbox, framing: Framing) -> bool {
    if framing == Framing::Chunked {
        outbox.put_last_chunk();
    }
    matches!(framing, Framing::Chunked | Framing::UntilClose | Framing::Raw | Framing::Length(0))
}
