//! OpenTelemetry traces: what becomes of a request between the browser and the API, for an operator's collector. Off unless
//! there is one. Never holds a path, a query, a token, a cookie or a claim; never makes a request wait.

mod context;
mod export;
mod otlp;
mod queue;
mod span;

pub use export::{Exporter, start};
pub use queue::Spans;
pub use span::{Call, Trace};
