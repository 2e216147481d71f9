//! `cloakroom serve`: runs the server until a signal ends it. SIGHUP makes it read its configuration again.

use std::process::ExitCode;

use crate::audit;
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::secret::Random;
use crate::server::{self, Signals, reload};
use crate::telemetry::{self, Metrics};

/// Serves; the runtime it builds is the control plane.
#[expect(clippy::print_stderr, reason = "a person reads this")]
pub fn run(config: Config, sources: Sources) -> ExitCode {
    let (clock, metrics) = (Clock::system(), Metrics::default());
    let (audit, tap) = match audit::open(&config.audit, clock.clone(), metrics.audit_drops()) {
        Ok(opened) => opened,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let _logs = telemetry::init_logs(&config.log, tap);
    // What ends first is declared last: the end of the stream may have something to log.
    let audit = audit;
    server::raise_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(async {
        let signals = Signals::new().map_err(|error| error.to_string())?;
        let hangups = reload::hangups().map_err(|error| error.to_string())?;
        tokio::spawn(audit.watch().map_err(|error| error.to_string())?);
        let running = server::start_counted(config, clock, Random::system(), metrics)
            .map_err(|error| error.to_string())?;
        tracing::info!(address = %running.address, "listening");
        tokio::spawn(running.reload().follow(sources, hangups, reload::LOOK));
        running.finished(signals).await.map_err(|error| error.to_string())
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
