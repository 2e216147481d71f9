//! The response body on its way down, chunk by chunk, without copies: the upstream is read as fast as the browser takes it.
//! Never ends an incomplete body as if it were complete (RFC 9112 §8, PX-09).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::time::Instant;

use super::connection::Body;
use super::drain::Ending;
use super::pool::{Link, Terms};
use crate::alarm::Alarm;

/// Why a response body broke off; the browser sees a message that never ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadFault {
    #[error("the upstream broke off its answer")]
    Incomplete,
    #[error("the upstream fell silent inside its answer")]
    Silent,
    #[error("the call took longer than it may")]
    Late,
}

/// The response body, from the upstream to the browser. Holds the connection until the last byte.
pub struct Download {
    body: Option<(Body, Link)>,
    size: BodySize,
    /// Since when nothing has come; `None` while chunks come.
    silent_since: Option<Instant>,
    alarm: Alarm,
    /// Completes when an event stream must end because the process goes down.
    ending: Option<Ending>,
}

impl Download {
    /// A body that streams; `link` goes back to the pool at its end.
    pub fn streaming(body: Body, link: Link) -> Self {
        let size = link.connection.left(&body).map_or(BodySize::Stream, BodySize::Sized);
        let ending = link.ending();
        Self { body: Some((body, link)), size, silent_since: None, alarm: Alarm::default(), ending }
    }

    /// No bytes, but the given length in the head: the answer to a HEAD request.
    pub fn empty(size: BodySize) -> Self {
        Self { body: None, size, silent_since: None, alarm: Alarm::default(), ending: None }
    }

    /// Whether nothing has come for too long, or the call takes too long.
    fn poll_deadline(&mut self, terms: Terms, cx: &mut Context<'_>) -> Poll<DownloadFault> {
        let silent_since = *self.silent_since.get_or_insert_with(Instant::now);
        let silent = terms.idle.map(|limit| silent_since + limit);
        let Some(due) = silent.into_iter().chain(terms.over).min() else { return Poll::Pending };
        ready!(self.alarm.poll_at(due, cx));
        Poll::Ready(if terms.is_over() { DownloadFault::Late } else { DownloadFault::Silent })
    }

    fn fail(&mut self, fault: DownloadFault) -> Poll<Option<Result<Bytes, DownloadFault>>> {
        self.body = None;
        Poll::Ready(Some(Err(fault)))
    }
}

impl MessageBody for Download {
    type Error = DownloadFault;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, DownloadFault>>> {
        let this = &mut *self;
        loop {
            let Some((body, link)) = &mut this.body else { return Poll::Ready(None) };
            let terms = link.terms;
            match link.connection.poll_piece(body, cx) {
                Poll::Ready(Some(Ok(_))) if terms.is_over() => {
                    return this.fail(DownloadFault::Late);
                }
                Poll::Ready(Some(Ok(chunk))) => {
                    this.silent_since = None;
                    // An empty chunk would end a chunked message.
                    if !chunk.is_empty() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Poll::Ready(Some(Err(_))) => return this.fail(DownloadFault::Incomplete),
                Poll::Ready(None) => {
                    if let Some((_, link)) = this.body.take() {
                        link.release();
                    }
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    if this.ending.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
                        // A clean end between two events: the browser connects again, to whoever serves by then.
                        this.body = None;
                        this.ending = None;
                        return Poll::Ready(None);
                    }
                    let fault = ready!(this.poll_deadline(terms, cx));
                    return this.fail(fault);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
