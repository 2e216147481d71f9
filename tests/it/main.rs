//! The integration suite: real servers on port 0, real sockets.
// `cfg(test)` tells the linter that helpers, too, may stop at the first surprise.

#[cfg(test)]
mod architecture;
#[cfg(test)]
#[cfg(feature = "dev")]
mod behind;
#[cfg(test)]
#[cfg(feature = "dev")]
mod canaille;
#[cfg(test)]
mod config;
#[cfg(test)]
#[cfg(feature = "dev")]
mod conformance;
#[cfg(test)]
#[cfg(feature = "dev")]
mod corpus;
#[cfg(test)]
mod coverage;
#[cfg(test)]
#[cfg(feature = "dev")]
mod deploy;
#[cfg(test)]
#[cfg(feature = "dev")]
mod dev_stack;
#[cfg(test)]
#[cfg(feature = "dev")]
mod doctor;
#[cfg(test)]
mod formats;
#[cfg(test)]
#[cfg(feature = "dev")]
mod monitoring;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod oidc_provider;
#[cfg(test)]
mod proxy;
#[cfg(test)]
#[cfg(feature = "dev")]
mod replicas;
#[cfg(test)]
#[cfg(feature = "dev")]
mod server;
#[cfg(test)]
mod support;
#[cfg(test)]
mod two_planes;
