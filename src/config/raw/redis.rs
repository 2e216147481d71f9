//! `[redis]` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::choices::Outage;

/// A Redis (or Valkey) that several instances share: who refreshes, what came of it, and which sessions have ended. Needed
/// as soon as more than one process serves an app. Absent: this process is alone.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawRedis {
    /// Where it is: `redis://host:6379/0`, `rediss://host:6379/0` for TLS, or `unix:/run/redis.sock`; the number is the
    /// database. User and password stand in keys of their own. Required.
    #[schemars(extend("x-unit" = "address"))]
    pub url: Option<String>,
    /// User of the access control list. Absent: the default user.
    pub username: Option<String>,
    /// The password. Give it as `password_file` or `password_env` instead.
    #[serde(skip_serializing)]
    #[schemars(extend("writeOnly" = true))]
    pub password: Option<String>,
    /// A file that holds the password.
    #[schemars(extend("x-unit" = "file"))]
    pub password_file: Option<String>,
    /// The name of an environment variable that holds the password.
    #[schemars(extend("x-unit" = "variable"))]
    pub password_env: Option<String>,
    /// Certificates (PEM) to trust for `rediss`, and no others. Absent: those of the system.
    #[schemars(extend("x-unit" = "file"))]
    pub ca_file: Option<String>,
    /// What the name of every key of ours begins with; instances that share sessions have the same.
    pub key_prefix: String,
    /// Time limit for connecting, and for each command; 1s to 10s.
    #[schemars(extend("x-unit" = "duration"))]
    pub timeout: String,
    /// Contact that is lost for longer than this is an outage; 1s to 5m. Until then calls go on with what is known here.
    #[schemars(extend("x-unit" = "duration"))]
    pub stale_after: String,
    /// What becomes of calls during an outage: `fail_closed` answers 503 and keeps the cookies; `fail_open` lets them go on
    /// until their access token ends, though the session may have ended elsewhere. Nobody is logged out either way.
    pub outage: Outage,
}

impl Default for RawRedis {
    fn default() -> Self {
        Self {
            url: None,
            username: None,
            password: None,
            password_file: None,
            password_env: None,
            ca_file: None,
            key_prefix: "cloakroom".to_owned(),
            timeout: "1s".to_owned(),
            stale_after: "5s".to_owned(),
            outage: Outage::FailClosed,
        }
    }
}
