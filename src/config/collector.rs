//! Where something is sent by OTLP over HTTP, and what the other side wants to see.

use url::Url;

use super::report::{At, Wrong};
use super::secrets::{Ways, secret};
use crate::secret::Secret;

/// An OpenTelemetry collector, for one kind of signal.
#[derive(Clone, Debug)]
pub struct CollectorConfig {
    /// With the path of the signal.
    pub url: Url,
    /// The value of `Authorization`.
    pub authorization: Option<Secret<String>>,
    /// As whom we speak to it.
    pub service_name: String,
}

/// The keys as written, in the section at `at`.
pub(super) struct Written<'a> {
    pub endpoint: Option<&'a str>,
    pub authorization: Option<&'a str>,
    pub authorization_file: Option<&'a str>,
    pub authorization_env: Option<&'a str>,
    pub service_name: &'a str,
}

/// Reads them; `path` is that of the signal. `Some(None)` where nothing is written.
#[expect(clippy::option_option, reason = "a problem was noted, none, or a collector")]
pub(super) fn collector(
    at: &At<'_>,
    raw: &Written<'_>,
    path: &str,
) -> Option<Option<CollectorConfig>> {
    let ways = Ways {
        value: ("otlp_authorization", raw.authorization),
        file: ("otlp_authorization_file", raw.authorization_file),
        env: ("otlp_authorization_env", raw.authorization_env),
    };
    let written = [ways.value, ways.file, ways.env].into_iter().find(|way| way.1.is_some());
    let Some(endpoint) = raw.endpoint else {
        if let Some((name, _)) = written {
            let mend = "write otlp_endpoint, or remove it";
            return at.key(name).fail("means nothing without otlp_endpoint", mend);
        }
        return Some(None);
    };
    let url = at.key("otlp_endpoint").take(parse_endpoint(endpoint, path));
    let authorization = match written {
        Some(_) => secret(at, &ways).map(|(_, secret)| Some(secret)),
        None => Some(None),
    };
    let service_name = raw.service_name.to_owned();
    Some(Some(CollectorConfig { url: url?, authorization: authorization?, service_name }))
}

fn parse_endpoint(text: &str, path: &str) -> Result<Url, Wrong> {
    const SHAPE: Wrong = Wrong {
        problem: "not an http or https URL without user, query and fragment",
        mend: "write it like \"http://127.0.0.1:4318\"",
    };
    let url = Url::parse(&format!("{}{path}", text.trim_end_matches('/'))).map_err(|_| SHAPE)?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.path().ends_with(path);
    if is_plain { Ok(url) } else { Err(SHAPE) }
}
