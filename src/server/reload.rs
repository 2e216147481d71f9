//! Takes what has changed in the configuration while the process serves: apps with all that is theirs, cookie keys, routes,
//! client secrets, certificates, limits, and whom to believe. What needs a restart is named in the log. All or nothing: a
//! configuration with any problem changes nothing, and neither does one that is only half written. Looks by itself, because
//! secrets that are mounted change without a signal, and at once on SIGHUP.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::app::Shared;
use super::live::Live;
use super::print::{self, Print};
use super::take::{Changes, Next};
use crate::audit::{self, Event};
use crate::config::{self, Config, Diagnostic, Sources};
use crate::telemetry::ReloadResult;

/// How often it is looked whether something has changed.
pub const LOOK: Duration = Duration::from_secs(10);

/// What [`Reload::follow`] is told by; what comes from now on is kept for it. To be called before anything listens, or a
/// SIGHUP of the first moment is never read.
///
/// # Errors
/// The operating system does not let signals be received.
pub fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Changes a running server.
#[derive(Clone)]
pub struct Reload {
    pub(super) live: Live,
    pub(super) shared: Shared,
    /// Of the settings that the process was started with, and of those among them that only a restart would take.
    pub(super) taken: Print,
    pub(super) fixed: Vec<(&'static str, Print)>,
}

/// What was read, and its digest.
struct Read {
    result: Result<Config, Vec<Diagnostic>>,
    print: Print,
}

impl Reload {
    /// Reads `sources` again and again, every `look` and on each of `hangups`, and takes what has changed. Ends with the runtime.
    pub async fn follow(self, sources: Sources, mut hangups: Signal, look: Duration) {
        let mut looks = interval_at(Instant::now() + look, look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = self.taken;
        let mut before = known;
        loop {
            let is_asked = tokio::select! {
                _ = hangups.recv() => true,
                _ = looks.tick() => false,
            };
            let Some(Read { result, print }) = read(&sources).await else { continue };
            // Seen twice alike, nobody is writing it just now.
            let is_settled = before == print;
            before = print;
            if is_asked || (is_settled && known != print) {
                known = print;
                self.take(result);
            }
        }
    }

    fn take(&self, result: Result<Config, Vec<Diagnostic>>) {
        let taken = match result {
            Ok(config) => self.apply(config),
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(%problem, "the configuration was read again and is no good");
                }
                refused(problems.len())
            }
        };
        self.shared.metrics.reload(taken);
    }

    /// Takes all of it but what needs a restart, or nothing.
    fn apply(&self, config: Config) -> ReloadResult {
        let now = print::fixed(&config);
        let others = now.iter().filter(|setting| !self.fixed.contains(setting));
        let mut waiting: Vec<String> = others.map(|(name, _)| (*name).to_owned()).collect();
        let next = match Next::prepare(config, &self.live.load(), &self.shared, &mut waiting) {
            Ok(next) => next,
            Err((app, reason)) => {
                tracing::error!(app, %reason, "the configuration was read again and cannot be taken");
                return refused(1);
            }
        };
        let changes = next.take(&self.live, &self.shared);
        let result = tell(&changes);
        if waiting.is_empty() {
            tracing::info!(?result, "the configuration was read again");
        } else {
            let waiting = waiting.join(", ");
            tracing::warn!(
                ?result,
                waiting,
                "the configuration was read again; these settings wait for the next start, all others hold"
            );
        }
        result
    }
}

fn refused(problems: usize) -> ReloadResult {
    audit::record(&Event::ReloadRefused { problems }, "");
    ReloadResult::Refused
}

/// Says what is different from now on.
fn tell(taken: &Changes) -> ReloadResult {
    for (app, keys) in &taken.keys {
        let (added, retired) = (keys.added.join(","), keys.retired.join(","));
        let event = Event::KeysChanged {
            app,
            sealing: &keys.sealing,
            promoted: keys.promoted,
            added: &added,
            retired: &retired,
        };
        audit::record(&event, "");
    }
    for (app, count) in &taken.routes {
        audit::record(&Event::RoutesChanged { app, count: *count }, "");
    }
    let [added, changed, removed] =
        [&taken.added, &taken.changed, &taken.removed].map(|apps| apps.join(","));
    if !(added.is_empty() && changed.is_empty() && removed.is_empty()) {
        let event = Event::AppsChanged { added: &added, changed: &changed, removed: &removed };
        audit::record(&event, "");
    }
    if taken.is_nothing() { ReloadResult::Unchanged } else { ReloadResult::Applied }
}

/// Reads the files beside the requests. `None` when the process goes down.
async fn read(sources: &Sources) -> Option<Read> {
    let sources = sources.clone();
    let read = tokio::task::spawn_blocking(move || {
        let result = config::load(&sources);
        let print = match &result {
            Ok(config) => print::whole(config),
            Err(problems) => problems
                .iter()
                .fold(Sha256::new(), |hash, problem| hash.chain_update(problem.to_string()))
                .finalize()
                .into(),
        };
        Read { result, print }
    });
    read.await.ok()
}
