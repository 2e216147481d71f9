//! Peers that send too slowly or not at all, and pieces cut at every place: bounded waits, and the same reading however the
//! bytes arrive.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::sleep;

use super::house::{CALL, House};
use crate::support::peer::Peer;

// proves: PX-07
#[tokio::test(flavor = "multi_thread")]
async fn a_message_means_the_same_in_whatever_pieces_it_arrives() {
    let house = House::start().await;
    let message = format!(
        "POST /public/pieces-1 HTTP/1.1\r\nHost: {host}\r\n{CALL}Transfer-Encoding: chunked\r\n\r\n\
         3;a=b\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\nGET /public/pieces-2 HTTP/1.1\r\nHost: {host}\r\n{CALL}\r\n",
        host = house.host
    );
    stream::iter(1..message.len())
        .for_each_concurrent(16, |at| {
            let (house, message) = (&house, &message);
            async move {
                let mut peer = Peer::connect(house.address).await;
                peer.send(&message[..at]).await;
                sleep(Duration::from_millis(5)).await;
                peer.send(&message[at..]).await;
                for expected in ["POST /public/pieces-1 ", "GET /public/pieces-2 "] {
                    assert_eq!(peer.answer(false).await.unwrap().text(), expected, "cut at {at}");
                }
            }
        })
        .await;
    let first = house.upstream.seen("/pieces-1");
    assert!(first.iter().all(|request| request.body == b"abc" && request.whole));
    assert_eq!(
        (first.len(), house.upstream.seen("/pieces-2").len()),
        (message.len() - 1, message.len() - 1)
    );
    house.stop().await;
}

// proves: PX-14
// Abuse class: slow heads and bodies.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_or_a_body_that_never_ends_is_ended_here() {
    let house = House::start().await;
    let post = |name: &str, framing: &str| {
        format!("POST /slow/{name} HTTP/1.1\r\nHost: {}\r\n{CALL}{framing}\r\n\r\n", house.host)
    };
    let head = format!("GET /slow/head HTTP/1.1\r\nHost: {}\r\nX-Slow: ", house.host);
    let chunked = "Transfer-Encoding: chunked";
    let cases = [
        (head, "x", 408),
        (post("length", "Content-Length: 100") + "abc", "", 400),
        (post("chunk", chunked) + "9\r\nabc", "", 400),
        (post("size", chunked) + "3\r\nabc\r\n", "", 400),
        (post("trailer", chunked) + "3\r\nabc\r\n0\r\nX-Slow: ", "x", 400),
    ];
    stream::iter(cases)
        .for_each_concurrent(None, |(begun, drip, status)| {
            let address = house.address;
            async move {
                let mut peer = Peer::connect(address).await;
                peer.send(&begun).await;
                let mut drops = 0;
                while !peer.hears_something_within(Duration::from_millis(200)).await {
                    peer.send(drip).await;
                    drops += 1;
                    assert!(drops < 150, "{begun}: no end in half a minute");
                }
                let answer = peer.answer(false).await.expect("an answer");
                assert_eq!(answer.status, status, "{begun}: {}", answer.head);
            }
        })
        .await;
    let torn = house.upstream.seen("/slow/");
    assert!(torn.iter().all(|request| !request.whole), "{torn:?}");
    house.stop().await;
}
