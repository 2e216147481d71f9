//! An upstream that speaks HTTP/2 alone, and does with each stream what its path says. Keeps the heads it was sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, SendResponse};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

#[derive(Default)]
struct Seen {
    heads: Mutex<Vec<Request<()>>>,
    connections: AtomicUsize,
    resets: AtomicUsize,
    refused: AtomicUsize,
    go_on: watch::Sender<bool>,
    go_away: watch::Sender<()>,
}

/// The running upstream, until the test ends.
#[derive(Clone)]
pub struct Http2Upstream {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl Http2Upstream {
    /// Over TCP, or over TLS with `acceptor`; allows `most` streams at a time on a connection.
    pub async fn start(acceptor: Option<TlsAcceptor>, most: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let it = Self { address, seen: Arc::default() };
        let served = it.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (served, acceptor) = (served.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => served.connection(socket, most).await,
                        Some(acceptor) => {
                            let Ok(socket) = acceptor.accept(socket).await else { return };
                            served.connection(socket, most).await;
                        }
                    }
                });
            }
        });
        it
    }

    /// What it has been asked, in order.
    pub fn heads(&self) -> Vec<Request<()>> {
        self.seen.heads.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Streams that the other side gave up.
    pub fn resets(&self) -> usize {
        self.seen.resets.load(Ordering::SeqCst)
    }

    /// Lets all go on that wait, now or later.
    pub fn go_on(&self) {
        self.seen.go_on.send_replace(true);
    }

    /// Says on each connection of now that it takes no further streams.
    pub fn go_away(&self) {
        self.seen.go_away.send_replace(());
    }

    async fn connection(self, socket: impl AsyncRead + AsyncWrite + Unpin, most: u32) {
        let mut builder = Builder::new();
        builder.max_concurrent_streams(most).initial_window_size(1024 * 1024);
        builder.initial_connection_window_size(8 * 1024 * 1024);
        let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
        let mut going = self.seen.go_away.subscribe();
        self.seen.connections.fetch_add(1, Ordering::SeqCst);
        loop {
            let accepted = tokio::select! {
                accepted = connection.accept() => accepted,
                _changed = going.changed() => {
                    connection.graceful_shutdown();
                    continue;
                }
            };
            let Some(Ok((request, respond))) = accepted else { return };
            tokio::spawn(self.clone().stream(request, respond));
        }
    }

    async fn stream(self, request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
        let (head, mut body) = request.into_parts();
        let path = head.uri.path().to_owned();
        self.seen.heads.lock().unwrap().push(Request::from_parts(head, ()));
        let answer = |status: u16, length: Option<usize>| {
            let mut answer = Response::builder().status(status);
            if let Some(length) = length {
                answer = answer.header("content-length", length);
            }
            answer.body(()).unwrap()
        };
        match path.as_str() {
            "/api/hang" => self.reset(&mut respond).await,
            "/api/refuse" => {
                if self.seen.refused.fetch_add(1, Ordering::SeqCst) == 0 {
                    return respond.send_reset(Reason::REFUSED_STREAM);
                }
                whole(&mut respond, answer(200, Some(7)), "at last");
            }
            "/api/refuse-always" => respond.send_reset(Reason::REFUSED_STREAM),
            "/api/broken" => respond.send_reset(Reason::INTERNAL_ERROR),
            "/api/lies" => whole(&mut respond, answer(200, Some(100)), "too short"),
            "/api/204" => whole(&mut respond, answer(204, None), ""),
            "/api/304" => whole(&mut respond, answer(304, Some(77)), ""),
            "/api/length" => whole(&mut respond, answer(200, Some(12)), ""),
            "/api/trailers" => {
                let mut stream = respond.send_response(answer(200, None), false).unwrap();
                stream.send_data(Bytes::from_static(b"body"), false).unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                stream.send_trailers(trailers).unwrap();
            }
            "/api/flood" => self.flood(&mut respond, answer(200, None)).await,
            "/api/large-head" => {
                let mut large = answer(200, None);
                large.headers_mut().insert("x-large", "x".repeat(80_000).parse().unwrap());
                whole(&mut respond, large, "large");
            }
            _ => {
                if path == "/api/wait" {
                    let mut waiting = self.seen.go_on.subscribe();
                    waiting.wait_for(|may_go_on| *may_go_on).await.unwrap();
                }
                let mut all = Vec::new();
                while let Some(chunk) = body.data().await {
                    let Ok(chunk) = chunk else {
                        self.seen.resets.fetch_add(1, Ordering::SeqCst);
                        return;
                    };
                    body.flow_control().release_capacity(chunk.len()).unwrap();
                    all.extend_from_slice(&chunk);
                }
                let said = if all.is_empty() { b"hello".to_vec() } else { all };
                let head = answer(200, Some(said.len()));
                let mut stream = respond.send_response(head, false).unwrap();
                let _gone = stream.send_data(Bytes::from(said), true);
            }
        }
    }

    /// Sends as much as the other side takes, until it gives up.
    async fn flood(&self, respond: &mut SendResponse<Bytes>, head: Response<()>) {
        let mut stream = respond.send_response(head, false).unwrap();
        loop {
            stream.reserve_capacity(16 * 1024);
            let taken = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
            let Some(Ok(_)) = taken else { break };
            let room = stream.capacity();
            if stream.send_data(Bytes::from(vec![b'x'; room]), false).is_err() {
                break;
            }
        }
        self.seen.resets.fetch_add(1, Ordering::SeqCst);
    }

    async fn reset(&self, respond: &mut SendResponse<Bytes>) {
        let _reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
        self.seen.resets.fetch_add(1, Ordering::SeqCst);
    }
}

/// The head, then a frame with `text` that ends the stream.
fn whole(respond: &mut SendResponse<Bytes>, head: Response<()>, text: &'static str) {
    let mut stream = respond.send_response(head, false).unwrap();
    stream.send_data(Bytes::from_static(text.as_bytes()), true).unwrap();
}
