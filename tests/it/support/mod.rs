//! What several integration tests share: servers, real and hostile, a browser without a screen, captured logs.

pub mod browser;
#[cfg(feature = "dev")]
pub mod canaille;
pub mod child;
pub mod client_hello;
pub mod collector;
pub mod hostile_op;
pub mod hostile_upstream;
pub mod html;
pub mod http2_upstream;
pub mod log;
pub mod nginx;
pub mod oidc_provider;
#[cfg(feature = "dev")]
pub mod peer;
pub mod port;
pub mod proofs;
pub mod redis;
#[cfg(feature = "dev")]
pub mod socket;
#[cfg(feature = "dev")]
pub mod stack;
pub mod tls;
