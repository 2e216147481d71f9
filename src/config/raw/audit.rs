//! `[audit]` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::choices::AuditTo;

/// Security events: who logged in, refreshed, logged out, was refused. They cannot be switched off.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAudit {
    /// `log` puts them among the log lines; `stdout` and `file` make a stream of its own, one JSON object per line; `otlp` sends
    /// OpenTelemetry logs to a collector.
    pub to: AuditTo,
    /// The file for `to = "file"`: made with mode 0600, appended to, opened anew when it was moved or removed.
    #[schemars(extend("x-unit" = "file"))]
    pub file: Option<String>,
    /// The collector for `to = "otlp"`, e.g. `http://127.0.0.1:4318`; `/v1/logs` is put behind it.
    #[schemars(extend("x-unit" = "URL"))]
    pub otlp_endpoint: Option<String>,
    /// The `Authorization` that it wants to see. Give it as `otlp_authorization_file` or `otlp_authorization_env` instead.
    #[serde(skip_serializing)]
    #[schemars(extend("writeOnly" = true))]
    pub otlp_authorization: Option<String>,
    /// A file that holds it.
    #[schemars(extend("x-unit" = "file"))]
    pub otlp_authorization_file: Option<String>,
    /// The name of an environment variable that holds it.
    #[schemars(extend("x-unit" = "variable"))]
    pub otlp_authorization_env: Option<String>,
    /// A key (32 random bytes) that users are named by: the same user has the same name over apps and restarts, and nobody
    /// without the key can tell whose it is. Give it as `pseudonym_key_file` or `pseudonym_key_env` instead. Absent: users
    /// are named by plain digests.
    #[serde(skip_serializing)]
    #[schemars(extend("writeOnly" = true))]
    pub pseudonym_key: Option<String>,
    /// A file that holds the key.
    #[schemars(extend("x-unit" = "file"))]
    pub pseudonym_key_file: Option<String>,
    /// The name of an environment variable that holds the key.
    #[schemars(extend("x-unit" = "variable"))]
    pub pseudonym_key_env: Option<String>,
}

impl Default for RawAudit {
    fn default() -> Self {
        Self {
            to: AuditTo::Log,
            file: None,
            otlp_endpoint: None,
            otlp_authorization: None,
            otlp_authorization_file: None,
            otlp_authorization_env: None,
            pseudonym_key: None,
            pseudonym_key_file: None,
            pseudonym_key_env: None,
        }
    }
}
