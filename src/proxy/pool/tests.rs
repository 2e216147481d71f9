//! What stays on the shelf, for how long, and how much of it. Connections run over pipes in memory, time is moved by hand.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, yield_now};
use tokio::time::advance;

use super::super::shelf::MOST_IDLE;
use super::*;
use crate::proxy::connect::handshake;
use crate::proxy::head::Head;
use crate::proxy::route::tests::local;
use crate::proxy::upload::Upload;

const KEEP: Duration = Duration::from_secs(30);

fn plain() -> Upstream {
    Upstream {
        tls: false,
        authority: "orders:8080".to_owned(),
        host: "orders".to_owned(),
        port: 8080,
        prefix: String::new(),
        addresses: Vec::new(),
        trust: None,
        http2: false,
    }
}

fn upstream() -> Arc<Upstream> {
    thread_local! {
        static UPSTREAM: Arc<Upstream> = Arc::new(plain());
    }
    UPSTREAM.with(Arc::clone)
}

pub(in crate::proxy) fn pool() -> Pool {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Pool::new(Arc::new(tls), Metrics::default(), Drain::default())
}

/// An idle connection to `upstream`, taken from the shelf.
fn reuse(pool: &Pool, upstream: &Arc<Upstream>) -> Option<Link> {
    let slot = Slot { home: pool.shelf(upstream), at: Cell::new(0) };
    let connection = slot.reuse(Instant::now())?;
    Some(slot.link(connection, Terms { idle: None, over: None, keep: KEEP, endless: false }))
}

/// A connection to `upstream()`, ready for its first exchange, and the upstream's end of it.
async fn link(pool: &Pool) -> (Link, DuplexStream) {
    let (ours, theirs) = duplex(1024);
    let connection = handshake(ours, Purpose::Exchanges).await.expect("no bytes are exchanged yet");
    let slot = Slot { home: pool.shelf(&upstream()), at: Cell::new(0) };
    (slot.link(connection, Terms { idle: None, over: None, keep: KEEP, endless: false }), theirs)
}

#[tokio::test(start_paused = true)]
async fn a_connection_given_back_is_used_again_until_it_is_too_old() {
    LocalSet::new()
        .run_until(async {
            let pool = pool();
            let (first, _theirs) = link(&pool).await;
            first.release();
            advance(KEEP.mul_f32(0.9)).await;
            let second = reuse(&pool, &upstream()).expect("still fresh");
            assert!(reuse(&pool, &upstream()).is_none(), "a connection in use is not on the shelf");
            second.release();
            advance(KEEP).await;
            assert!(reuse(&pool, &upstream()).is_none());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_although_nobody_calls() {
    LocalSet::new()
        .run_until(async {
            let pool = pool();
            let (link, mut theirs) = link(&pool).await;
            link.release();
            // Time runs by itself while everybody waits: the end comes from the sweep alone.
            assert_eq!(theirs.read(&mut [0; 1]).await.expect("a clean end"), 0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_newest_comes_first_and_the_shelf_is_bounded() {
    LocalSet::new()
        .run_until(async {
            let pool = pool();
            let mut ends = Vec::new();
            for _ in 0..MOST_IDLE + 3 {
                let (link, theirs) = link(&pool).await;
                link.release();
                ends.push(theirs);
                advance(Duration::from_millis(1)).await;
            }
            let kept = pool.shelf(&upstream()).places[0].idle.borrow().len();
            assert_eq!(kept, MOST_IDLE);
            // The three oldest were closed.
            for theirs in &mut ends[..3] {
                assert_eq!(theirs.read(&mut [0; 1]).await.expect("a clean end"), 0);
            }
            drop(reuse(&pool, &upstream()).expect("a full shelf"));
            let newest = ends.last_mut().expect("many");
            assert_eq!(newest.read(&mut [0; 1]).await.expect("a clean end"), 0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_upstream_closed_is_not_handed_out() {
    LocalSet::new()
        .run_until(async {
            let pool = pool();
            let (link, theirs) = link(&pool).await;
            link.release();
            drop(theirs);
            for _ in 0..10 {
                yield_now().await;
            }
            assert!(reuse(&pool, &upstream()).is_none());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn another_port_host_or_scheme_is_another_upstream() {
    LocalSet::new()
        .run_until(async {
            let pool = pool();
            let (link, _theirs) = link(&pool).await;
            link.release();
            for change in [
                |upstream: &mut Upstream| upstream.port = 8081,
                |upstream: &mut Upstream| upstream.host = "other".to_owned(),
                |upstream: &mut Upstream| upstream.tls = true,
            ] {
                let mut other = plain();
                change(&mut other);
                assert!(reuse(&pool, &Arc::new(other)).is_none());
            }
            assert!(reuse(&pool, &upstream()).is_some());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_given_back_inside_an_exchange_is_closed_at_once() {
    LocalSet::new()
        .run_until(async {
            let pool = pool();
            let (mut link, mut theirs) = link(&pool).await;
            let head = Head::new(Vec::new(), &Method::GET, &["/"]).expect("a target");
            let asking = link.connection.ask(head, Upload::nothing(), &upstream());
            let mut asking = asking.expect("a request");
            let asked = poll_fn(|cx| Poll::Ready(link.connection.poll_answer(&mut asking, cx)));
            assert!(asked.await.is_pending());
            theirs.read_exact(&mut [0; 4]).await.expect("a request");
            link.release();
            assert!(pool.shelf(&upstream()).places[0].idle.borrow().is_empty());
            let before = Instant::now();
            theirs.read_to_end(&mut Vec::new()).await.expect("a clean end");
            assert_eq!(before.elapsed(), Duration::ZERO, "it was closed by a timer");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_read_again_finds_the_connections_and_what_is_gone_is_forgotten() {
    LocalSet::new()
        .run_until(async {
            let pool = pool();
            let before = Arc::new(plain());
            let (first, _theirs) = link(&pool).await;
            let shelf = pool.shelf(&before);
            assert!(Rc::ptr_eq(&shelf, &first.slot.home), "one shelf, whoever asks");
            first.release();
            drop(before);
            let after = Arc::new(plain());
            assert!(reuse(&pool, &after).is_some());
            drop(after);
            sleep(SWEEP * 2).await;
            assert_eq!(pool.0.shelves.borrow().len(), 1, "only the one of `upstream()` is left");
        })
        .await;
}

#[tokio::test]
async fn a_connection_for_an_upgrade_is_fresh_and_outlives_the_101() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let upstream = async {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("a head"));
        }
        let answer = b"HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nfirst";
        socket.write_all(answer).await.expect("an open connection");
        let mut said = String::new();
        socket.read_to_string(&mut said).await.expect("a clean end");
        said
    };
    let tunnel = async {
        let (pool, route) = (pool(), local(port));
        let mut link = pool.upgradable(&route).await.expect("an upstream");
        let mut head = Head::new(Vec::new(), &Method::GET, &["/"]).expect("a target");
        head.add_own("connection", "upgrade");
        head.add_own("upgrade", "x");
        let asking = link.connection.ask(head, Upload::nothing(), route.upstream());
        let mut asking = asking.expect("a request");
        let answer = poll_fn(|cx| link.connection.poll_answer(&mut asking, cx)).await;
        assert_eq!(answer.expect("an answer").status, 101);
        let mut stream = link.connection.switch().expect("the stream");
        let mut first = [0; 5];
        stream.read_exact(&mut first).await.expect("bytes behind the head");
        assert_eq!(&first, b"first");
        stream.write_all(b"hello").await.expect("an open stream");
        stream.shutdown().await.expect("an open stream");
        link.release();
        assert!(reuse(&pool, route.upstream()).is_none(), "never on the shelf");
    };
    let (said, ()) = LocalSet::new().run_until(async { tokio::join!(upstream, tunnel) }).await;
    assert_eq!(said, "hello");
}
