//! `[tracing]`: whether traces are made, of how many requests, and where they go.

use super::collector::{CollectorConfig, Written, collector};
use super::raw::RawTracing;
use super::report::At;
use super::words::parse_plain;

/// `[tracing]`, where it has an endpoint.
#[derive(Debug)]
pub struct TracingConfig {
    pub collector: CollectorConfig,
    /// Requests in a thousand.
    pub per_thousand: u16,
}

/// Turns the section into its configuration; `Some(None)` is no traces.
#[expect(clippy::option_option, reason = "a problem was noted, no traces, or traces")]
pub(super) fn tracing(at: &At<'_>, raw: &RawTracing) -> Option<Option<TracingConfig>> {
    let written = Written {
        endpoint: raw.otlp_endpoint.as_deref(),
        authorization: raw.otlp_authorization.as_deref(),
        authorization_file: raw.otlp_authorization_file.as_deref(),
        authorization_env: raw.otlp_authorization_env.as_deref(),
        service_name: &raw.service_name,
    };
    let collector = collector(at, &written, "/v1/traces");
    let service_name = at.key("service_name").take(parse_plain(&raw.service_name));
    let per_thousand = if raw.per_thousand <= 1000 {
        Some(raw.per_thousand)
    } else {
        at.key("per_thousand").fail("out of bounds", "write 0 to 1000")
    };
    let (per_thousand, _) = (per_thousand?, service_name?);
    Some(collector?.map(|collector| TracingConfig { collector, per_thousand }))
}
