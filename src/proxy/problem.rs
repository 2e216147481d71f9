//! Which problem the caller sees for which error of the proxy. Decides nothing else.

use super::error::ProxyError;
use super::path::PathError;
use crate::edge::{Code, Problem};

/// When a caller that was turned away may come back, seconds: calls are short.
const BUSY_FOR: u32 = 1;

impl ProxyError {
    /// The stable code that the caller sees.
    pub fn code(&self) -> Code {
        match self {
            Self::BadPath(_) => Code::BadPath,
            Self::MethodNotAllowed { .. } => Code::MethodNotAllowed,
            Self::Upgrade => Code::UpgradeUnsupported,
            Self::BodyTooLarge { .. } => Code::BodyTooLarge,
            Self::BadRequest(_) | Self::ClientGone => Code::BadRequest,
            Self::Connect | Self::Tls | Self::Closed => Code::UpstreamUnavailable,
            Self::Timeout => Code::UpstreamTimeout,
            Self::Busy => Code::UpstreamBusy,
            Self::Invalid(_) => Code::UpstreamInvalid,
        }
    }
}

impl From<ProxyError> for Problem {
    fn from(error: ProxyError) -> Self {
        let problem = Self::new(error.code());
        match error {
            ProxyError::MethodNotAllowed { allow } => problem.with_allow(&*allow),
            ProxyError::Busy => problem.with_retry_after(BUSY_FOR),
            _ => problem,
        }
    }
}

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        ProxyError::from(error).into()
    }
}
