//! The way down: requests finish, streams end, all within a deadline, and nobody is sent here any more.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::process::{Process, read_to, rest};
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";

/// Waits until the process says that it goes down.
async fn draining(process: &Process) {
    for _ in 0..1_000 {
        let answer = process.admin("/readyz").await;
        if answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"draining\"") {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never says so");
}

// proves: PX-14
#[rstest]
#[case("TERM")]
#[case("INT")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_flight_finishes_then_streams_end_cleanly(#[case] signal: &str) {
    let go_on = Arc::new(Notify::new());
    let waiting = Arc::clone(&go_on);
    let upstream = HostileUpstream::start(move |number| match number {
        0 => vec![Step::Read, Step::Wait(Arc::clone(&waiting)), send(ok("finished")), Step::Hang],
        _ => vec![Step::Read, send(STREAM), Step::Hang],
    })
    .await;
    let process = Process::start(upstream.address, "shutdown_timeout = \"60s\"").await;
    assert!(process.admin("/readyz").await.starts_with("HTTP/1.1 200 "));
    let mut call = process.call().await;
    until(|| upstream.requests().len() == 1).await;
    let mut stream = process.call().await;
    read_to(&mut stream, "data: 1").await;
    let metrics = process.admin("/metrics").await;
    let line = format!("upstream_in_flight{{upstream=\"http://{}\"}} 2", upstream.address);
    assert!(metrics.contains(&line), "{metrics}");
    process.signal(signal).await;
    draining(&process).await;
    // The call still waits, and so the stream is left alone.
    sleep(Duration::from_millis(300)).await;
    assert_eq!(upstream.hung_up(), 0);
    assert!(process.connect().await.is_err(), "nobody is let in any more");
    go_on.notify_one();
    assert!(rest(&mut call).await.ends_with("finished"));
    assert!(rest(&mut stream).await.ends_with("0\r\n\r\n"), "a clean end: the browser comes again");
    // Long before the deadline: nothing is left to wait for.
    assert!(process.ended().await.success());
}

// proves: PX-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_deadline_streams_end_and_what_is_stuck_is_broken_off() {
    let upstream = HostileUpstream::start(move |number| match number {
        0 => {
            vec![Step::Read, send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nstuck"), Step::Hang]
        }
        _ => vec![Step::Read, send(STREAM), Step::Hang],
    })
    .await;
    let process = Process::start(upstream.address, "shutdown_timeout = \"1s\"").await;
    let mut stuck = process.call().await;
    read_to(&mut stuck, "stuck").await;
    let mut stream = process.call().await;
    read_to(&mut stream, "data: 1").await;
    let began = Instant::now();
    process.signal("TERM").await;
    assert!(rest(&mut stream).await.ends_with("0\r\n\r\n"));
    assert!(began.elapsed() >= Duration::from_millis(900), "it had until the deadline");
    assert_eq!(rest(&mut stuck).await, "");
    assert!(process.ended().await.success());
    until(|| upstream.hung_up() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let upstream = HostileUpstream::playing(vec![Step::Read, Step::Hang]).await;
    let process = Process::start(upstream.address, "shutdown_timeout = \"1h\"").await;
    let mut call = process.call().await;
    until(|| upstream.requests().len() == 1).await;
    process.signal("TERM").await;
    draining(&process).await;
    process.signal("TERM").await;
    assert_eq!(rest(&mut call).await, "");
    assert!(process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nothing_to_do_it_ends_right_away_although_browsers_keep_their_connections() {
    let upstream = HostileUpstream::answering(ok("hi")).await;
    let process = Process::start(upstream.address, "shutdown_timeout = \"1h\"").await;
    let mut kept = process.call().await;
    read_to(&mut kept, "hi").await;
    process.signal("TERM").await;
    assert_eq!(rest(&mut kept).await, "");
    assert!(process.ended().await.success());
}
