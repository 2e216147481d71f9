//! One HTTP/1.1 connection to an upstream: an exchange after the other, each driven by whoever waits for it (RFC 9112).
//! Never begins an exchange before the last one is over on both sides, and never believes an answer that frames its body in two ways.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{StatusCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, empty, join, sink, split};
use tokio::task::{JoinHandle, spawn_local, unconstrained};

use super::sending::{SendFault, Sending};
use super::switched::Switched;
use crate::http1::{self, Decoder, Fields, HeadFault, Piece, ResponseHead, lists, read_response};

/// The largest head of an answer, bytes.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// Bytes to ask for at a time: what most answers are, and what a long body is read in.
const FEW: usize = 8 * 1024;
const MANY: usize = 64 * 1024;
/// Room that is enough to go on reading a head into: one buffer serves several answers.
const ROOM: usize = 2 * 1024;

/// What a connection runs over: TCP or a Unix socket, with TLS or without.
pub trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// A connection.
pub struct Wire {
    io: Box<dyn Io>,
    /// What was read and not taken yet.
    read: BytesMut,
    /// What is left of the answer's body.
    body: Decoder,
    /// Between the first byte of a request and the last of its answer.
    is_busy: bool,
    /// It serves no further exchange.
    is_last: bool,
    /// What fails to be written may have been written in part.
    is_tls: bool,
    /// Sends the rest of a request whose answer has begun.
    rest: Option<Rest>,
}

/// Ends with the connection.
struct Rest {
    task: JoinHandle<()>,
    news: Rc<News>,
}

/// What whoever reads the answer has to know of the rest of its request.
#[derive(Default)]
struct News {
    /// It broke off: the upstream waits for it in vain.
    is_broken: Cell<bool>,
    reader: Cell<Option<Waker>>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a byte of the request was written: it may go over another connection.
    Unsent,
    /// The upstream closed the connection.
    Closed,
    /// The request's body broke off; its watch knows why.
    Upload,
    /// What came is no answer; says why.
    Invalid(&'static str),
}

impl Wire {
    /// Speaks over `io`, on which nothing has been said.
    pub fn new(io: impl Io + 'static) -> Self {
        Self {
            io: Box::new(io),
            read: BytesMut::new(),
            body: Decoder::Length(0),
            is_busy: false,
            is_last: false,
            is_tls: false,
            rest: None,
        }
    }

    /// It runs over TLS, which does not say how much of a write that failed has gone.
    pub fn over_tls(self) -> Self {
        Self { is_tls: true, ..self }
    }

    /// Whether it takes a request at once. Nobody reads from an idle connection: its end, or bytes that nobody asked for, wake `cx`.
    pub fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_busy || self.is_last || !self.read.is_empty() {
            return false;
        }
        if self.read.capacity() == 0 {
            self.read.reserve(FEW);
        }
        // Unconstrained: a read that is put off says nothing of the connection.
        if pin!(unconstrained(self.io.read_buf(&mut self.read))).poll(cx).is_ready() {
            self.is_last = true;
        }
        !self.is_last
    }

    /// Sends what is left of the request and reads until the head of the answer is there.
    pub fn poll_answer(
        &mut self,
        request: &mut Sending,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Fault>> {
        self.is_busy = true;
        if let Poll::Ready(Err(fault)) = request.poll(&mut *self.io, cx) {
            match fault {
                SendFault::Upload => return Poll::Ready(Err(Fault::Upload)),
                SendFault::Closed if !request.is_begun() && !self.is_tls => {
                    return Poll::Ready(Err(Fault::Unsent));
                }
                // It may have said why.
                SendFault::Closed => self.is_last = true,
            }
        }
        loop {
            if let Some(head) = self.take_head()? {
                self.begin_body(&head, request)?;
                return Poll::Ready(Ok(head));
            }
            match ready!(self.poll_read(ROOM, FEW, cx)) {
                Ok(1..) => {}
                _ => return Poll::Ready(Err(Fault::Closed)),
            }
        }
    }

    /// What comes next of the answer's body; `None` at its end.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if let Some(Rest { news, .. }) = &self.rest {
            news.reader.set(Some(cx.waker().clone()));
            if news.is_broken.get() {
                return Poll::Ready(Some(Err(Fault::Upload)));
            }
        }
        loop {
            match self.body.take(&mut self.read) {
                Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Piece::End) => {
                    self.is_busy = false;
                    return Poll::Ready(None);
                }
                Ok(Piece::More) => {}
                Err(_) => return Poll::Ready(Some(Err(Fault::Invalid("no body")))),
            }
            let want = match self.body {
                Decoder::Length(left) => usize::try_from(left).unwrap_or(MANY).clamp(FEW, MANY),
                _ => MANY,
            };
            match ready!(self.poll_read(want.min(FEW), want, cx)) {
                Ok(1..) => {}
                Ok(0) if self.body.at_end_of_stream().is_ok() => {
                    self.body = Decoder::Length(0);
                    self.is_last = true;
                }
                _ => return Poll::Ready(Some(Err(Fault::Closed))),
            }
        }
    }

    /// How many bytes are left of a body whose length was said; `None` for one that was not.
    pub fn left(&self) -> Option<u64> {
        if let Decoder::Length(left) = self.body { Some(left) } else { None }
    }

    /// Lets the rest of `request` go up by itself, its answer having begun: whoever reads that slowly must not hold it up. The
    /// connection is used for nothing else afterwards.
    pub fn send_rest(&mut self, mut request: Sending) {
        self.is_last = true;
        let (read, mut write) = split(std::mem::replace(&mut self.io, Box::new(empty())));
        self.io = Box::new(join(read, sink()));
        let news = Rc::<News>::default();
        let told = Rc::clone(&news);
        let task = spawn_local(async move {
            // An upstream that takes no more may go on with its answer.
            if poll_fn(|cx| request.poll(&mut write, cx)).await == Err(SendFault::Upload) {
                told.is_broken.set(true);
                told.reader.take().into_iter().for_each(Waker::wake);
            }
        });
        self.rest = Some(Rest { task, news });
    }

    /// Hands the stream over, after a 101: what follows is no HTTP any more.
    pub fn switch(&mut self) -> Switched {
        self.is_last = true;
        Switched::new(std::mem::replace(&mut self.io, Box::new(empty())), self.read.split())
    }

    fn take_head(&mut self) -> Result<Option<ResponseHead>, Fault> {
        while !self.read.is_empty() {
            let head = read_response(&mut self.read).map_err(|fault| match fault {
                HeadFault::TooManyFields => {
                    Fault::Invalid("the upstream's answer has too many fields")
                }
                HeadFault::Malformed(_) => Fault::Invalid("the upstream's answer is not HTTP/1.1"),
            })?;
            match head {
                // However many: the time limit for the answer's head ends a flood.
                Some(head) if is_interim(head.status) => {}
                Some(head) => return Ok(Some(head)),
                None if self.read.len() > MOST_HEAD_BYTES => {
                    return Err(Fault::Invalid("the head of the upstream's answer is too long"));
                }
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// What frames the body (RFC 9112 §6.3), and whether the connection outlives it (§9.3).
    fn begin_body(&mut self, head: &ResponseHead, request: &Sending) -> Result<(), Fault> {
        let is_modern = head.version == Version::HTTP_11;
        self.body = framing(&head.fields, is_modern)?;
        if request.is_head() || matches!(head.status.as_u16(), 101 | 204 | 304) {
            self.body = Decoder::Length(0);
        }
        self.is_busy = !self.body.is_over();
        self.is_last |= !persists(&head.fields, is_modern)
            || !request.is_over()
            || head.status == StatusCode::SWITCHING_PROTOCOLS;
        Ok(())
    }

    /// Reads into what room there is, if that is as much as it `takes`, else into room for `want` bytes.
    fn poll_read(
        &mut self,
        takes: usize,
        want: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < takes {
            self.read.reserve(want);
        }
        pin!(self.io.read_buf(&mut self.read)).poll(cx)
    }
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Two framings are an attack or a broken server, and we understand no coding but `chunked`.
fn framing(fields: &Fields, is_modern: bool) -> Result<Decoder, Fault> {
    const TWICE: Fault = Fault::Invalid("the upstream's answer is framed twice");
    let mut lengths = fields.get_all("content-length");
    let mut codings = fields.get_all("transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Decoder::UntilClose),
        (None, Some(coding)) => {
            let is_plain = is_modern
                && coding.trim_ascii().eq_ignore_ascii_case(b"chunked")
                && codings.next().is_none();
            if is_plain { Ok(Decoder::CHUNKED) } else { Err(TWICE) }
        }
        (Some(length), None) if lengths.all(|other| other == length) => {
            const NONE: Fault = Fault::Invalid("the length of the upstream's answer is none");
            http1::length(length).map(Decoder::Length).ok_or(NONE)
        }
        _ => Err(TWICE),
    }
}

fn persists(fields: &Fields, is_modern: bool) -> bool {
    let says = |word: &[u8]| fields.get_all("connection").any(|line| lists(line, word));
    !says(b"close") && (is_modern || says(b"keep-alive"))
}

#[cfg(test)]
mod tests;
