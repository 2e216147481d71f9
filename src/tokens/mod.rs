//! Which access token a route gets, and when it is refreshed. Never talks HTTP to an upstream.

mod api_tokens;
mod backoff;
mod decide;
mod flight;
mod providers;
mod refresh;
mod refresh_call;
mod refused;
mod revocations;
mod shared;

pub use api_tokens::{ApiTokens, Caller, NoToken};
pub use backoff::Backoff;
pub use decide::{Freshness, freshness, spread};
pub use flight::{Flights, landed};
pub use providers::{OneProvider, OtherBinding, Providers};
pub use refresh::{RefreshFailure, Refreshed, Refresher};
pub use refused::RefusedTokens;
pub use revocations::{Ended, Revocations};
pub use shared::SharedRefreshes;
