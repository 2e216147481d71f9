//! What a connection has read and nobody has taken yet: the next head, or the body of the request that is being answered, which its
//! handler takes out itself. Never holds more than it may, and never gives a byte of one message to another.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::Refusal;
use crate::http1::{BodyFault, Decoder, HeadFault, Piece, RequestHead, read_request};

/// The largest head.
pub(super) const MOST_HEAD: usize = 128 * 1024;
/// What is read ahead of a handler.
pub(super) const MOST_AHEAD: usize = 64 * 1024;
/// Bytes asked for at a time: few, so that idle connections are small, and more while all of them come.
const FEW: usize = 8 * 1024;
const MANY: usize = 64 * 1024;
/// Less room than this is not worth a call; so much is left free, too, or a read that fills all room would be followed by one for nothing.
const LEAST: usize = 1024;
/// A request up to this is read in one call, if the one before was as large.
const USUAL: usize = 24 * 1024;

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Bytes,
    /// There will be no more.
    End,
}

/// Shared by a connection and the body of its request.
#[derive(Default)]
pub(super) struct Inbox(RefCell<Inner>);

struct Inner {
    buffer: BytesMut,
    /// How much of an incomplete head was looked at.
    looked_at: usize,
    /// Bytes to ask for next.
    step: usize,
    /// Bytes read since the last request was over.
    passed: usize,
    /// What is still to come of the body.
    body: Decoder,
    /// The body cannot be read.
    is_broken: bool,
    /// Which request the body is of.
    message: u64,
    /// Nobody wants the body.
    is_left: bool,
    is_ended: bool,
    /// Waits for the body.
    reader: Option<Waker>,
    /// Waits for room.
    filler: Option<Waker>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            looked_at: 0,
            step: FEW,
            passed: 0,
            body: Decoder::Length(0),
            is_broken: false,
            message: 0,
            is_left: true,
            is_ended: false,
            reader: None,
            filler: None,
        }
    }
}

impl Inbox {
    /// Reads from the connection, unless `most` bytes are here already.
    pub fn poll_fill<T: AsyncRead + Unpin>(
        &self,
        io: &mut T,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Filled> {
        let mut inner = self.0.borrow_mut();
        if inner.is_ended {
            return Poll::Ready(Filled::End);
        }
        if inner.buffer.len() >= most {
            inner.filler = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let room = inner.make_room();
        let count = ready!(pin!(io.read_buf(&mut inner.buffer)).poll(cx)).unwrap_or(0);
        inner.step = if count < room { FEW } else { MANY };
        inner.passed = inner.passed.saturating_add(count);
        inner.is_ended = count == 0;
        Poll::Ready(if count == 0 { Filled::End } else { Filled::Bytes })
    }

    /// Takes the next head, if it is complete.
    pub fn take_head(&self) -> Result<Option<RequestHead>, Refusal> {
        let inner = &mut *self.0.borrow_mut();
        let length = inner.buffer.len();
        let new = inner.buffer.get(inner.looked_at..).unwrap_or_default();
        // Bytes that come one by one are not all looked at again each time: nothing but the end of a line can complete a head.
        let may_be_whole = inner.looked_at == 0 || memchr::memchr(b'\n', new).is_some();
        if length > inner.looked_at && may_be_whole {
            let head = read_request(&mut inner.buffer).map_err(|fault| match fault {
                HeadFault::TooManyFields => Refusal::TooLarge,
                HeadFault::Malformed(_) => Refusal::Malformed,
            })?;
            if head.is_some() {
                inner.looked_at = 0;
                return Ok(head);
            }
        }
        inner.looked_at = length;
        if length >= MOST_HEAD { Err(Refusal::TooLarge) } else { Ok(None) }
    }

    /// Whether nothing of a request is here: old clients send an empty line behind a body (RFC 9112 §2.2).
    pub fn is_blank(&self) -> bool {
        self.0.borrow().buffer.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Whether no more will come.
    pub fn is_ended(&self) -> bool {
        self.0.borrow().is_ended
    }

    /// Whether bytes are here.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().buffer.is_empty()
    }

    /// A request without a body begins.
    pub fn begin_without_body(&self) {
        self.begin(Decoder::Length(0));
    }

    /// A request with a body begins; the number is the body's key to it.
    pub fn begin(&self, body: Decoder) -> u64 {
        let mut inner = self.0.borrow_mut();
        inner.message += 1;
        (inner.body, inner.is_broken, inner.is_left) = (body, false, false);
        (inner.reader, inner.filler) = (None, None);
        inner.message
    }

    /// Whether more of the body is worth waiting for before the handler begins: nothing of it is here yet, or little is missing.
    pub fn lacks_body(&self) -> bool {
        let inner = self.0.borrow();
        let here = inner.buffer.len();
        match inner.body {
            Decoder::Length(left) => here < MOST_AHEAD && left > here as u64,
            body => !body.is_over() && here == 0,
        }
    }

    /// Whether all of the body was taken. One that nobody wants is taken as far as it is here.
    pub fn is_body_over(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        while inner.is_left && !inner.is_broken {
            match inner.take() {
                Ok(Piece::Data(_)) => {}
                _ => break,
            }
        }
        !inner.is_broken && inner.body.is_over()
    }

    /// Whether nobody wants the body.
    pub fn is_left(&self) -> bool {
        self.0.borrow().is_left
    }

    /// Who waits for the body.
    pub fn take_reader(&self) -> Option<Waker> {
        self.0.borrow_mut().reader.take()
    }

    /// Between two requests, when nothing of the first is needed any more: its bytes are room again. Large buffers are given back.
    pub fn rest(&self) {
        let mut inner = self.0.borrow_mut();
        inner.filler = None;
        if !inner.buffer.is_empty() {
            return;
        }
        let mut room = (inner.passed + LEAST).max(FEW);
        // By what has passed: what a buffer can hold it does not say while a part of it is given away.
        if room > USUAL || inner.buffer.capacity() > USUAL + LEAST {
            inner.buffer = BytesMut::new();
            room = FEW;
        }
        (inner.passed, inner.step) = (0, room);
        // Takes no memory, unless the buffer is new or somebody still holds a piece of it.
        inner.buffer.reserve(room);
    }

    /// Throws away what is here. A body that somebody still reads is broken by that: it must not go on behind the hole.
    pub fn discard(&self) {
        let mut inner = self.0.borrow_mut();
        inner.buffer.clear();
        inner.is_broken = true;
    }

    /// The connection is gone: a body that is not complete never will be.
    pub fn end(&self) {
        self.0.borrow_mut().is_ended = true;
        if let Some(reader) = self.take_reader() {
            reader.wake();
        }
    }

    /// The next piece of the body of `message`.
    pub fn poll_body(
        &self,
        message: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let mut inner = self.0.borrow_mut();
        if inner.message != message {
            return Poll::Ready(None);
        }
        match inner.take() {
            Ok(Piece::Data(bytes)) => {
                // The connection reads on after its handler was polled; it must be told only by somebody else.
                let filler = inner.filler.take().filter(|filler| !filler.will_wake(cx.waker()));
                drop(inner);
                if let Some(filler) = filler {
                    filler.wake();
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Ok(Piece::End) => Poll::Ready(None),
            Ok(Piece::More) if !inner.is_ended => {
                inner.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Ok(Piece::More) => Poll::Ready(match inner.body.at_end_of_stream() {
                Ok(()) => None,
                Err(_) => Some(Err(PayloadError::Incomplete(None))),
            }),
            Err(_) => Poll::Ready(Some(Err(PayloadError::EncodingCorrupted))),
        }
    }

    /// Nobody wants the body of `message` any more.
    pub fn leave(&self, message: u64) {
        let mut inner = self.0.borrow_mut();
        if inner.message == message {
            (inner.is_left, inner.reader) = (true, None);
        }
    }
}

/// The body of a request, for as long as somebody wants it.
pub(super) struct Incoming {
    pub inbox: Rc<Inbox>,
    pub message: u64,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.inbox.leave(self.message);
    }
}

impl Inner {
    /// Room for the next read, bytes.
    fn make_room(&mut self) -> usize {
        let here = self.buffer.len();
        if self.buffer.capacity() - here < LEAST {
            let wanted = match self.body {
                Decoder::Length(left) if left > here as u64 => {
                    usize::try_from(left).unwrap_or(MANY).saturating_sub(here).min(MANY) + LEAST
                }
                _ => self.step,
            };
            self.buffer.reserve(wanted);
        }
        self.buffer.capacity() - self.buffer.len()
    }

    fn take(&mut self) -> Result<Piece, BodyFault> {
        if self.is_broken {
            return Err(BodyFault::Incomplete);
        }
        let taken = self.body.take(&mut self.buffer);
        self.is_broken = taken.is_err();
        taken
    }
}
