//! Sends log lines to standard output, as JSON for machines or coloured text for people.
//! What may be in a line is decided where it is written; this file only chooses the form.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Installs the process-wide subscriber. A second call in one process leaves the first in place.
pub fn init(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An embedding program may have installed its own subscriber: then ours is not wanted.
    let _already_installed = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Pretty => lines.compact().with_target(true).try_init(),
    };
}
