//! A body that falls silent, and one that ends. The upstream is a pipe in memory, time is moved by hand.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::*;
use crate::proxy::connect::{Purpose, handshake};
use crate::proxy::head::Head;
use crate::proxy::route::tests::local;
use crate::proxy::upload::Upload;

const SIZED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
const IDLE: Duration = Duration::from_secs(300);

fn silence() -> Terms {
    Terms { idle: Some(IDLE), over: None, keep: Duration::ZERO, endless: false }
}

/// The body of an answer that has begun with `head`.
async fn begun(head: &str, terms: Terms) -> (Download, DuplexStream) {
    let (ours, mut theirs) = duplex(4096);
    let mut connection =
        handshake(ours, Purpose::Exchanges).await.expect("no bytes are exchanged yet");
    let request = Head::new(Vec::new(), &Method::GET, &["/"]).expect("a target");
    let upstream = Arc::clone(local(80).upstream());
    let mut asking = connection.ask(request, Upload::nothing(), &upstream).expect("a request");
    let answering = async {
        theirs.read_exact(&mut [0; 4]).await.expect("a request");
        theirs.write_all(head.as_bytes()).await.expect("room for the head");
    };
    let answer = poll_fn(|cx| connection.poll_answer(&mut asking, cx));
    let (answer, ()) = tokio::join!(answer, answering);
    let body = answer.expect("an answer").body;
    (Download::streaming(body, Link::alone(connection, terms)), theirs)
}

async fn next(body: &mut Download) -> Option<Result<Bytes, DownloadFault>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await
}

// proves: PX-09
#[tokio::test(start_paused = true)]
async fn a_body_that_falls_silent_breaks_off_and_each_chunk_starts_the_wait_again() {
    LocalSet::new()
        .run_until(async {
            let (mut body, mut theirs) = begun(SIZED, silence()).await;
            assert_eq!(body.size(), BodySize::Sized(9));
            assert_eq!(next(&mut body).await, Some(Ok(Bytes::from_static(b"abc"))));
            let writing = async {
                sleep(IDLE.mul_f32(0.9)).await;
                theirs.write_all(b"def").await.expect("an open pipe");
            };
            let (chunk, ()) = tokio::join!(next(&mut body), writing);
            assert_eq!(chunk, Some(Ok(Bytes::from_static(b"def"))));
            let before = Instant::now();
            assert_eq!(next(&mut body).await, Some(Err(DownloadFault::Silent)));
            assert!(before.elapsed() >= IDLE);
            assert_eq!(next(&mut body).await, None, "nothing comes after the fault");
        })
        .await;
}

// proves: PX-09
#[tokio::test(start_paused = true)]
async fn a_body_cut_short_is_a_fault_and_a_whole_one_ends() {
    LocalSet::new()
        .run_until(async {
            let (mut body, theirs) = begun(SIZED, silence()).await;
            drop(theirs);
            assert_eq!(next(&mut body).await, Some(Ok(Bytes::from_static(b"abc"))));
            assert_eq!(next(&mut body).await, Some(Err(DownloadFault::Incomplete)));

            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let (mut body, mut theirs) = begun(head, silence()).await;
            assert_eq!(body.size(), BodySize::Stream);
            let rest = b"3\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n";
            theirs.write_all(rest).await.expect("an open pipe");
            assert_eq!(next(&mut body).await, Some(Ok(Bytes::from_static(b"abc"))));
            assert_eq!(next(&mut body).await, None, "trailers stop here");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_limit_may_be_silent_for_days() {
    LocalSet::new()
        .run_until(async {
            let endless = Terms { idle: None, ..silence() };
            let (mut body, mut theirs) = begun(SIZED, endless).await;
            assert_eq!(next(&mut body).await, Some(Ok(Bytes::from_static(b"abc"))));
            let writing = async {
                sleep(Duration::from_secs(2 * 24 * 60 * 60)).await;
                theirs.write_all(b"defghi").await.expect("an open pipe");
            };
            let (chunk, ()) = tokio::join!(next(&mut body), writing);
            assert_eq!(chunk, Some(Ok(Bytes::from_static(b"defghi"))));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_broken_off_though_it_moves() {
    LocalSet::new()
        .run_until(async {
            let over = Instant::now() + Duration::from_secs(60);
            let limited = Terms { over: Some(over), ..silence() };
            let (mut body, mut theirs) = begun(SIZED, limited).await;
            let writing = async {
                for _ in 0..5 {
                    sleep(Duration::from_secs(20)).await;
                    // Broken off, nobody reads any more.
                    let _ = theirs.write_all(b"d").await;
                }
            };
            let reading = async {
                while let Some(chunk) = next(&mut body).await {
                    if let Err(fault) = chunk {
                        return (fault, Instant::now());
                    }
                }
                panic!("the body ended cleanly");
            };
            let ((fault, at), ()) = tokio::join!(reading, writing);
            assert_eq!(fault, DownloadFault::Late);
            assert!(at >= over);
        })
        .await;
}
