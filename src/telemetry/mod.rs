//! Logs, metrics, and the latest refusals, each declared once. Never a query string, a token or a cookie.

mod collector;
mod drops;
mod labels;
mod logs;
mod metrics;
pub mod otlp;
mod refusals;

pub use collector::{Collector, CollectorError};
pub use drops::{DropReason, Drops};
pub use labels::{
    Answered, ApiTokenResult, BackchannelResult, LoginResult, RefreshResult, ReloadResult,
    RevocationResult, SessionEnd,
};
pub use logs::{Logs, TapLayer, init as init_logs};
pub use metrics::{Counter, Metrics};
pub use refusals::{Refusals, Refused};
