//! The proof that goes to an API beside a token that is bound to a key (DPoP, RFC 9449 §7): for the URL that the upstream is asked for,
//! which is not the browser's (SC-03). Never sends one for another upstream's.

use super::error::ProxyError;
use super::head::{Head, NoValue};
use super::{Answer, Outgoing, challenge};
use crate::config::Upstream;
use crate::oidc::{DPOP, DPOP_NONCE, Dpop, ProofTarget};
use crate::secret::Secret;

/// Adds the proof for the request whose head is built so far.
pub fn add(
    dpop: &Dpop,
    upstream: &Upstream,
    head: &mut Head,
    token: &Secret<String>,
) -> Result<(), ProxyError> {
    const NONE: ProxyError = ProxyError::Invalid("no proof of the token's key can be made");
    let origin = origin(upstream);
    let (method, path) = (head.method().as_str(), head.path());
    let proof = dpop.proof(ProofTarget { method, origin: &origin, path, token: Some(token) });
    let proof = proof.map_err(|_| NONE)?;
    head.add(DPOP, proof.as_bytes()).map_err(|NoValue| NONE)
}

/// Remembers the nonce that an answer names. Whether the call would do with it: it was refused for its lack alone.
pub fn learn(outgoing: &Outgoing<'_>, answer: &Answer) -> bool {
    let Some(dpop) = outgoing.dpop else { return false };
    dpop.learn(&origin(outgoing.route.upstream()), answer.fields.get_all(DPOP_NONCE))
        && challenge::wants_nonce(answer.status, &answer.fields)
}

/// As a proof names it: `authority` has no port of the scheme's own.
fn origin(upstream: &Upstream) -> String {
    let scheme = if upstream.tls { "https" } else { "http" };
    format!("{scheme}://{}", upstream.authority)
}
