//! Sends log lines to standard error, as JSON for machines or coloured text for people, from a thread of their own: whoever
//! reads them slowly holds up no request, until a hundred thousand lines wait; then whoever logs waits, for audit events are among
//! the lines. Only the end of the process drops what its reader does not take within a second.
//! What may be in a line is decided where it is written; this file only chooses the form.

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Lines that may wait to be written; beyond that, whoever logs waits.
const MOST_WAITING: usize = 100_000;

/// Keeps log lines coming; dropped at the end of the process, it writes what still waits.
#[must_use]
pub struct Logs {
    _writer: WorkerGuard,
}

/// Installs the process-wide subscriber. A second call in one process leaves the first in place.
pub fn init(config: &LogConfig) -> Logs {
    // The framework's own start-up chatter says nothing that ours does not; `level` can bring it back.
    let level = format!("actix_server=warn,{}", config.level);
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(MOST_WAITING)
        .thread_name("log")
        .finish(std::io::stderr());
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
