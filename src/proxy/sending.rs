//! A request on its way up an HTTP/1.1 connection: its head, then its body as it comes, framed anew (RFC 9112 §6, §7.1). Copies nothing
//! of a body, and never ends one that broke off as if it were complete.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::Method;
use http_body::Body as _;
use smallvec::SmallVec;
use tokio::io::AsyncWrite;

use super::upload::{Framing, Upload};
use crate::http1::{LAST_CHUNK, LINE_END, chunk_head};

/// A chunk of the body, with what frames it.
const PIECES: usize = 3;

/// Why the request cannot be sent to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFault {
    /// Its body broke off.
    Upload,
    /// The connection takes no more.
    Closed,
}

/// A request.
pub struct Sending {
    head: Vec<u8>,
    /// How much of it has gone.
    gone: usize,
    /// What goes out behind it; the first piece may have gone in part.
    out: SmallVec<[Bytes; PIECES]>,
    upload: Upload,
    /// All of the body is in `out`, or has gone.
    is_whole: bool,
    is_begun: bool,
    is_over: bool,
    is_head: bool,
}

impl Sending {
    /// One whose `head` is complete, and announces `upload` as its body.
    pub fn new(method: &Method, head: Vec<u8>, upload: Upload) -> Self {
        Self {
            head,
            gone: 0,
            out: SmallVec::new(),
            is_whole: !upload.has_body(),
            upload,
            is_begun: false,
            is_over: false,
            is_head: *method == Method::HEAD,
        }
    }

    /// Whether a byte of it has been written.
    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Whether all of it has been written.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether it is a HEAD request, whose answer has no body whatever it says.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// What the head stood in, once all was written.
    pub fn take_room(&mut self) -> Option<Vec<u8>> {
        let is_free = self.is_over && self.head.capacity() > 0;
        is_free.then(|| std::mem::take(&mut self.head))
    }

    /// Nothing is left of what is known.
    fn is_out(&self) -> bool {
        self.gone == self.head.len() && self.out.is_empty()
    }

    /// Writes what can be written now. Ready when all of it has been.
    pub fn poll(
        &mut self,
        mut io: &mut (dyn AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendFault>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        loop {
            // Head and first chunk go out together, if it is there.
            if !self.is_whole && (self.is_out() || (!self.is_begun && self.out.is_empty())) {
                let waits = self.poll_chunk(cx)?.is_pending();
                if waits && self.is_out() {
                    ready!(Pin::new(&mut io).poll_flush(cx)).map_err(|_| SendFault::Closed)?;
                    return Poll::Pending;
                }
            }
            if self.is_out() && self.is_whole {
                ready!(Pin::new(&mut io).poll_flush(cx)).map_err(|_| SendFault::Closed)?;
                self.is_over = true;
                return Poll::Ready(Ok(()));
            }
            if self.is_out() {
                continue;
            }
            let head = self.head.get(self.gone..).unwrap_or_default();
            let written = match (head, &self.out[..]) {
                (head, []) => ready!(Pin::new(&mut io).poll_write(cx, head)),
                ([], [only]) => ready!(Pin::new(&mut io).poll_write(cx, only)),
                (head, pieces) => {
                    let mut slices = [IoSlice::new(head); PIECES + 1];
                    let (_, behind) = slices.split_at_mut(usize::from(!head.is_empty()));
                    for (slice, piece) in behind.iter_mut().zip(pieces) {
                        *slice = IoSlice::new(piece);
                    }
                    let count = usize::from(!head.is_empty()) + pieces.len();
                    let slices = slices.get(..count).unwrap_or_default();
                    ready!(Pin::new(&mut io).poll_write_vectored(cx, slices))
                }
            };
            match written {
                Ok(count @ 1..) => self.written(count),
                _ => return Poll::Ready(Err(SendFault::Closed)),
            }
        }
    }

    fn written(&mut self, mut count: usize) {
        self.is_begun = true;
        let of_head = count.min(self.head.len() - self.gone);
        self.gone += of_head;
        count -= of_head;
        while let Some(first) = self.out.first_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.out.remove(0);
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, SendFault> {
        let frame = match Pin::new(&mut self.upload).poll_frame(cx) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(frame) => frame,
        };
        let is_chunked = self.upload.framing() == Framing::Chunked;
        match frame {
            Some(Ok(frame)) => {
                let Ok(chunk) = frame.into_data() else { return Ok(Poll::Ready(())) };
                // An empty chunk would end a chunked message.
                if is_chunked && !chunk.is_empty() {
                    let mut head = Vec::with_capacity(18);
                    chunk_head(chunk.len(), &mut head);
                    self.out.extend([head.into(), chunk, Bytes::from_static(LINE_END)]);
                } else if !chunk.is_empty() {
                    self.out.push(chunk);
                }
                self.is_whole = !is_chunked && self.upload.is_finished();
            }
            Some(Err(_)) => return Err(SendFault::Upload),
            None => {
                self.is_whole = true;
                if is_chunked {
                    self.out.push(Bytes::from_static(LAST_CHUNK));
                }
            }
        }
        Ok(Poll::Ready(()))
    }
}

#[cfg(test)]
mod tests;
