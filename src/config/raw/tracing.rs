//! `[tracing]` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// OpenTelemetry traces: where a call was on its way from the browser to the API, and for how long.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawTracing {
    /// Where spans are sent, by OTLP over HTTP: the collector's address, e.g. `http://127.0.0.1:4318`; `/v1/traces` is put
    /// behind it. Absent: no traces.
    #[schemars(extend("x-unit" = "URL"))]
    pub otlp_endpoint: Option<String>,
    /// The `Authorization` that the collector wants to see, e.g. `Bearer …`. Give it as `otlp_authorization_file` or
    /// `otlp_authorization_env` instead.
    #[serde(skip_serializing)]
    #[schemars(extend("writeOnly" = true))]
    pub otlp_authorization: Option<String>,
    /// A file that holds it.
    #[schemars(extend("x-unit" = "file"))]
    pub otlp_authorization_file: Option<String>,
    /// The name of an environment variable that holds it.
    #[schemars(extend("x-unit" = "variable"))]
    pub otlp_authorization_env: Option<String>,
    /// Of so many requests in a thousand a trace is kept, whatever the browser says.
    #[schemars(range(max = 1000), extend("x-unit" = "requests"))]
    pub per_thousand: u16,
    /// The name of this service in traces, and in security events that go to a collector.
    pub service_name: String,
}

impl Default for RawTracing {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_authorization: None,
            otlp_authorization_file: None,
            otlp_authorization_env: None,
            per_thousand: 100,
            service_name: "cloakroom".to_owned(),
        }
    }
}
