//! Browsers that read nothing, or send their head a byte at a time: neither holds on to us or to an upstream.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::process::{Process, read_to, rest};
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};

const BIG: usize = 64 * 1024 * 1024;

// proves: PX-14
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_dropped_and_its_upstream_call_with_it() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BIG}\r\n\r\n");
    let steps = vec![Step::Read, send(head), Step::SendFilling(BIG), Step::Hang];
    let upstream = HostileUpstream::playing(steps).await;
    let process = Process::start(upstream.address, "write_timeout = \"1s\"").await;
    let mut stalled = process.call().await;
    let begun = read_to(&mut stalled, "\r\n\r\n").await;
    assert!(begun.starts_with("HTTP/1.1 200 "), "{begun}");
    // The client's kernel answers every probe; its program reads nothing.
    until(|| upstream.broken_off() == 1).await;
    assert!(upstream.sent() < BIG);
    let got = rest(&mut stalled).await;
    assert!(got.len() < BIG, "what was in the sockets, and no more");
    // Nobody else is disturbed.
    let mut patient = process.call().await;
    let mut taken = 0;
    let mut buffer = vec![0; 256 * 1024];
    while taken < BIG {
        let count = patient.read(&mut buffer).await.unwrap();
        assert!(count > 0, "a reader that takes its time is not dropped");
        taken += count;
        if taken % 50 == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }
    drop(process);
}

// proves: PX-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_trickles_is_cut_off() {
    let upstream = HostileUpstream::answering(ok("hi")).await;
    let process = Process::start(upstream.address, "head_timeout = \"1s\"").await;
    let (mut reader, mut writer) = process.connect().await.unwrap().into_split();
    let trickle = tokio::spawn(async move {
        for byte in
            b"GET /open/x HTTP/1.1\r\nhost: localhost\r\nx: ".iter().chain([b'x'; 999].iter())
        {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = String::new();
    let _reset_counts_as_an_end = reader.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    trickle.abort();
    // A connection that never says anything ends, too.
    assert!(rest(&mut process.connect().await.unwrap()).await.len() < 1_000);
    assert_eq!(upstream.connections(), 0);
    drop(process);
}

// proves: PX-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_kept_for_its_time_and_a_half_sent_second_head_no_longer() {
    let upstream = HostileUpstream::answering(ok("hi")).await;
    let limits = "head_timeout = \"1s\"\nkeepalive_timeout = \"2s\"";
    let process = Process::start(upstream.address, limits).await;
    let mut idle = process.call().await;
    let mut half = process.call().await;
    read_to(&mut idle, "hi").await;
    read_to(&mut half, "hi").await;
    let began = Instant::now();
    half.write_all(b"GET /open/x HTTP/1.1\r\nhost: loc").await.unwrap();
    let (one, two) = tokio::join!(rest(&mut idle), rest(&mut half));
    assert_eq!(one, "");
    assert!(two.is_empty() || two.starts_with("HTTP/1.1 408 "), "{two}");
    assert!(began.elapsed() >= Duration::from_millis(900));
    drop(process);
}

// proves: PX-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_is_silent_for_longer_than_a_connection_may_be_idle() {
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                  transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    let go_on = Arc::new(Notify::new());
    let rest = [Step::Wait(Arc::clone(&go_on)), send("9\r\ndata: 2\n\n\r\n"), Step::Hang];
    let steps = [&[Step::Read, send(stream)][..], &rest].concat();
    let upstream = HostileUpstream::playing(steps).await;
    let limits = "head_timeout = \"1s\"\nkeepalive_timeout = \"1s\"";
    let process = Process::start(upstream.address, limits).await;
    let mut open = process.call().await;
    read_to(&mut open, "data: 1").await;
    sleep(Duration::from_secs(5)).await;
    go_on.notify_one();
    read_to(&mut open, "data: 2").await;
    drop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_read_slowly_comes_whole() {
    const FILE: usize = 24 * 1024 * 1024;
    let folder = std::env::temp_dir().join(format!("cloakroom-it-slow-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("index.html"), "<!doctype html><title>app</title>").unwrap();
    std::fs::write(folder.join("big.wasm"), vec![b'x'; FILE]).unwrap();
    let upstream = HostileUpstream::answering(ok("hi")).await;
    let limits = "head_timeout = \"1s\"\nkeepalive_timeout = \"1s\"";
    let process =
        Process::start(upstream.address, &format!("{limits}\n[spa]\nroot = {folder:?}")).await;
    let mut stream = process.connect().await.unwrap();
    let head = format!("GET /big.wasm HTTP/1.1\r\nhost: localhost:{}\r\n\r\n", process.app);
    stream.write_all(head.as_bytes()).await.unwrap();
    // Longer than an idle connection lives, with the sockets full.
    sleep(Duration::from_secs(5)).await;
    let head = read_to(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut taken = head.split_once("\r\n\r\n").unwrap().1.len();
    let mut buffer = vec![0; 256 * 1024];
    while taken < FILE {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "cut off after {taken} bytes");
        taken += count;
    }
    drop(process);
    std::fs::remove_dir_all(&folder).unwrap();
}
