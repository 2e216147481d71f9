//! The HTTP/1.1 server before the handlers (RFC 9112), on a worker's own thread: reads requests off a connection one after the other,
//! hands each to the handler, writes its answer. One connection is one task. Never reads a message that has two readings, never
//! begins a request before the answer to the one before is complete, and never lets an incomplete answer look complete.

mod answer;
mod body;
mod closing;
mod connection;
mod date;
mod desk;
mod framing;
mod inbox;
mod outbox;
mod sending;
mod serve;

use std::time::Duration;

use actix_web::http::StatusCode;

pub use serve::{Listeners, serve};

/// How long somebody may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the head of a request, from its first byte; for the first, and a TLS handshake, from the beginning of the connection.
    pub head: Duration,
    /// For the first byte of the next request.
    pub idle: Duration,
    /// For taking anything of what is written.
    pub write: Duration,
}

/// Why a message is answered by the server itself; the connection closes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It is no HTTP/1.x, or has two readings.
    Malformed,
    /// Its head is larger than we read.
    TooLarge,
    /// Its head does not come to its end.
    Late,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests;
