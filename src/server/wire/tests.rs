//! A connection as clients use and misuse it, over a pipe in memory and with a clock that a test moves.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::pending;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody, SizedStream};
use actix_web::dev::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{Notify, mpsc};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::Limits;
use super::closing::Closing;
use super::connection::{Connection, Wire};
use super::desk::Desks;
use super::outbox::Outbox;
use crate::edge::{Reply, Request};
use crate::http1::{self, Decoder};

const LIMITS: Limits = Limits {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(75),
    write: Duration::from_secs(60),
};

/// What the handler of a test is told, and tells.
#[derive(Default)]
struct House {
    /// Method, target and body of each request that was begun; the body is added when it is whole.
    seen: RefCell<Vec<String>>,
    dropped: Cell<bool>,
    /// Lets `/waits` answer.
    go_on: Notify,
    /// What `/stream` sends.
    pieces: RefCell<VecDeque<mpsc::Receiver<Result<Bytes, std::io::Error>>>>,
    closing: Closing,
    /// The clients of a house share it, as those of a worker do.
    wire: OnceCell<Rc<Wire>>,
}

struct Dropped(Rc<House>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.set(true);
    }
}

type Piece = Result<Bytes, std::io::Error>;

fn streaming(pieces: impl futures_core::Stream<Item = Piece> + 'static) -> HttpResponse {
    HttpResponse::Ok().body(BoxBody::new(BodyStream::new(pieces)))
}

async fn whole(mut body: Payload) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece.map_err(|error| error.to_string())?);
    }
    Ok(all)
}

/// Bodies of a length that their heads tell, rightly or not.
fn sized(path: &str) -> HttpResponse {
    let (length, pieces): (u64, &[&'static str]) = match path {
        "/short" => (5, &["one"]),
        "/long" => (5, &["four", "four"]),
        _ => (6, &["one", "two"]),
    };
    let pieces: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes())))
        .collect();
    HttpResponse::Ok().body(SizedStream::new(length, stream::iter(pieces)))
}

async fn answer(house: Rc<House>, request: Request, mut body: Payload) -> HttpResponse {
    house.seen.borrow_mut().push(format!("{} {}", request.method(), request.uri()));
    let piece = |bytes: &'static str| Ok::<_, std::io::Error>(Bytes::from_static(bytes.as_bytes()));
    match request.path() {
        "/echo" => match whole(body).await {
            Ok(bytes) => HttpResponse::Ok().body(bytes),
            Err(_) => HttpResponse::BadRequest().body("broken"),
        },
        "/hang" => {
            let _dropped = Dropped(house);
            pending().await
        }
        "/waits" => {
            house.go_on.notified().await;
            HttpResponse::Ok().body("waited")
        }
        "/refuse" => HttpResponse::Forbidden().body("no"),
        "/close" => {
            let mut response = HttpResponse::Ok();
            response.force_close();
            response.body("bye")
        }
        "/none" => HttpResponse::NoContent().finish(),
        "/same" => HttpResponse::NotModified().insert_header(("content-length", "5")).finish(),
        "/large" => HttpResponse::Ok().body(vec![b'x'; 1_000_000]),
        "/chunks" => streaming(stream::iter([piece("one"), piece("two")])),
        "/large-chunks" => {
            let chunk = || Ok(Bytes::from(vec![b'x'; 100_000]));
            streaming(stream::iter([chunk(), chunk()]))
        }
        "/fails" => streaming(stream::iter([piece("one"), Err(std::io::ErrorKind::Other.into())])),
        "/short" | "/long" | "/sized" => sized(request.path()),
        "/stream" => {
            let mut pieces = house.pieces.borrow_mut().pop_front().unwrap();
            streaming(stream::poll_fn(move |cx| pieces.poll_recv(cx)))
        }
        "/first" => {
            let first = body.next().await;
            let first = first.and_then(Result::ok).unwrap_or_default();
            HttpResponse::Ok().body(first)
        }
        "/aside" => {
            spawn_local(async move {
                let read = whole(body).await.map_err(|_| "broken");
                house.seen.borrow_mut().push(format!("{read:?}"));
            });
            HttpResponse::Ok().body("soon")
        }
        "/raw" => {
            let mut response = HttpResponse::SwitchingProtocols();
            response.upgrade("websocket");
            response.streaming(body.map(|piece| piece.map_err(std::io::Error::other)))
        }
        _ => HttpResponse::Ok().body("hi"),
    }
}

/// A client, and what it talks to.
struct Client {
    io: DuplexStream,
    house: Rc<House>,
}

impl Client {
    fn of(house: &Rc<House>) -> Self {
        let (io, theirs) = duplex(16 * 1024);
        let wire = house.wire.get_or_init(|| {
            let handler_house = Rc::clone(house);
            let desks = Desks::new(move |request, body| {
                let answer = answer(Rc::clone(&handler_house), request, body);
                async move { Reply::from(answer.await) }
            });
            Rc::new(Wire { desks, limits: LIMITS, closing: house.closing.clone() })
        });
        spawn_local(Connection::new(Rc::clone(wire), theirs).serve());
        Self { io, house: Rc::clone(house) }
    }

    async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.io.write_all(text.as_ref()).await.unwrap();
    }

    /// Everything until the end, without dates.
    async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        timeout(Duration::from_secs(3600), self.io.read_to_end(&mut all)).await.unwrap().unwrap();
        undated(&String::from_utf8_lossy(&all))
    }

    async fn rest_of_body(&mut self) -> String {
        let mut all = String::new();
        self.io.read_to_string(&mut all).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        all
    }

    /// What comes next: a head.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.io.read_u8().await.unwrap());
        }
        undated(&String::from_utf8(head).unwrap())
    }

    async fn bytes(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.io.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    async fn ask(&mut self, text: &str) -> String {
        self.say(text).await;
        self.head().await
    }

    fn seen(&self) -> Vec<String> {
        self.house.seen.borrow().clone()
    }

    async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(100), self.io.read_u8()).await.is_err()
    }
}

fn undated(text: &str) -> String {
    let lines: Vec<_> = text.split("\r\n").filter(|line| !line.starts_with("date: ")).collect();
    assert!(lines.len() < text.split("\r\n").count(), "an answer has a date: {text}");
    lines.join("\r\n")
}

/// Runs a client.
fn with<F: Future<Output = ()>>(test: impl FnOnce(Client) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        test(Client::of(&Rc::default())).await;
    });
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn post(path: &str, fields: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}")
}

const BAD: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

// proves: PX-07
#[rstest]
#[case("GET / HTTP/1.1\r\n\r\n")]
#[case("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n")]
#[case("nonsense\r\n\r\n")]
#[case("\x16\x03\x01\x02\x00\x01")]
#[case("GET / HTTP/1.1\r\nhost: a\r\nx : b\r\n\r\n")]
#[case("GET /\u{fc} HTTP/1.1\r\nhost: a\r\n\r\n")]
#[case("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1\r\n\r\nx")]
#[case("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n")]
fn what_is_no_request_is_refused_and_nothing_behind_it_is_one(#[case] text: &'static str) {
    with(async |mut client| {
        client.say(text.to_owned() + &get("/smuggled")).await;
        assert_eq!(client.rest().await, BAD);
        assert_eq!(client.seen(), [""; 0]);
    });
}

#[test]
fn a_head_is_bounded() {
    for head in ["x: y\r\n".repeat(97), format!("x: {}", "y".repeat(200_000))] {
        with(async move |mut client| {
            let text = format!("GET / HTTP/1.1\r\nhost: a\r\n{head}");
            let (mut read, mut write) = tokio::io::split(client.io);
            let (answer, ()) = tokio::join!(
                async {
                    let mut all = String::new();
                    read.read_to_string(&mut all).await.unwrap();
                    all
                },
                async {
                    let _refused = write.write_all(text.as_bytes()).await;
                    let _refused = write.write_all(b"\r\n\r\n").await;
                }
            );
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
            client.io = duplex(1).0;
        });
    }
}

#[test]
fn requests_are_answered_in_order_each_when_the_one_before_is_done() {
    with(async |mut client| {
        client
            .say(get("/waits") + &post("/echo", "content-length: 3\r\n", "abc") + &get("/x"))
            .await;
        assert!(client.is_silent().await);
        assert_eq!(client.seen(), ["GET /waits"]);
        client.house.go_on.notify_one();
        for (length, body) in [(6, "waited"), (3, "abc"), (2, "hi")] {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            assert_eq!(client.head().await, head);
            assert_eq!(client.bytes(length).await, body);
        }
        assert_eq!(client.seen(), ["GET /waits", "POST /echo", "GET /x"]);
    });
}

#[test]
fn a_request_means_the_same_in_single_bytes() {
    with(async |mut client| {
        let chunks = "transfer-encoding: chunked\r\n";
        let text = "\r\n".to_owned() + &post("/echo", chunks, "3;a=b\r\nabc\r\n0\r\nx: y\r\n\r\n");
        for byte in (text + &get("/close")).bytes() {
            client.say([byte]).await;
            tokio::task::yield_now().await;
        }
        let rest = client.rest().await;
        assert!(rest.contains("\r\n\r\nabcHTTP/1.1 200") && rest.ends_with("bye"), "{rest}");
    });
}

// proves: PX-15
#[test]
fn a_client_that_is_gone_ends_the_handler_at_once() {
    with(async |mut client| {
        client.say(get("/hang")).await;
        assert!(client.is_silent().await);
        client.io = duplex(1).0;
        sleep(Duration::from_millis(1)).await;
        assert!(client.house.dropped.get());
        // Nothing of it comes to whoever asks next.
        let mut next = Client::of(&client.house);
        assert_eq!(next.ask(&get("/x")).await, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
        assert_eq!(client.seen(), ["GET /hang", "GET /x"]);
    });
}

#[test]
fn answers_without_a_body_have_none_and_the_connection_goes_on() {
    with(async |mut client| {
        let head = client.ask("HEAD /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(head, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        let head = client.ask("HEAD /chunks HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(client.ask(&get("/none")).await, "HTTP/1.1 204 No Content\r\n\r\n");
        let head = "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(client.ask(&get("/same")).await, head);
        client.say(get("/close")).await;
        let last = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbye";
        assert_eq!(client.rest().await, last);
    });
}

#[test]
fn http_1_0_is_closed_unless_it_asks_and_gets_no_chunks() {
    with(async |mut client| {
        let keep = "GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
        let head = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n";
        assert_eq!(client.ask(keep).await, head);
        assert_eq!(client.bytes(2).await, "hi");
        client.say("GET /chunks HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        assert_eq!(client.rest().await, "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nonetwo");
    });
    with(async |mut client| {
        client.say("GET /x HTTP/1.0\r\n\r\n").await;
        let answer = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        assert_eq!(client.rest().await, answer);
    });
}

#[test]
fn bodies_are_framed_by_what_is_known_of_them() {
    with(async |mut client| {
        let head = client.ask(&get("/chunks")).await;
        assert_eq!(head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(client.bytes(21).await, "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
        client.ask(&get("/large")).await;
        assert_eq!(client.bytes(1_000_000).await, "x".repeat(1_000_000));
        client.ask(&get("/large-chunks")).await;
        let chunk = format!("186A0\r\n{}\r\n", "x".repeat(100_000));
        let body = format!("{chunk}{chunk}0\r\n\r\n");
        assert_eq!(client.bytes(body.len()).await, body);
        let head = client.ask(&get("/sized")).await;
        assert_eq!(head, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n");
        assert_eq!(client.bytes(6).await, "onetwo");
    });
}

// proves: PX-09
#[rstest]
#[case("/fails", "\r\n\r\n3\r\none\r\n")]
#[case("/short", "\r\n\r\none")]
#[case("/long", "\r\n\r\nfour")]
fn a_body_that_is_not_what_its_head_said_is_cut(#[case] path: &str, #[case] end: &str) {
    with(async |mut client| {
        client.say(get(path) + &get("/x")).await;
        let rest = client.rest().await;
        assert!(rest.ends_with(end), "{rest}");
        assert_eq!(client.seen().len(), 1);
    });
}

#[test]
fn a_chunk_goes_out_when_it_is_there_and_a_reader_who_goes_ends_the_body() {
    with(async |mut client| {
        let (send, pieces) = mpsc::channel(1);
        client.house.pieces.borrow_mut().push_back(pieces);
        client.ask(&get("/stream")).await;
        assert!(client.is_silent().await);
        for _ in 0..2 {
            send.send(Ok("data".into())).await.unwrap();
            assert_eq!(client.bytes(9).await, "4\r\ndata\r\n");
            // For longer than any limit.
            sleep(LIMITS.idle * 3).await;
        }
        client.io = duplex(1).0;
        timeout(Duration::from_secs(1), send.closed()).await.unwrap();
    });
}

#[test]
fn who_waits_for_100_gets_it_at_once() {
    with(async |mut client| {
        client.say(post("/echo", "expect: 100-continue\r\ncontent-length: 3\r\n", "")).await;
        assert_eq!(client.bytes(25).await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.say("abc").await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
        assert_eq!(client.bytes(3).await, "abc");
    });
}

#[test]
fn an_early_answer_keeps_the_connection_only_if_the_rest_is_here() {
    with(async |mut client| {
        let refused = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n";
        let here = post("/refuse", "content-length: 3\r\n", "abc");
        assert_eq!(client.ask(&here).await, format!("{refused}\r\n"));
        assert_eq!(client.bytes(2).await, "no");
        let here = post("/refuse", "transfer-encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
        assert_eq!(client.ask(&here).await, format!("{refused}\r\n"));
        assert_eq!(client.bytes(2).await, "no");
        client.say(post("/refuse", "content-length: 99\r\n", &get("/smuggled"))).await;
        assert_eq!(client.rest().await, format!("{refused}connection: close\r\n\r\nno"));
        assert_eq!(client.seen().len(), 3);
    });
    with(async |mut client| {
        client.say(post("/refuse", "transfer-encoding: chunked\r\n", "3;\n")).await;
        assert!(client.head().await.contains("connection: close\r\n"));
    });
}

#[test]
fn a_closed_connection_reads_on_so_that_its_answer_arrives() {
    with(async |mut client| {
        client.say(post("/first", "content-length: 1000000\r\n", "abc")).await;
        assert!(client.head().await.contains("connection: close\r\n"));
        let (mut read, mut write) = tokio::io::split(client.io);
        let mut rest = Vec::new();
        // More than the pipe holds: somebody takes it.
        write.write_all(&vec![b'x'; 100_000]).await.unwrap();
        read.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"abc");
        let began = Instant::now();
        while write.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(began.elapsed() <= Duration::from_secs(3), "not for ever");
        client.io = duplex(1).0;
    });
}

#[test]
fn a_body_that_is_read_after_its_answer_has_no_hole() {
    with(async |mut client| {
        let begun = "5\r\nab";
        client.say(post("/aside", "transfer-encoding: chunked\r\n", begun)).await;
        assert!(client.head().await.contains("connection: close\r\n"));
        for piece in ["cde\r\n", "3\r\nfgh\r\n", "0\r\n\r\n"] {
            client.say(piece).await;
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(client.rest_of_body().await, "soon");
        assert_eq!(client.seen(), ["POST /aside", "Err(\"broken\")"]);
    });
}

#[rstest]
#[case("transfer-encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n")]
#[case("transfer-encoding: chunked\r\n", "x\r\n")]
fn a_body_that_cannot_be_read_ends_the_connection(#[case] fields: &str, #[case] body: &str) {
    with(async |mut client| {
        client.say(post("/echo", fields, body) + &get("/smuggled")).await;
        let rest = client.rest().await;
        assert!(rest.starts_with("HTTP/1.1 400 ") && rest.ends_with("broken"), "{rest}");
        assert_eq!(client.seen(), ["POST /echo"]);
    });
}

#[test]
fn a_body_is_read_as_fast_as_its_handler_wants_and_no_faster() {
    with(async |mut client| {
        client.say(post("/waits", "content-length: 1000000\r\n", "")).await;
        let (read, mut write) = tokio::io::split(client.io);
        let mut taken = 0;
        while timeout(Duration::from_millis(10), write.write_all(&[b'x'; 1024])).await.is_ok() {
            taken += 1024;
        }
        assert!(taken <= 160 * 1024, "{taken} bytes ahead of nobody");
        client.io = read.unsplit(write);
    });
    with(async |mut client| {
        client.say(post("/echo", "content-length: 1000000\r\n", "")).await;
        let body = "x".repeat(1_000_000);
        client.say(&body).await;
        client.head().await;
        assert_eq!(client.bytes(1_000_000).await, body);
    });
}

// proves: PX-14
#[test]
fn a_head_has_its_time_from_its_first_byte_and_silence_another() {
    with(async |mut client| {
        let began = Instant::now();
        assert_eq!(client.io.read(&mut [0; 9]).await.unwrap(), 0, "it never said anything");
        assert_eq!(began.elapsed().as_secs(), LIMITS.head.as_secs());
    });
    with(async |mut client| {
        let began = Instant::now();
        client.say("GET / HT").await;
        let late = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_eq!(client.rest().await, late);
        assert_eq!(began.elapsed().as_secs(), LIMITS.head.as_secs());
    });
    with(async |mut client| {
        for _ in 0..3 {
            client.ask(&get("/x")).await;
            assert_eq!(client.bytes(2).await, "hi");
            sleep(LIMITS.idle.mul_f32(0.9)).await;
        }
        client.say("GET / HT").await;
        let began = Instant::now();
        assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
        assert_eq!(began.elapsed().as_secs(), LIMITS.head.as_secs());
    });
    with(async |mut client| {
        client.ask(&get("/x")).await;
        assert_eq!(client.bytes(2).await, "hi");
        let began = Instant::now();
        assert_eq!(client.io.read(&mut [0; 9]).await.unwrap(), 0);
        assert_eq!(began.elapsed().as_secs(), LIMITS.idle.as_secs());
    });
    with(async |mut client| {
        client.say(get("/waits")).await;
        // Somebody who works has no limit here.
        sleep(LIMITS.idle * 2).await;
        client.house.go_on.notify_one();
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    });
}

// proves: PX-14
#[test]
fn on_the_way_down_who_waits_is_closed_and_who_is_served_gets_the_answer() {
    with(async |mut client| {
        let mut idle = Client::of(&client.house);
        let mut new = Client::of(&client.house);
        idle.ask(&get("/x")).await;
        idle.bytes(2).await;
        client.say(get("/waits") + &get("/x")).await;
        assert!(client.is_silent().await);
        client.house.closing.begin();
        assert_eq!(idle.io.read(&mut [0; 9]).await.unwrap(), 0);
        assert_eq!(new.io.read(&mut [0; 9]).await.unwrap(), 0);
        assert!(client.is_silent().await);
        client.house.go_on.notify_one();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nwaited";
        assert_eq!(client.rest().await, answer);
    });
}

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\n";

// proves: PX-15
#[test]
fn after_a_switch_bytes_pass_as_they_are_until_one_side_goes() {
    with(async |mut client| {
        let text = format!("GET /raw HTTP/1.1\r\nhost: a\r\n{UPGRADE}\r\nfirst");
        let head = client.ask(&text).await;
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"));
        assert!(head.contains("upgrade: websocket\r\n") && !head.contains("length"), "{head}");
        assert_eq!(client.bytes(5).await, "first");
        client.say("GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(client.bytes(18).await, "GET / HTTP/1.1\r\n\r\n");
        client.io.shutdown().await.unwrap();
        assert_eq!(client.io.read(&mut [0; 9]).await.unwrap(), 0);
    });
}

#[rstest]
#[case(UPGRADE)]
#[case("upgrade: websocket\r\ncontent-length: 3\r\n")]
#[case("connection: upgrade\r\nupgrade: h2c\r\n")]
fn a_switch_that_does_not_happen_closes_and_nothing_behind_it_is_a_request(#[case] fields: &str) {
    with(async |mut client| {
        client.say(format!("GET /x HTTP/1.1\r\nhost: a\r\n{fields}\r\n") + &get("/smuggled")).await;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        assert_eq!(client.rest().await, answer);
        assert_eq!(client.seen(), ["GET /x"]);
    });
}

/// Takes so many bytes at a time, and waits after each.
struct Slow {
    taken: Vec<u8>,
    most: usize,
    waits: bool,
}

impl AsyncWrite for Slow {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.waits = !self.waits;
        if self.waits {
            return Poll::Pending;
        }
        let before = self.taken.len();
        for slice in slices {
            let room = self.most + before - self.taken.len();
            self.taken.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        Poll::Ready(Ok(self.taken.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[rstest]
fn what_is_written_arrives_in_order_however_little_is_taken(
    #[values(1, 2, 7, 8_999, 9_000, 1_000_000)] most: usize,
) {
    let mut io = Slow { taken: Vec::new(), most, waits: false };
    let (mut outbox, mut expected) = (Outbox::default(), Vec::new());
    let large = Bytes::from((0..9_000_u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<_>>());
    let mut cx = Context::from_waker(Waker::noop());
    let mut write = |outbox: &mut Outbox, io: &mut Slow| {
        while outbox.poll_write(io, &mut cx).is_pending() {}
    };
    for _ in 0..3 {
        outbox.buffer().extend_from_slice(b"head");
        outbox.put_chunk(Bytes::from_static(b"small"));
        outbox.put_chunk(large.clone());
        assert!(outbox.is_full());
        write(&mut outbox, &mut io);
        outbox.put_chunk(Bytes::new());
        outbox.put_last_chunk();
        outbox.put(large.clone());
        write(&mut outbox, &mut io);
        assert!(!outbox.is_full());
        let parts: [&[u8]; 5] =
            [b"head5\r\nsmall\r\n2328\r\n", &large, b"\r\n", b"0\r\n\r\n", &large];
        expected.extend_from_slice(&parts.concat());
    }
    assert!(io.taken == expected);
}

#[test]
fn however_much_comes_behind_a_refusal_is_read_or_the_answer_would_be_lost() {
    with(async |mut client| {
        client.io.write_all(b"nonsense\r\n\r\n").await.unwrap();
        client.io.write_all(&vec![b'x'; 1024 * 1024]).await.unwrap();
        client.io.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.io.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    });
}

/// Between two calls of the connection the body may have more at any time.
#[test]
fn a_chunk_goes_in_only_behind_the_end_of_the_one_before() {
    let large = Bytes::from(vec![b'x'; 9_000]);
    for most in 1..12_000_usize {
        if most > 60 && !(8_990..9_020).contains(&most) && most % 1_009 != 0 {
            continue;
        }
        let mut io = Slow { taken: Vec::new(), most, waits: false };
        let mut outbox = Outbox::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut chunks = vec![&b"end"[..], &large, b"hello", &large].into_iter().rev();
        let mut is_whole = false;
        loop {
            while !is_whole && !outbox.is_full() {
                if let Some(chunk) = chunks.next() {
                    outbox.put_chunk(Bytes::copy_from_slice(chunk));
                } else {
                    outbox.put_last_chunk();
                    is_whole = true;
                }
            }
            if outbox.poll_write(&mut io, &mut cx).is_ready() && is_whole {
                break;
            }
        }
        let (mut decoder, mut taken) = (Decoder::CHUNKED, BytesMut::from(&io.taken[..]));
        let mut body = Vec::new();
        while let http1::Piece::Data(piece) = decoder.take(&mut taken).unwrap() {
            body.extend_from_slice(&piece);
        }
        assert!(decoder.is_over() && taken.is_empty(), "{most}");
        assert!(body == [&large[..], b"hello", &large, b"end"].concat(), "{most}");
    }
}

#[test]
fn an_idle_connection_is_small() {
    with(async |client| {
        let handler = |_: Request, _: Payload| pending::<Reply>();
        let wire = Wire { desks: Desks::new(handler), limits: LIMITS, closing: Closing::default() };
        let connection = Connection::new(Rc::new(wire), duplex(1).0).serve();
        let size = std::mem::size_of_val(&connection);
        assert!(size < 3 * 1024, "{size} bytes");
        drop(client);
    });
}
