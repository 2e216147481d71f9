//! The way down: no new connections, requests finish, then event streams and tunnels end, all within a deadline. Last,
//! what they ended is written down, and revoked if that is quick.
//! Never lets a stream that nobody ends keep the process alive; a second signal ends it at once.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use futures_util::future::join_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::control::Control;
use super::live::Live;
use super::socket::Socket;
use crate::proxy::{Drain, Phase};
use crate::telemetry::Metrics;
use crate::traces::Exporter;

/// How often it is looked whether only streams are left.
const LOOK: Duration = Duration::from_millis(50);

/// What streams and tunnels get to say goodbye when the deadline has passed; then their connections are dropped.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// What revocations get that still wait for an authorization server: one more try each.
const REVOKING: Duration = Duration::from_secs(3);

/// What is needed to go down.
pub(super) struct Shutdown {
    pub handle: ServerHandle,
    pub drain: Drain,
    pub metrics: Metrics,
    pub timeout: Duration,
    pub live: Live,
    pub control: Option<Control>,
    /// The file of the apps' Unix socket; it goes when all is down.
    pub socket: Option<Socket>,
    /// Sends spans to the collector.
    pub exporter: Option<Exporter>,
}

impl Shutdown {
    /// Goes down; returns when everything has ended: connections at most [`GOODBYE`] after the deadline.
    pub async fn graceful(mut self) {
        self.connections().await;
        // Until then an operator may end what still runs; what is said later could not be written down.
        if let Some(control) = self.control.take() {
            control.stop().await;
        }
        drop(self.socket.take());
        if let Some(exporter) = self.exporter.take() {
            exporter.finish().await;
        }
        let serving = self.live.load();
        for app in &serving.apps {
            app.sessions.deny.close().await;
        }
        let all = serving.apps.iter().map(|app| app.sessions.revocations.finish(REVOKING));
        join_all(all).await;
    }

    async fn connections(&self) {
        // In this order: whoever connected in between would be told to go before it could ask.
        let stopped = self.handle.stop(true);
        tokio::pin!(stopped);
        self.drain.advance(Phase::Draining);
        tokio::select! {
            () = &mut stopped => return,
            () = self.only_streams_are_left() => {}
        }
        self.drain.advance(Phase::Ending);
        stopped.await;
    }

    /// Returns when no upstream has a call but streams and tunnels, or at the deadline. Own endpoints are not looked at:
    /// they finish beside, however the streams end.
    async fn only_streams_are_left(&self) {
        let deadline = Instant::now() + self.timeout;
        while self.metrics.all_in_flight() > self.drain.open() && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }
}

/// SIGTERM, as orchestrators say it, and SIGINT, as a terminal does.
pub struct Signals {
    term: Signal,
    int: Signal,
    /// Nobody reads it: so that a SIGHUP ends nothing, whether the configuration is followed or not.
    _hangup: Signal,
}

impl Signals {
    /// Takes them over from the operating system's own handling, which would end the process. To be called before anything
    /// listens, or a signal that comes early does just that.
    ///
    /// # Errors
    /// The operating system does not let signals be received.
    pub fn new() -> std::io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, int, _hangup: signal(SignalKind::hangup())? })
    }

    /// Waits for the next of either.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
