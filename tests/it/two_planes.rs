//! The architecture rests on this: a worker runs its own tasks on its own thread, and work given to the control plane
//! finishes although the browser that asked for it has gone away.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use actix_server::Server;
use actix_web::HttpResponse;
use cloakroom::edge::{Reply, Request};
use cloakroom::proxy::Drain;
use cloakroom::server::wire::{self, Limits, Listeners};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;

#[derive(Default)]
struct Seen {
    /// The control-plane task has begun; the test may now hang up.
    begun: Notify,
    /// Lets the control-plane task go on.
    go_on: Notify,
    handler_dropped: AtomicBool,
    finished: AtomicUsize,
}

/// Notices that the handler's future was dropped before it answered.
struct Dropped(Arc<Seen>, bool);

impl Drop for Dropped {
    fn drop(&mut self) {
        if !self.1 {
            self.0.handler_dropped.store(true, Ordering::SeqCst);
        }
    }
}

async fn handler(request: Request, control: Handle, seen: Arc<Seen>) -> Reply {
    let worker = thread::current().id();
    // The data plane: a task that never leaves this thread (an upstream connection's driver lives like this).
    let local = tokio::task::spawn_local(async { thread::current().id() }).await.unwrap();
    assert_eq!(local, worker);

    let mut dropped = Dropped(Arc::clone(&seen), false);
    let wait = request.path() == "/wait";
    let work = async move {
        if wait {
            seen.begun.notify_one();
            seen.go_on.notified().await;
        }
        seen.finished.fetch_add(1, Ordering::SeqCst);
        thread::current().id()
    };
    let elsewhere: ThreadId = control.spawn(work).await.unwrap();
    assert_ne!(elsewhere, worker);
    dropped.1 = true;
    HttpResponse::Ok().body("done").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_plane_work_outlives_the_browser_and_workers_keep_their_own_tasks() {
    let seen = Arc::new(Seen::default());
    let (control, shared) = (Handle::current(), Arc::clone(&seen));
    let handlers = move || {
        let (control, seen) = (control.clone(), Arc::clone(&shared));
        move |request, _body| handler(request, control.clone(), Arc::clone(&seen))
    };
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let server = Server::build().workers(2).disable_signals();
    let minute = Duration::from_secs(60);
    let limits = Limits { head: minute, idle: minute, write: minute };
    let listeners = Listeners { tcp, tls: None, unix: None };
    let server = wire::serve(server, listeners, limits, &Drain::default(), handlers).unwrap();
    let stop = server.handle();
    let running = tokio::spawn(server);

    // Ordinary calls, spread over both workers.
    for _ in 0..8 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
    }
    assert_eq!(seen.finished.load(Ordering::SeqCst), 8);

    // The browser hangs up while the control plane works.
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    seen.begun.notified().await;
    drop(socket);
    until(|| seen.handler_dropped.load(Ordering::SeqCst)).await;
    assert_eq!(seen.finished.load(Ordering::SeqCst), 8, "the work was still waiting");
    seen.go_on.notify_one();
    until(|| seen.finished.load(Ordering::SeqCst) == 9).await;

    stop.stop(true).await;
    running.await.unwrap().unwrap();
}

/// Waits for a condition; fails after ten seconds instead of hanging.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited ten seconds in vain");
}
