//! What an answer's head says about the rest of the call, and a request that met a dead connection before it started.

use std::sync::Arc;

use http::Method;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::*;
use crate::proxy::connect::{Purpose, handshake};
use crate::proxy::pool::tests::pool;
use crate::proxy::route::tests::local;

#[rstest]
#[case("timeout=5", Some(4))]
#[case("timeout=5, max=100", Some(4))]
#[case("max=100, Timeout = 20", Some(19))]
#[case("timeout=1", Some(0))]
#[case("timeout=0", Some(0))]
#[case("max=100", None)]
#[case("timeout", None)]
#[case("timeout=-1", None)]
#[case("timeout=soon", None)]
#[case("timeout=99999999999", None)]
#[case("", None)]
fn the_upstream_says_how_long_it_keeps_a_connection(
    #[case] value: &str,
    #[case] seconds: Option<u64>,
) {
    assert_eq!(kept_for(value), seconds.map(Duration::from_secs));
}

#[rstest]
#[case("text/event-stream", true)]
#[case("Text/Event-Stream; charset=utf-8", true)]
#[case("text/event-stream-like", false)]
#[case("application/json", false)]
#[case("", false)]
fn event_streams_are_known_by_their_media_type(#[case] value: &str, #[case] is_one: bool) {
    assert_eq!(is_event_stream(value.as_bytes()), is_one);
}

#[tokio::test]
async fn a_request_that_never_started_on_a_dead_connection_is_sent_once_on_a_fresh_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let route = local(listener.local_addr().expect("bound").port());
    let upstream = async {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("a head"));
        }
        socket.write_all(b"HTTP/1.1 204 Done\r\n\r\n").await.expect("an open connection");
        String::from_utf8(head).expect("text")
    };
    let asking = async {
        let pool = pool();
        let (ours, theirs) = duplex(1024);
        let connection = handshake(ours, Purpose::Exchanges).await.expect("nothing is said yet");
        let terms = Terms { idle: None, over: None, keep: Duration::from_secs(30), endless: false };
        pool.enter(&route).expect("room").link(connection, terms).release();
        // Closed, and nobody has had time to notice.
        drop(theirs);
        let head = |room| {
            let head = Head::new(room, &Method::POST, &["/"]);
            head.map_err(|_| ProxyError::BadRequest("never"))
        };
        let sent = send(&pool, &route, Upload::nothing(), head).await;
        let status = sent.expect("an answer").0.status;
        let room = pool.enter(&route).expect("the call is over").home().room();
        assert!(room.capacity() > 0, "the next head is written where this one stood");
        status
    };
    let (head, status) = LocalSet::new().run_until(async { tokio::join!(upstream, asking) }).await;
    assert!(head.starts_with("POST / "), "{head}");
    assert_eq!(status, 204);
}

#[tokio::test]
async fn a_call_beyond_the_limit_is_turned_away_and_each_that_ends_makes_room() {
    LocalSet::new()
        .run_until(async {
            let (pool, other_worker) = (pool(), pool());
            let (one, two) = (Arc::new(local(80)), local(81));
            let first = pool.enter(&one).expect("room");
            assert_eq!(pool.enter(&one).err(), Some(ProxyError::Busy));
            assert!(pool.enter(&two).is_ok(), "another upstream has a count of its own");
            assert!(other_worker.enter(&one).is_ok(), "these two share no metrics");
            drop(first);
            assert!(pool.enter(&one).is_ok());
            assert!(pool.enter(&one).is_ok(), "who was turned away left nothing behind");
        })
        .await;
}
