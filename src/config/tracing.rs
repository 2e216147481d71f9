//! `[tracing]`: whether traces are made, of how many requests, and where they go.

use url::Url;

use super::raw::RawTracing;
use super::report::{At, Wrong};
use super::secrets::{Ways, secret};
use super::words::parse_plain;
use crate::secret::Secret;

/// `[tracing]`, where it has an endpoint.
#[derive(Debug)]
pub struct TracingConfig {
    /// With `/v1/traces`.
    pub traces: Url,
    /// The value of `Authorization`.
    pub authorization: Option<Secret<String>>,
    /// Requests in a thousand.
    pub per_thousand: u16,
    pub service_name: String,
}

/// Turns the section into its configuration; `Some(None)` is no traces.
#[expect(clippy::option_option, reason = "a problem was noted, no traces, or traces")]
pub(super) fn tracing(at: &At<'_>, raw: &RawTracing) -> Option<Option<TracingConfig>> {
    let ways = Ways {
        value: ("otlp_authorization", raw.otlp_authorization.as_deref()),
        file: ("otlp_authorization_file", raw.otlp_authorization_file.as_deref()),
        env: ("otlp_authorization_env", raw.otlp_authorization_env.as_deref()),
    };
    let written = [ways.value, ways.file, ways.env].into_iter().find(|way| way.1.is_some());
    let service_name = at.key("service_name").take(parse_plain(&raw.service_name));
    let ratio_at = at.key("per_thousand");
    let per_thousand = if raw.per_thousand <= 1000 {
        Some(raw.per_thousand)
    } else {
        ratio_at.fail("out of bounds", "write 0 to 1000")
    };
    let Some(endpoint) = &raw.otlp_endpoint else {
        if let Some((name, _)) = written {
            let mend = "write otlp_endpoint, or remove it";
            return at.key(name).fail("means nothing without otlp_endpoint", mend);
        }
        return (service_name.is_some() && per_thousand.is_some()).then_some(None);
    };
    let traces = at.key("otlp_endpoint").take(parse_collector(endpoint));
    let authorization = match written {
        Some(_) => secret(at, &ways).map(|(_, secret)| Some(secret)),
        None => Some(None),
    };
    Some(Some(TracingConfig {
        traces: traces?,
        authorization: authorization?,
        per_thousand: per_thousand?,
        service_name: service_name?,
    }))
}

fn parse_collector(text: &str) -> Result<Url, Wrong> {
    const SHAPE: Wrong = Wrong {
        problem: "not an http or https URL without user, query and fragment",
        mend: "write it like \"http://127.0.0.1:4318\"",
    };
    let url = Url::parse(&format!("{}/v1/traces", text.trim_end_matches('/')));
    let url = url.map_err(|_| SHAPE)?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.path().ends_with("/v1/traces");
    if is_plain { Ok(url) } else { Err(SHAPE) }
}
