//! Turns a TOML file, the environment and --set into a valid [`Config`], or into every problem at once. The only module that reads the environment.

mod types;

pub use types::*;
