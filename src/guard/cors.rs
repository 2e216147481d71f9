//! Cross-origin answers for listed origins (CS-07): the exact origin, never `*`, methods and headers listed, not reflected.

use super::Guard;
use super::facts::Facts;

/// Methods that a listed origin may use.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// Request headers that a listed origin may send, beside the CSRF header.
const HEADERS: [&str; 11] = [
    "accept",
    "accept-language",
    "content-type",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "idempotency-key",
    "range",
    "traceparent",
    "tracestate",
    "x-request-id",
];
/// Seconds that a browser may remember a preflight's answer.
const REMEMBERED: &str = "600";

/// What an answer says about cross-origin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cors<'a> {
    /// Nothing: same origin, or not listed.
    None,
    /// This origin may read the answer, with credentials.
    Allowed { origin: &'a str },
}

impl Guard {
    /// Whether the answer may be read by the request's origin.
    pub fn cors<'a>(&self, facts: &Facts<'a>) -> Cors<'a> {
        match facts.origin {
            [origin] if *origin != self.own_origin && self.lists(origin) => {
                Cors::Allowed { origin }
            }
            _ => Cors::None,
        }
    }

    /// The fields of the answer to a preflight; `None` when the origin, the method or a header is not listed, and the
    /// browser then refuses by itself. `wanted_headers` is `Access-Control-Request-Headers`.
    pub fn preflight(
        &self,
        facts: &Facts<'_>,
        wanted_method: &str,
        wanted_headers: Option<&str>,
    ) -> Option<Vec<(&'static str, String)>> {
        let Cors::Allowed { origin } = self.cors(facts) else {
            return None;
        };
        let known = |name: &str| {
            HEADERS.iter().any(|listed| listed.eq_ignore_ascii_case(name))
                || name.eq_ignore_ascii_case(&self.csrf_header)
        };
        let mut wanted =
            wanted_headers.into_iter().flat_map(|value| value.split(',')).map(str::trim);
        if !METHODS.contains(&wanted_method) || !wanted.all(|name| name.is_empty() || known(name)) {
            return None;
        }
        Some(vec![
            ("access-control-allow-origin", origin.to_owned()),
            ("access-control-allow-credentials", "true".to_owned()),
            ("access-control-allow-methods", METHODS.join(", ")),
            (
                "access-control-allow-headers",
                format!("{}, {}", HEADERS.join(", "), self.csrf_header),
            ),
            ("access-control-max-age", REMEMBERED.to_owned()),
        ])
    }
}
