//! The request body on its way up, chunk by chunk, without copies: the browser is read as fast as the upstream takes it.
//! Never lets more through than the limit, and never ends an incomplete body as if it were complete (RFC 9112 §8).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use bytes::Bytes;
use futures_core::Stream as _;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::error::ProxyError;
use crate::edge::Request;
use crate::http1::length;

/// How the upstream request body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body, and none was announced.
    None,
    Sized(u64),
    Chunked,
}

/// What went wrong with the request body while it was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadFault {
    /// With the limit, bytes.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("the request body ended early")]
    Incomplete,
}

/// What [`super::exchange`] sees of an upload that is being sent.
#[derive(Debug)]
pub struct Watch {
    moved: Cell<Instant>,
    wants_more: Cell<bool>,
    finished: Cell<bool>,
    fault: Cell<Option<UploadFault>>,
}

impl Watch {
    /// When a chunk last came in.
    pub fn moved(&self) -> Instant {
        self.moved.get()
    }

    /// Whether everybody waits for the caller to send more.
    pub fn wants_more(&self) -> bool {
        self.wants_more.get()
    }

    /// Whether the whole body has been handed over.
    pub fn is_finished(&self) -> bool {
        self.finished.get()
    }

    /// Why the upload stopped, if it did.
    pub fn fault(&self) -> Option<UploadFault> {
        self.fault.get()
    }
}

/// The request body, from the browser to the upstream.
pub struct Upload {
    payload: Payload,
    framing: Framing,
    limit: u64,
    seen: u64,
    /// `None` where there is no body to watch.
    watch: Option<Rc<Watch>>,
}

impl Upload {
    /// Takes the body of `request`; refuses one that is announced as larger than `limit` bytes.
    pub fn new(request: &Request, payload: Payload, limit: u64) -> Result<Self, ProxyError> {
        let announced = announced(request)?;
        if announced.is_some_and(|length| length > limit) {
            return Err(ProxyError::BodyTooLarge { limit });
        }
        let has_body = !matches!(payload, Payload::None) && announced != Some(0);
        let framing = match (announced, has_body) {
            (Some(length), _) => Framing::Sized(length),
            (None, true) => Framing::Chunked,
            (None, false) => Framing::None,
        };
        let watch = has_body.then(|| {
            Rc::new(Watch {
                moved: Cell::new(Instant::now()),
                wants_more: Cell::new(false),
                finished: Cell::new(false),
                fault: Cell::new(None),
            })
        });
        Ok(Self { payload, framing, limit, seen: 0, watch })
    }

    /// An upload without a body, for a second try of a request that had none.
    pub fn nothing() -> Self {
        Self { payload: Payload::None, framing: Framing::None, limit: 0, seen: 0, watch: None }
    }

    /// How the body is framed.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The observer, if there is a body.
    pub fn watch(&self) -> Option<Rc<Watch>> {
        self.watch.clone()
    }

    /// Whether there is a body.
    pub fn has_body(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether all of the body has been handed over.
    pub fn is_finished(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.is_finished())
    }

    fn fail(&self, fault: UploadFault) -> Poll<Option<Result<Frame<Bytes>, UploadFault>>> {
        if let Some(watch) = &self.watch {
            watch.fault.set(Some(fault));
        }
        Poll::Ready(Some(Err(fault)))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFault>>> {
        let this = &mut *self;
        let Some(watch) = &this.watch else { return Poll::Ready(None) };
        let chunk = Pin::new(&mut this.payload).poll_next(cx);
        watch.wants_more.set(chunk.is_pending());
        match ready!(chunk) {
            Some(Ok(chunk)) => {
                watch.moved.set(Instant::now());
                this.seen = this.seen.saturating_add(chunk.len() as u64);
                watch
                    .finished
                    .set(matches!(this.framing, Framing::Sized(length) if this.seen >= length));
                if this.seen > this.limit {
                    return this.fail(UploadFault::TooLarge(this.limit));
                }
                // What is too much would be read as the next request.
                if matches!(this.framing, Framing::Sized(length) if this.seen > length) {
                    return this.fail(UploadFault::Incomplete);
                }
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Some(Err(_)) => this.fail(UploadFault::Incomplete),
            None if matches!(this.framing, Framing::Sized(length) if this.seen < length) => {
                this.fail(UploadFault::Incomplete)
            }
            None => {
                watch.finished.set(true);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.watch.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::None => SizeHint::with_exact(0),
            Framing::Sized(length) => SizeHint::with_exact(length.saturating_sub(self.seen)),
            Framing::Chunked => SizeHint::default(),
        }
    }
}

fn announced(request: &Request) -> Result<Option<u64>, ProxyError> {
    let Some(value) = request.fields().get("content-length") else { return Ok(None) };
    length(value).map(Some).ok_or(ProxyError::BadRequest("the content length is no number"))
}
