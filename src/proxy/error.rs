//! Why a call could not be forwarded, in our own words.
//! No text here comes from an upstream, a token or the caller's bytes.

use std::sync::Arc;

use super::path::PathError;

/// Why [`super::forward`] gave no answer of the upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error(transparent)]
    BadPath(#[from] PathError),
    /// `allow` is the route's list, ready for the `Allow` field (RFC 9110 §15.5.6).
    #[error("the route does not serve this method")]
    MethodNotAllowed { allow: Arc<str> },
    /// The request asks for a WebSocket where none is served.
    #[error("the request asks for another protocol")]
    Upgrade,
    /// `limit` in bytes.
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge { limit: u64 },
    /// The caller's request cannot be forwarded as it is; says why.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The caller went away, or stopped sending its body.
    #[error("the caller did not send its whole request body")]
    ClientGone,
    /// The route's `max_in_flight` is reached.
    #[error("the upstream has as many calls as it may have")]
    Busy,
    #[error("the upstream cannot be reached")]
    Connect,
    #[error("the TLS handshake with the upstream failed")]
    Tls,
    #[error("the upstream closed the connection without an answer")]
    Closed,
    #[error("the upstream did not answer in time")]
    Timeout,
    /// The upstream's answer cannot be passed on; says why.
    #[error("{0}")]
    Invalid(&'static str),
}
