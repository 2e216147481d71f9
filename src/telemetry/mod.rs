//! Logs, metrics, and the latest refusals, each declared once. Never a query string, a token or a cookie.

mod logs;
mod metrics;
mod refusals;

pub use logs::{Logs, init as init_logs};
pub use metrics::{
    BackchannelResult, Counter, LoginResult, Metrics, RefreshResult, ReloadResult, RevocationResult,
};
pub use refusals::{Refusals, Refused};
