//! What goes out in one call, and what after it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::Waker;

use actix_web::dev::Payload;
use futures_util::stream;

use super::*;
use crate::edge::Request;

/// Takes up to so many bytes a call, and remembers the calls.
struct Calls {
    most: usize,
    taken: Vec<Vec<u8>>,
}

impl AsyncWrite for Calls {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        all.truncate(self.most);
        let count = all.len();
        self.taken.push(all);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A request with these chunks, each of which comes when its turn has: `None` makes the next wait for another poll.
fn posted(chunks: Vec<Option<&'static str>>, length: Option<&str>) -> Sending {
    let chunks = Rc::new(RefCell::new(chunks.into_iter()));
    let body = stream::poll_fn(move |_| match chunks.borrow_mut().next() {
        Some(Some(chunk)) => Poll::Ready(Some(Ok(Bytes::from_static(chunk.as_bytes())))),
        Some(None) => Poll::Pending,
        None => Poll::Ready(None),
    });
    let body: Payload = Payload::Stream { payload: Box::pin(body) };
    let fields: Vec<_> = length.iter().map(|length| ("content-length", *length)).collect();
    let upload = Upload::new(&Request::test("POST", "/", &fields), body, 1024).unwrap();
    Sending::new(&Method::POST, b"HEAD;".to_vec(), upload)
}

fn poll(sending: &mut Sending, io: &mut Calls) -> Poll<Result<(), SendFault>> {
    sending.poll(io, &mut Context::from_waker(Waker::noop()))
}

#[test]
fn head_and_body_go_out_together_if_the_body_is_there() {
    let mut io = Calls { most: usize::MAX, taken: Vec::new() };
    let mut sending = posted(vec![Some("body")], Some("4"));
    assert_eq!(poll(&mut sending, &mut io), Poll::Ready(Ok(())));
    assert_eq!(io.taken, [b"HEAD;body"]);
    assert!(sending.is_over());
    // What is not there is not waited for.
    let mut io = Calls { most: usize::MAX, taken: Vec::new() };
    let mut sending = posted(vec![None, None, Some("one"), None, Some("two")], None);
    assert!(poll(&mut sending, &mut io).is_pending());
    assert!(poll(&mut sending, &mut io).is_pending());
    assert_eq!(poll(&mut sending, &mut io), Poll::Ready(Ok(())));
    let calls: Vec<_> = io.taken.iter().map(|call| String::from_utf8_lossy(call)).collect();
    assert_eq!(calls, ["HEAD;", "3\r\none\r\n", "3\r\ntwo\r\n", "0\r\n\r\n"]);
}

#[test]
fn a_connection_that_takes_little_gets_all_of_it_in_order() {
    for most in 1..20 {
        let mut io = Calls { most, taken: Vec::new() };
        let mut sending = posted(vec![Some("one"), None, Some("three")], None);
        while poll(&mut sending, &mut io).is_pending() {
            assert_eq!(sending.take_room(), None, "the head may be needed again");
        }
        assert_eq!(sending.take_room().as_deref(), Some(b"HEAD;".as_slice()));
        assert_eq!(sending.take_room(), None);
        assert_eq!(io.taken.concat(), b"HEAD;3\r\none\r\n5\r\nthree\r\n0\r\n\r\n", "{most}");
    }
}
