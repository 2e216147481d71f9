//! Opens the stream of security events of a process, and closes it at its end. There is one for all apps, as there is one
//! log. Says so when events were lost, at most once a minute; a stream that is broken stops nobody.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing_subscriber::Layer as _;

use super::file::AppendFile;
use super::forward::Forwarder;
use super::names;
use super::queue::{MOST_WAITING, Queue, Tap};
use super::writer::{Target, Writer};
use crate::clock::Clock;
use crate::config::{AuditConfig, AuditTarget};
use crate::telemetry::{Collector, CollectorError, Drops, TapLayer};

/// What the end of the process waits for events to be written.
const FLUSHING: Duration = Duration::from_secs(2);
/// How often it is looked whether events were lost, and how often that is said at most.
const LOOK: Duration = Duration::from_secs(1);
const QUIET_LOOKS: u32 = 60;

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(
        "audit.file: {path} cannot be opened: {reason}; check the folder, its owner and its mode"
    )]
    File { path: PathBuf, reason: std::io::Error },
    #[error("cannot start threads: {0}")]
    Thread(std::io::Error),
    #[error("audit: {0}")]
    Collector(#[from] CollectorError),
}

/// The open stream; dropped at the end of the process, it writes what still waits.
#[must_use]
pub struct Stream {
    /// `None` among the log lines.
    queue: Option<Queue>,
    drops: Drops,
    reopen: Arc<AtomicBool>,
    is_ending: Arc<AtomicBool>,
}

/// Where a stream of its own goes.
enum Sink {
    Lines(Target),
    Collector(Collector),
}

/// Opens the stream. What is given beside it goes into the log, see [`crate::telemetry::init_logs`].
///
/// # Errors
/// The file cannot be opened: an operator learns that now, not when the events are missing.
pub fn open(
    config: &AuditConfig,
    clock: Clock,
    drops: Drops,
) -> Result<(Stream, Option<TapLayer>), AuditError> {
    if let Some(key) = &config.pseudonym_key {
        names::name_users_by(key);
    }
    let mut stream =
        Stream { queue: None, drops, reopen: Arc::default(), is_ending: Arc::default() };
    let target = match &config.target {
        AuditTarget::Log => return Ok((stream, None)),
        AuditTarget::Stdout => Sink::Lines(Target::Stdout),
        AuditTarget::Otlp(collector) => Sink::Collector(Collector::new(collector.clone())?),
        AuditTarget::File(path) => {
            let failed = |reason| AuditError::File { path: path.clone(), reason };
            Sink::Lines(Target::File(AppendFile::new(path.clone()).map_err(failed)?))
        }
    };
    let (queue, orders) = Queue::new(MOST_WAITING, stream.drops.clone());
    let (drops, is_ending) = (stream.drops.clone(), Arc::clone(&stream.is_ending));
    let thread = std::thread::Builder::new().name("audit".to_owned());
    let started = match target {
        Sink::Lines(target) => {
            let reopen = Arc::clone(&stream.reopen);
            let writer = Writer { orders, target, drops, reopen, is_ending };
            thread.spawn(move || writer.run())
        }
        Sink::Collector(collector) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(AuditError::Thread)?;
            let forwarder = Forwarder { orders, collector, runtime, drops, is_ending };
            thread.spawn(move || forwarder.run())
        }
    };
    started.map_err(AuditError::Thread)?;
    stream.queue = Some(queue.clone());
    Ok((stream, Some(Tap { queue, clock }.boxed())))
}

impl Stream {
    /// Opens the file anew on SIGHUP, and tells the log when events were lost. Ends with the runtime.
    ///
    /// # Errors
    /// The operating system does not let signals be received.
    pub fn watch(&self) -> std::io::Result<impl Future<Output = ()> + use<>> {
        let mut hangup = signal(SignalKind::hangup())?;
        let (reopen, drops) = (Arc::clone(&self.reopen), self.drops.clone());
        Ok(async move {
            let mut looks = interval(LOOK);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut told, mut quiet) = (0, 0_u32);
            loop {
                tokio::select! {
                    _ = hangup.recv() => reopen.store(true, Ordering::Relaxed),
                    _ = looks.tick() => quiet = quiet.saturating_sub(1),
                }
                let lost = drops.total();
                if lost > told && quiet == 0 {
                    let since = lost - told;
                    tracing::error!(
                        lost = since,
                        total = lost,
                        "security events were lost: the audit stream does not take them"
                    );
                    (told, quiet) = (lost, QUIET_LOOKS);
                }
            }
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(queue) = &self.queue else { return };
        let (done, told) = sync_channel(1);
        let mut waited = Duration::ZERO;
        // A full queue has no room for the word that it ends, either.
        while !queue.close(&done) && waited < FLUSHING {
            std::thread::sleep(Duration::from_millis(10));
            waited += Duration::from_millis(10);
        }
        self.is_ending.store(true, Ordering::Relaxed);
        if told.recv_timeout(FLUSHING.saturating_sub(waited)).is_err() {
            tracing::error!("the audit stream did not take its last events in time");
        }
    }
}
