//! Sends log lines to standard error, as JSON for machines or coloured text for people, from a thread of their own: whoever
//! reads them slowly holds up no request, until a hundred thousand lines wait; then whoever logs waits, for audit events are among
//! the lines. Only the end of the process drops what its reader does not take within a second.
//! What may be in a line is decided where it is written; this file only chooses the form.

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogConfig, LogFormat};

/// Lines that may wait to be written; beyond that, whoever logs waits.
const MOST_WAITING: usize = 100_000;

/// Keeps log lines coming; dropped at the end of the process, it writes what still waits.
#[must_use]
pub struct Logs {
    _writer: WorkerGuard,
}

/// Takes some lines elsewhere before they are log lines.
pub type TapLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Installs the process-wide subscriber. A second call in one process leaves the first in place. Lines with the target `audit`
/// go to the tap alone, if there is one, whatever the level of the log.
pub fn init(config: &LogConfig, tap: Option<TapLayer>) -> Logs {
    // The framework's own start-up chatter says nothing that ours does not; `level` can bring it back.
    let level = format!("actix_server=warn,{}", config.level);
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(MOST_WAITING)
        .thread_name("log")
        .finish(std::io::stderr());
    if let Some(tap) = tap {
        install_with(tap, config.format, filter, writer);
        return Logs { _writer: guard };
    }
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal());
    // An embedding program may have installed its own subscriber: then ours is not wanted.
    let _already_installed = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Pretty => lines.compact().with_target(true).try_init(),
    };
    Logs { _writer: guard }
}

fn install_with(tap: TapLayer, format: LogFormat, filter: EnvFilter, writer: NonBlocking) {
    let audit = Targets::new().with_target("audit", LevelFilter::INFO);
    // The one that comes last counts: no setting of the level brings them back.
    let filter = match "audit=off".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        LogFormat::Pretty => lines.compact().with_target(true).boxed(),
    };
    let all = tracing_subscriber::registry().with(tap.with_filter(audit));
    let _already_installed = all.with(lines.with_filter(filter)).try_init();
}
