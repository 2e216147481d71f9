//! Turns a TOML file, the environment and --set into a valid [`Config`], or into every problem at once.
//! The only module that reads the environment. Never puts a configured value into a diagnostic.
//!
//! The way of a setting: `tree` (as written, with places) ← `layers` (overrides) → `shape` (compared with the
//! `schema`) → `raw` (typed) → one file per section (`server`, `control`, `tracing`, `redis`, `app`, `provider`, `providers`, `session`, `routes`, `claim_rules`, `token_target`, `trust`, `spa`) → `types`.

mod agreement;
mod app;
mod audit;
mod authorization_details;
mod certificate;
mod choices;
mod claim_rules;
mod client_certificate;
mod client_key;
mod collector;
mod control;
mod cookie_key;
mod diagnostic;
mod layers;
mod load;
mod location;
mod origin;
mod profile;
mod provider;
mod provider_types;
mod providers;
mod quantity;
mod raw;
mod redis;
mod report;
mod routes;
mod schema;
mod secrets;
mod server;
mod session;
mod shape;
mod spa;
mod token_target;
mod tracing;
mod tree;
mod trust;
mod types;
mod words;

#[cfg(test)]
mod providers_tests;
#[cfg(test)]
pub(super) mod tests;

pub use audit::{AuditConfig, AuditTarget};
pub use authorization_details::AuthorizationDetails;
pub use certificate::ServerCertificate;
pub use choices::*;
pub use claim_rules::{ByClaim, ClaimRules};
pub use client_certificate::ClientCertificate;
pub use client_key::{ClientAssertion, ClientKey, ProofKey};
pub use collector::CollectorConfig;
pub use diagnostic::{Diagnostic, Place};
pub use load::{Sources, environment, load};
pub use provider_types::{EndpointOverrides, ProviderConfig};
pub use schema::schema;
pub use token_target::TokenTarget;
pub use tracing::TracingConfig;
pub use trust::{IdentityFault, Trust, TrustFault};
pub use types::*;
