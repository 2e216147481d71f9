//! An open connection to an upstream: of one exchange after another (HTTP/1.1), or of one among many at the same time
//! (HTTP/2). Whoever waits for something on it drives it meanwhile: no other task has to be woken for each message.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::error::ProxyError;
use super::head::Head;
use super::multiplexed::{Asked, Stream};
use super::sending::Sending;
use super::switched::Switched;
use super::upload::Upload;
use super::wire::{Fault, Wire};
use crate::alarm::Alarm;
use crate::config::Upstream;
use crate::http1::Fields;

/// A way to the upstream for one exchange. Dropping it ends the exchange at once, whatever is still on its way: HTTP/1.1
/// closes the connection, HTTP/2 resets the stream. A stream that was handed over after an upgrade is no longer part of it.
pub struct Connection {
    way: Way,
    alarm: Alarm,
}

enum Way {
    Own(Wire),
    Shared(Stream),
}

/// A request that is being sent, until its answer has begun.
pub enum Asking {
    Own(Sending),
    Shared(Asked),
}

/// An answer that has begun.
pub struct Answer {
    pub status: StatusCode,
    pub fields: Fields,
    pub body: Body,
}

/// Where the body of an answer comes from.
pub enum Body {
    /// From the connection itself.
    Own,
    Shared(Incoming),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Nothing of the request was sent: it may go over another connection as it is.
    Unsent,
    /// The upstream says that it has not begun with it.
    NotBegun,
    /// The upstream closed the connection.
    Closed,
    /// The request's body broke off; its watch knows why.
    Upload,
    /// What came is no answer; says why.
    Invalid(&'static str),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unsent => Self::Unsent,
            Fault::Closed => Self::Closed,
            Fault::Upload => Self::Upload,
            Fault::Invalid(why) => Self::Invalid(why),
        }
    }
}

impl Asking {
    /// What the head stood in, once all of the request was sent.
    pub fn take_room(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Own(sending) => sending.take_room(),
            Self::Shared(_) => None,
        }
    }
}

impl Connection {
    /// HTTP/1.1, ready for a request.
    pub fn own(wire: Wire) -> Self {
        Self { way: Way::Own(wire), alarm: Alarm::default() }
    }

    /// One exchange of a connection that others share.
    pub fn shared(stream: Stream) -> Self {
        Self { way: Way::Shared(stream), alarm: Alarm::default() }
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

    /// Whether nothing is under way, so that it takes a request at once. The end of an idle connection wakes `cx`.
    pub fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.way {
            Way::Own(wire) => wire.is_ready(cx),
            Way::Shared(stream) => stream.is_open(),
        }
    }

    /// Begins an exchange; [`Connection::poll_answer`] carries it on.
    pub fn ask(
        &self,
        head: Head,
        upload: Upload,
        upstream: &Upstream,
    ) -> Result<Asking, ProxyError> {
        match &self.way {
            Way::Own(_) => {
                let method = head.method().clone();
                Ok(Asking::Own(Sending::new(&method, head.finish(), upload)))
            }
            Way::Shared(_) => {
                let head = head.for_http2(upstream)?;
                Ok(Asking::Shared(Asked::new(head.map(|()| upload))))
            }
        }
    }

    /// Sends what is left of the request, and waits for the head of the answer.
    pub fn poll_answer(
        &mut self,
        asking: &mut Asking,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer, Failed>> {
        match (&mut self.way, asking) {
            (Way::Own(wire), Asking::Own(sending)) => wire.poll_answer(sending, cx).map(|head| {
                let head = head.map_err(Failed::from)?;
                Ok(Answer { status: head.status, fields: head.fields, body: Body::Own })
            }),
            (Way::Shared(stream), Asking::Shared(asked)) => asked.poll(stream, cx).map(|answer| {
                let (head, body) = answer?.into_parts();
                let fields =
                    head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                let fields = Fields::copied(fields);
                Ok(Answer { status: head.status, fields, body: Body::Shared(body) })
            }),
            // All connections to an upstream speak the version that its route names.
            _ => Poll::Ready(Err(Failed::Closed)),
        }
    }

    /// The answer to `asking` has begun. What is left of its request goes up by itself: whoever reads the answer slowly, or not at all
    /// yet, must not hold it up.
    pub fn answered(&mut self, asking: Asking) {
        if let (Way::Own(wire), Asking::Own(sending)) = (&mut self.way, asking)
            && !sending.is_over()
        {
            wire.send_rest(sending);
        }
    }

    /// What comes next of the answer's `body`; `None` at its end.
    pub fn poll_piece(
        &mut self,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Failed>>> {
        match (&mut self.way, body) {
            (Way::Own(wire), Body::Own) => {
                wire.poll_piece(cx).map(|piece| piece.map(|piece| piece.map_err(Failed::from)))
            }
            (_, Body::Shared(incoming)) => poll_data(incoming, cx),
            (Way::Shared(_), Body::Own) => Poll::Ready(None),
        }
    }

    /// How many bytes of the answer's `body` are still to come, if that was said.
    pub fn left(&self, body: &Body) -> Option<u64> {
        match (&self.way, body) {
            (Way::Own(wire), Body::Own) => wire.left(),
            // A stream may end after the head, and then one does not know yet.
            (_, Body::Shared(incoming)) if incoming.is_end_stream() => Some(0),
            (_, Body::Shared(incoming)) => incoming.size_hint().exact(),
            (Way::Shared(_), Body::Own) => Some(0),
        }
    }

    /// Hands the stream over, after a 101. An HTTP/2 connection has none to give.
    pub fn switch(&mut self) -> Option<Switched> {
        match &mut self.way {
            Way::Own(wire) => Some(wire.switch()),
            Way::Shared(_) => None,
        }
    }

    /// Ready at `due`, or later: by one alarm for all calls over this connection, so that a call registers no timer.
    pub fn poll_due(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll_at(due, cx)
    }
}

/// Trailers stop here.
fn poll_data(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failed>>> {
    loop {
        match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
            Some(Err(_)) => return Poll::Ready(Some(Err(Failed::Closed))),
            None => return Poll::Ready(None),
        }
    }
}
