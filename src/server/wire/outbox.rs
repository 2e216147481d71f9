//! Bytes on their way to a client: heads and small chunks copied into one buffer, a large chunk behind them as it is, and what ends it.
//! All of it goes out in one call where the connection can.

use std::io::{Error, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

use crate::http1::{LAST_CHUNK, LINE_END, chunk_head};

/// A chunk up to this is copied: that costs less than a third slice in the call.
const SMALL: usize = 8 * 1024;
/// Small chunks that are collected before they are written.
const FULL: usize = 32 * 1024;
/// A buffer larger than this is given back when it was written.
const KEPT: usize = 16 * 1024;

/// Empty at first.
#[derive(Default)]
pub(super) struct Outbox {
    before: Vec<u8>,
    /// How much of `before` was written.
    written: usize,
    large: Bytes,
    after: &'static [u8],
    /// The connection may hold some of it back.
    unflushed: bool,
}

impl Outbox {
    /// Where heads are written to. Only while the outbox is not full.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.before
    }

    /// Whether it has to be written before more is put in.
    pub fn is_full(&self) -> bool {
        // What ends a large chunk is as much in the way as the chunk.
        !self.large.is_empty() || !self.after.is_empty() || self.before.len() >= FULL
    }

    /// Bytes of a body as they are.
    pub fn put(&mut self, bytes: Bytes) {
        if bytes.len() <= SMALL {
            self.before.extend_from_slice(&bytes);
        } else {
            self.large = bytes;
        }
    }

    /// A chunk with its frame (RFC 9112 §7.1); an empty one is none.
    pub fn put_chunk(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        chunk_head(bytes.len(), &mut self.before);
        if bytes.len() <= SMALL {
            self.before.extend_from_slice(&bytes);
            self.before.extend_from_slice(LINE_END);
        } else {
            (self.large, self.after) = (bytes, LINE_END);
        }
    }

    /// The end of a body in chunks.
    pub fn put_last_chunk(&mut self) {
        self.before.extend_from_slice(LAST_CHUNK);
    }

    /// Writes all of it.
    pub fn poll_write<T: AsyncWrite + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        while !self.is_empty() {
            let before = self.before.get(self.written..).unwrap_or_default();
            let count = if self.large.is_empty() && self.after.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, before))?
            } else {
                let slices = [before, &self.large, self.after].map(IoSlice::new);
                let first = slices.iter().position(|slice| !slice.is_empty()).unwrap_or(0);
                let slices = slices.get(first..).unwrap_or_default();
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(count);
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn is_empty(&self) -> bool {
        self.before.len() == self.written && self.large.is_empty() && self.after.is_empty()
    }

    fn advance(&mut self, count: usize) {
        let of_before = count.min(self.before.len() - self.written);
        self.written += of_before;
        let of_large = (count - of_before).min(self.large.len());
        self.large.advance(of_large);
        let of_after = count - of_before - of_large;
        self.after = self.after.get(of_after..).unwrap_or_default();
        if self.is_empty() {
            self.written = 0;
            self.large = Bytes::new();
            if self.before.capacity() > KEPT {
                self.before = Vec::new();
            } else {
                self.before.clear();
            }
        }
    }
}
