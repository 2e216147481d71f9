//! The proof that goes to an API beside a token that is bound to a key (DPoP, RFC 9449 §7): for the URL that the upstream is asked for,
//! which is not the browser's (SC-03). Never sends one for another upstream's.

use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};

use super::error::ProxyError;
use super::{Outgoing, challenge};
use crate::config::Upstream;
use crate::oidc::{DPOP, DPOP_NONCE, Dpop, ProofTarget};
use crate::secret::Secret;

pub const FIELD: HeaderName = HeaderName::from_static(DPOP);

/// The proof for the request whose head is built so far.
pub fn of(
    dpop: &Dpop,
    upstream: &Upstream,
    head: &Request<()>,
    token: &Secret<String>,
) -> Result<HeaderValue, ProxyError> {
    let origin = origin(upstream);
    let (method, path) = (head.method().as_str(), head.uri().path());
    let proof = dpop.proof(ProofTarget { method, origin: &origin, path, token: Some(token) });
    let value = proof.ok().and_then(|proof| HeaderValue::try_from(proof).ok());
    let mut value = value.ok_or(ProxyError::Invalid("no proof of the token's key can be made"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Remembers the nonce that an answer names. Whether the call would do with it: it was refused for its lack alone.
pub fn learn<B>(outgoing: &Outgoing<'_>, answer: &Response<B>) -> bool {
    let Some(dpop) = outgoing.dpop else { return false };
    let lines = answer.headers().get_all(DPOP_NONCE).iter().map(HeaderValue::as_bytes);
    dpop.learn(&origin(outgoing.route.upstream()), lines)
        && challenge::wants_nonce(answer.status(), answer.headers())
}

/// As a proof names it: `authority` has no port of the scheme's own.
fn origin(upstream: &Upstream) -> String {
    let scheme = if upstream.tls { "https" } else { "http" };
    format!("{scheme}://{}", upstream.authority)
}
