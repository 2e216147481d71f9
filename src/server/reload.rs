//! Takes what has changed in the configuration while the process serves: cookie keys and routes. Everything else waits for a
//! restart, and the log says so. All or nothing: a configuration with any problem changes nothing, and neither does one that is only
//! half written. Looks by itself, because secrets that are mounted change without a signal, and at once on SIGHUP.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::app::App;
use crate::audit::{self, Event};
use crate::config::{self, AppConfig, Config, Diagnostic, RouteConfig, Sources};
use crate::session::{Keys, KeysChanged};
use crate::telemetry::{Metrics, ReloadResult};

/// How often it is looked whether something has changed.
pub const LOOK: Duration = Duration::from_secs(10);

/// Changes a running server.
#[derive(Clone)]
pub struct Reload {
    pub(super) apps: Arc<Vec<App>>,
    pub(super) metrics: Metrics,
    /// Of the settings that the process was started with, and of those among them that only a restart would take.
    pub(super) taken: Print,
    pub(super) rest: Print,
}

/// A digest of settings. Never leaves the process.
pub(super) type Print = [u8; 32];

/// What was read, and its digest.
struct Read {
    result: Result<Config, Vec<Diagnostic>>,
    print: Print,
}

impl Reload {
    /// Reads `sources` again and again, every `look` and on SIGHUP, and takes what has changed. Ends with the runtime.
    ///
    /// # Errors
    /// The operating system does not let signals be received.
    pub async fn follow(self, sources: Sources, look: Duration) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut looks = interval_at(Instant::now() + look, look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = self.taken;
        let mut before = known;
        loop {
            let is_asked = tokio::select! {
                _ = hangup.recv() => true,
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
                audit::record(&Event::ReloadRefused { problems: problems.len() }, "");
                ReloadResult::Refused
            }
        };
        self.metrics.reload(taken);
    }

    /// Takes the keys and routes of all apps, or of none.
    fn apply(&self, config: Config) -> ReloadResult {
        let is_all = rest(&config) == self.rest;
        let mut ready: Vec<(&App, Keys, Vec<RouteConfig>)> = Vec::new();
        for new in config.apps {
            let Some(app) = self.apps.iter().find(|app| app.id == new.id) else { continue };
            match app.cookies.prepare_keys(&new.session.keys) {
                Ok(keys) => ready.push((app, keys, new.routes)),
                Err(reason) => {
                    tracing::error!(app = app.id, %reason, "the cookie keys cannot be taken");
                    audit::record(&Event::ReloadRefused { problems: 1 }, "");
                    return ReloadResult::Refused;
                }
            }
        }
        let mut result = ReloadResult::Unchanged;
        for (app, keys, routes) in ready {
            if let Some(changed) = app.cookies.install_keys(keys) {
                tell(&app.id, &changed);
                result = ReloadResult::Applied;
            }
            let count = routes.len();
            if app.routes.replace(&app.id, routes, &self.metrics) {
                audit::record(&Event::RoutesChanged { app: &app.id, count }, "");
                result = ReloadResult::Applied;
            }
        }
        if is_all {
            tracing::info!(?result, "the configuration was read again");
        } else {
            tracing::warn!(
                ?result,
                "the configuration was read again; cookie keys and routes are taken, the rest with the next start"
            );
        }
        result
    }
}

fn tell(app: &str, changed: &KeysChanged) {
    let (added, retired) = (changed.added.join(","), changed.retired.join(","));
    audit::record(
        &Event::KeysChanged {
            app,
            sealing: &changed.sealing,
            promoted: changed.promoted,
            added: &added,
            retired: &retired,
        },
        "",
    );
}

/// Reads the files beside the requests. `None` when the process goes down.
async fn read(sources: &Sources) -> Option<Read> {
    let sources = sources.clone();
    let read = tokio::task::spawn_blocking(move || {
        let result = config::load(&sources);
        let print = match &result {
            Ok(config) => whole(config),
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

/// A digest of everything.
pub(super) fn whole(config: &Config) -> Print {
    let keys = config.apps.iter().flat_map(|app| &app.session.keys);
    let routes: Vec<_> = config.apps.iter().map(|app| &app.routes).collect();
    let hash = Sha256::new().chain_update(rest(config)).chain_update(format!("{routes:?}"));
    let hash = keys.fold(hash, |hash, key| {
        hash.chain_update(key.id.as_bytes()).chain_update([0]).chain_update(key.bytes.expose())
    });
    hash.finalize().into()
}

/// A digest of everything but keys and routes. Secrets do not print, so a new client secret alone goes unnoticed.
pub(super) fn rest(config: &Config) -> Print {
    // Keys are secrets, and so are not cloned: they are taken out of the text, where they stand by their ids.
    let fixed = |app: &AppConfig| {
        let text = format!("{app:?}").replace(&format!("keys: {:?}", app.session.keys), "");
        text.replace(&format!("routes: {:?}", app.routes), "")
    };
    let apps: Vec<String> = config.apps.iter().map(fixed).collect();
    let Config { server, admin, control, log, redis, .. } = config;
    Sha256::digest(format!("{server:?}{admin:?}{control:?}{log:?}{redis:?}{apps:?}")).into()
}
