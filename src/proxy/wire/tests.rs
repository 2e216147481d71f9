//! What a connection makes of an upstream's bytes, and of its end. The upstream is a pipe in memory.

use std::future::poll_fn;
use std::task::Waker;

use actix_web::dev::Payload;
use http::Method;
use proptest::prelude::*;
use rstest::rstest;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::LocalSet;

use super::*;
use crate::edge::Request;
use crate::proxy::head::Head;
use crate::proxy::upload::Upload;

fn asked(method: &Method) -> Sending {
    let head = Head::new(Vec::new(), method, &["/"]).unwrap();
    Sending::new(method, head.finish(), Upload::nothing())
}

fn pair() -> (Wire, DuplexStream) {
    let (ours, theirs) = duplex(256 * 1024);
    (Wire::new(ours), theirs)
}

fn is_ready(wire: &mut Wire) -> bool {
    wire.is_ready(&mut Context::from_waker(Waker::noop()))
}

async fn answer(wire: &mut Wire, request: &mut Sending) -> Result<ResponseHead, Fault> {
    poll_fn(|cx| wire.poll_answer(request, cx)).await
}

async fn body(wire: &mut Wire) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::new();
    while let Some(piece) = poll_fn(|cx| wire.poll_piece(cx)).await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

/// What comes of an upstream that says `bytes` to a request, and closes if it `ends`: status, body, whether the connection is
/// good for another exchange.
async fn said(method: &Method, bytes: &[u8], ends: bool) -> Result<(u16, Vec<u8>, bool), Fault> {
    let (mut wire, mut theirs) = pair();
    theirs.write_all(bytes).await.unwrap();
    if ends {
        theirs.shutdown().await.unwrap();
    }
    let head = answer(&mut wire, &mut asked(method)).await?;
    let body = body(&mut wire).await?;
    let is_ready = is_ready(&mut wire);
    Ok((head.status.as_u16(), body, is_ready))
}

// proves: PX-08, PX-15
#[rstest]
#[case("200 OK\r\ncontent-length: 2\r\n\r\nhi", false, "hi", true)]
#[case("200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi", false, "hi", true)]
#[case("200 OK\r\ncontent-length: 0\r\n\r\n", false, "", true)]
#[case(
    "200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n",
    false,
    "hi",
    true
)]
#[case("200 OK\r\n\r\nhi", true, "hi", false)]
#[case("200 OK\r\nconnection: x, Close\r\ncontent-length: 2\r\n\r\nhi", false, "hi", false)]
#[case("200 OK\r\ncontent-length: 2\r\n\r\nhi and more", false, "hi", false)]
#[case("204 No\r\n\r\n", false, "", true)]
#[case("304 No\r\ncontent-length: 7\r\n\r\n", false, "", true)]
#[case("204 No\r\n\r\njunk", false, "", false)]
#[tokio::test]
async fn an_answer_ends_where_its_framing_says_and_leaves_the_connection_good_or_not(
    #[case] bytes: &str,
    #[case] ends: bool,
    #[case] expected: &str,
    #[case] is_good: bool,
) {
    let bytes = format!("HTTP/1.1 {bytes}");
    let (_, body, is_ready) = said(&Method::GET, bytes.as_bytes(), ends).await.unwrap();
    assert_eq!((body.as_slice(), is_ready), (expected.as_bytes(), is_good));
}

#[tokio::test]
async fn old_servers_keep_a_connection_only_if_they_say_so_and_head_has_no_body() {
    let old = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(said(&Method::GET, old, false).await, Ok((200, b"hi".to_vec(), false)));
    let both = b"HTTP/1.0 200 OK\r\nconnection: close, keep-alive\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(said(&Method::GET, both, false).await, Ok((200, b"hi".to_vec(), false)));
    let kept = b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(said(&Method::GET, kept, false).await, Ok((200, b"hi".to_vec(), true)));
    for length in ["content-length: 9\r\n", "transfer-encoding: chunked\r\n", ""] {
        let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n");
        let said = said(&Method::HEAD, head.as_bytes(), false).await;
        assert_eq!(said, Ok((200, Vec::new(), true)), "{length}");
    }
}

// proves: PX-08
#[rstest]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n")]
#[case("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\na : b\r\n\r\n")]
#[case("HTTP/2 200\r\n\r\n")]
#[case("SSH-2.0-x\r\n")]
#[tokio::test]
async fn what_has_two_readings_is_no_answer(#[case] bytes: &str) {
    let said = said(&Method::GET, bytes.as_bytes(), false).await;
    assert!(matches!(said, Err(Fault::Invalid(_))), "{said:?}");
}

// proves: PX-09
#[rstest]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi")]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n")]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")]
#[case("HTTP/1.1 200")]
#[case("")]
#[tokio::test]
async fn what_breaks_off_is_no_end(#[case] bytes: &str) {
    assert_eq!(said(&Method::GET, bytes.as_bytes(), true).await, Err(Fault::Closed));
}

// proves: PX-14
#[tokio::test]
async fn interim_answers_are_passed_over_and_a_head_is_bounded() {
    let interim = "HTTP/1.1 103 Hints\r\nlink: </x>\r\n\r\n";
    let some = format!("{}HTTP/1.1 204 No\r\n\r\n", interim.repeat(100));
    assert_eq!(said(&Method::GET, some.as_bytes(), false).await, Ok((204, Vec::new(), true)));
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MOST_HEAD_BYTES));
    assert!(matches!(said(&Method::GET, long.as_bytes(), false).await, Err(Fault::Invalid(_))));
}

#[tokio::test]
async fn an_idle_connection_that_says_something_or_ends_is_not_used_again() {
    let (mut wire, mut theirs) = pair();
    assert!(is_ready(&mut wire) && is_ready(&mut wire));
    theirs.write_all(b"HTTP/1.1 408 Too late\r\n\r\n").await.unwrap();
    assert!(!is_ready(&mut wire) && !is_ready(&mut wire));
    let (mut wire, theirs) = pair();
    drop(theirs);
    assert!(!is_ready(&mut wire));
    // Nobody has looked: the request meets the end, and nothing of it was taken.
    let (mut wire, theirs) = pair();
    drop(theirs);
    let mut request = asked(&Method::POST);
    assert_eq!(answer(&mut wire, &mut request).await.err(), Some(Fault::Unsent));
    let (mut fresh, mut theirs) = pair();
    theirs.write_all(b"HTTP/1.1 204 No\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut fresh, &mut request).await.unwrap().status, 204);
}

#[tokio::test]
async fn what_failed_over_tls_may_have_gone_in_part() {
    let (wire, theirs) = pair();
    drop(theirs);
    let fault = answer(&mut wire.over_tls(), &mut asked(&Method::POST)).await.err();
    assert_eq!(fault, Some(Fault::Closed), "it is not sent again as it is");
}

#[tokio::test]
async fn a_dead_connection_is_known_though_its_task_has_used_up_its_turn() {
    let (mut wire, theirs) = pair();
    drop(theirs);
    poll_fn(|cx| {
        let mut spent = 0;
        while pin!(tokio::task::consume_budget()).poll(cx).is_ready() {
            spent += 1;
            assert!(spent < 10_000, "a task has no end of turns");
        }
        assert!(!wire.is_ready(cx));
        Poll::Ready(())
    })
    .await;
}

fn upload(chunks: &[&'static [u8]], announced: Option<usize>) -> Upload {
    let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
    let body: Payload = Payload::Stream { payload: Box::pin(futures_util::stream::iter(chunks)) };
    let length = announced.map(|length| length.to_string());
    let fields: Vec<_> = length.iter().map(|length| ("content-length", length.as_str())).collect();
    Upload::new(&Request::test("POST", "/", &fields), body, 1024).unwrap()
}

#[rstest]
#[case(&[b"one".as_slice(), b"", b"two"], Some(6), "onetwo")]
#[case(&[b"one".as_slice(), b"", b"two"], None, "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")]
#[case(&[], None, "0\r\n\r\n")]
#[tokio::test]
async fn a_body_goes_up_framed_anew(
    #[case] chunks: &[&'static [u8]],
    #[case] announced: Option<usize>,
    #[case] expected: &str,
) {
    use tokio::io::AsyncReadExt as _;
    let (mut wire, mut theirs) = pair();
    theirs.write_all(b"HTTP/1.1 204 No\r\n\r\n").await.unwrap();
    let head = Head::new(Vec::new(), &Method::POST, &["/"]).unwrap().finish();
    let mut request = Sending::new(&Method::POST, head, upload(chunks, announced));
    answer(&mut wire, &mut request).await.unwrap();
    assert!(request.is_over() && is_ready(&mut wire));
    drop(wire);
    let mut sent = String::new();
    theirs.read_to_string(&mut sent).await.unwrap();
    assert_eq!(sent, format!("POST / HTTP/1.1\r\n\r\n{expected}"));
}

// proves: PX-09
#[tokio::test]
async fn a_body_that_breaks_off_ends_the_exchange() {
    for announced in [Some(7), Some(5)] {
        let (mut wire, _theirs) = pair();
        let head = Head::new(Vec::new(), &Method::POST, &["/"]).unwrap().finish();
        let body = upload(&[b"one", b"two"], announced);
        let mut request = Sending::new(&Method::POST, head, body);
        let fault = answer(&mut wire, &mut request).await.err();
        assert_eq!(fault, Some(Fault::Upload), "{announced:?}");
        assert!(!is_ready(&mut wire));
    }
}

// proves: PX-09
#[tokio::test]
async fn a_rest_that_breaks_off_ends_the_answer_that_has_begun() {
    LocalSet::new()
        .run_until(async {
            let (mut wire, mut theirs) = pair();
            let (more, rest) = tokio::sync::mpsc::channel::<Bytes>(1);
            let rest = futures_util::stream::unfold(rest, |mut rest| async move {
                rest.recv().await.map(|chunk| (Ok(chunk), rest))
            });
            let body: Payload = Payload::Stream { payload: Box::pin(rest) };
            let post = Request::test("POST", "/", &[("content-length", "4")]);
            let head = Head::new(Vec::new(), &Method::POST, &["/"]).unwrap().finish();
            let upload = Upload::new(&post, body, 1024).unwrap();
            let mut request = Sending::new(&Method::POST, head, upload);
            theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi").await.unwrap();
            answer(&mut wire, &mut request).await.unwrap();
            wire.send_rest(request);
            more.send(Bytes::from_static(b"more than was announced")).await.unwrap();
            assert_eq!(body_so_far(&mut wire).await, (b"hi".to_vec(), Some(Fault::Upload)));
        })
        .await;
}

async fn body_so_far(wire: &mut Wire) -> (Vec<u8>, Option<Fault>) {
    let mut all = Vec::new();
    while let Some(piece) = poll_fn(|cx| wire.poll_piece(cx)).await {
        match piece {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(fault) => return (all, Some(fault)),
        }
    }
    (all, None)
}

#[tokio::test]
async fn an_early_answer_is_read_while_the_rest_goes_up() {
    use tokio::io::AsyncReadExt as _;
    LocalSet::new()
        .run_until(async {
            let (ours, mut theirs) = duplex(64);
            let mut wire = Wire::new(ours);
            let (more, rest) = tokio::sync::mpsc::channel::<Bytes>(1);
            let rest = futures_util::stream::unfold(rest, |mut rest| async move {
                rest.recv().await.map(|chunk| (Ok(chunk), rest))
            });
            let body: Payload = Payload::Stream { payload: Box::pin(rest) };
            let post = Request::test("POST", "/", &[]);
            let head = Head::new(Vec::new(), &Method::POST, &["/"]).unwrap().finish();
            let upload = Upload::new(&post, body, 1024).unwrap();
            let mut request = Sending::new(&Method::POST, head, upload);
            theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            let head = answer(&mut wire, &mut request).await.unwrap();
            assert_eq!((head.status.as_u16(), request.is_over()), (200, false));
            wire.send_rest(request);
            more.send(Bytes::from_static(b"late")).await.unwrap();
            drop(more);
            let mut sent = vec![0; 33];
            theirs.read_exact(&mut sent).await.unwrap();
            assert_eq!(&sent, b"POST / HTTP/1.1\r\n\r\n4\r\nlate\r\n0\r\n\r\n");
            assert_eq!(body_of(&mut wire).await, b"hi");
            assert!(!is_ready(&mut wire), "it is used for nothing else");
        })
        .await;
}

async fn body_of(wire: &mut Wire) -> Vec<u8> {
    body(wire).await.unwrap()
}

proptest! {
    // proves: PX-08
    #[test]
    fn whatever_an_upstream_says_is_an_answer_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _any = runtime.block_on(said(&Method::GET, &[b"HTTP/1.1 ", &bytes[..]].concat(), true));
    }
}
