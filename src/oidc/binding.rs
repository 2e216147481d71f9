//! What access tokens of a server are bound to, so that a thief cannot use them: a key of the deployment or of each session (RFC 9449), or
//! our certificate (RFC 8705). Decides whose key signs; never lets a bound token pass for one of bearers.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::OidcError;
use super::{Dpop, Provider};
use crate::config::{ClientKey, DpopKeys, ProofKey};

impl Provider {
    /// The thumbprint of the key or of the certificate that tokens of our own are bound to, and those of sessions that have no key of
    /// theirs; `None` with tokens of bearers.
    pub fn bound_to(&self) -> Option<&str> {
        let certificate = self.config.binding_certificate().map(|own| own.thumbprint());
        self.dpop.as_ref().map(Dpop::thumbprint).or(certificate)
    }

    /// Proofs for tokens of our own, where tokens are bound to keys.
    pub fn dpop(&self) -> Option<&Dpop> {
        self.dpop.as_ref()
    }

    /// Proofs for the tokens of a session that has this key; `None` where tokens are not bound to keys, or where the session should
    /// have one and does not.
    pub fn proofs(&self, key: Option<&ProofKey>) -> Option<Dpop> {
        let dpop = self.dpop.as_ref()?;
        match self.config.dpop_keys {
            DpopKeys::Deployment => Some(dpop.clone()),
            DpopKeys::Session => Some(dpop.by(Arc::new(ClientKey::of_session(key?)?))),
        }
    }

    /// Whether the token of a session is bound as tokens are here: what its record says, and whether it has a key of its own.
    pub fn binds(&self, bound_to: Option<&str>, has_key: bool) -> bool {
        match self.config.dpop_keys {
            DpopKeys::Session => has_key && bound_to.is_some(),
            DpopKeys::Deployment => self.bound_to() == bound_to,
        }
    }

    /// The key of a session: the one that it has, or a new one where it should have one; none where sessions have none.
    pub(super) fn proof_key(
        &self,
        known: Option<&ProofKey>,
    ) -> Result<Option<ProofKey>, OidcError> {
        match (self.config.dpop_keys, known) {
            (DpopKeys::Deployment, _) => Ok(None),
            (DpopKeys::Session, Some(known)) => Ok(Some(known.clone())),
            (DpopKeys::Session, None) => {
                ClientKey::for_session().map(Some).ok_or(OidcError::CannotSign)
            }
        }
    }

    /// What a token is bound to that was asked for with proofs by `dpop`.
    pub(super) fn binding(&self, dpop: Option<&Dpop>) -> Option<String> {
        let certificate = self.config.binding_certificate().map(|own| own.thumbprint());
        dpop.map(Dpop::thumbprint).or(certificate).map(ToOwned::to_owned)
    }

    /// What tokens must be called (RFC 6749 §7.1).
    pub(super) fn token_type(&self) -> &'static str {
        if self.dpop.is_some() { "DPoP" } else { "Bearer" }
    }

    /// Whether the token with these claims is bound to what it should be, and to nothing else (RFC 7800, RFC 9449 §6.1, RFC 8705 §3.1).
    pub(super) fn is_bound_as_ours(
        &self,
        claims: &Map<String, Value>,
        dpop: Option<&Dpop>,
    ) -> bool {
        let told = |method: &str| claims.get("cnf")?.get(method)?.as_str();
        let certificate = self.config.binding_certificate().map(|own| own.thumbprint());
        told("jkt") == dpop.map(Dpop::thumbprint) && told("x5t#S256") == certificate
    }
}
