//! Assembles the parts: listens, dispatches each request, owns the snapshot and the workers. Only this module sees a whole App.

mod admin;
mod api;
mod api_entry;
mod app;
mod bound_call;
mod build;
mod by_claims;
pub mod control;
mod descriptors;
mod dispatch;
mod examine;
mod held_open;
mod listen;
mod live;
mod pages;
mod print;
mod provider_watch;
mod providers_of;
pub mod reload;
mod routes;
mod routes_of;
mod seen;
mod sensitive;
mod shutdown;
mod socket;
mod step_up;
mod take;
mod tokens_of_apis;
mod transport;
pub mod wire;
mod worker;

pub use app::{App, BuildError};
pub use descriptors::raise_limit;
pub use examine::{Finding, Level, examine};
pub use listen::{Running, ServeError, start, start_counted};
pub use shutdown::Signals;
