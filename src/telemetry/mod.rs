//! Logs and metrics, each declared once. Never a query string, a token or a cookie.

mod logs;
mod metrics;

pub use logs::init as init_logs;
pub use metrics::{LoginResult, Metrics, RefreshResult};
