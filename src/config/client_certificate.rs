//! The certificate by which a client shows itself to its authorization server, and to which access tokens are bound (RFC 8705): read,
//! and held against its key and the time, at start and at each reload. Never puts a byte of a file into a message.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

use super::certificate::{ends, is_over};
use super::choices::SenderConstraint;
use super::raw::RawProvider;
use super::report::At;
use super::trust::{IdentityFault, TrustFault, certified_from, mend, text};
use crate::secret::Secret;

const CERT: &str = "client_certificate_file";
const KEY: &str = "client_certificate_key_file";

/// A certificate with its chain and its key.
pub struct ClientCertificate {
    certified: Arc<CertifiedKey>,
    pem: Secret<String>,
    thumbprint: String,
}

impl ClientCertificate {
    /// What TLS to an API is done with.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// Key and chain, in PEM.
    pub fn pem(&self) -> &Secret<String> {
        &self.pem
    }

    /// What a token that is bound to the certificate names (`x5t#S256`, RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    fn read(cert: &Path, key: &Path) -> Result<Self, IdentityFault> {
        let chain = text(cert).map_err(IdentityFault::Certificate)?;
        let key = Secret::new(text(key).map_err(IdentityFault::Key)?);
        let certified = certified_from(&chain, &key, &mut Sha256::new())?;
        let first = certified.cert.first().ok_or(TrustFault::NoCertificate);
        let first = first.map_err(IdentityFault::Certificate)?;
        match ends(first) {
            Some(ends) if !is_over(ends) => {}
            Some(_) => return Err(IdentityFault::Certificate(TrustFault::Expired)),
            None => return Err(IdentityFault::Certificate(TrustFault::BadCertificate)),
        }
        let thumbprint = URL_SAFE_NO_PAD.encode_to_string(Sha256::digest(first));
        let pem = Secret::new(format!("{}\n{chain}", key.expose()));
        Ok(Self { certified: Arc::new(certified), pem, thumbprint })
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a certificate, which is no secret: so that another one is seen to be another.
        f.debug_struct("ClientCertificate")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// The certificate of a provider that wants one; `Some(None)` for one that does not.
#[expect(clippy::option_option, reason = "a problem was noted, no certificate, or a certificate")]
pub(super) fn client_certificate(
    at: &At<'_>,
    raw: &RawProvider,
) -> Option<Option<Arc<ClientCertificate>>> {
    let wants = raw.auth_method.is_mtls() || raw.sender_constraint == SenderConstraint::Mtls;
    let written = [
        (CERT, raw.client_certificate_file.as_deref()),
        (KEY, raw.client_certificate_key_file.as_deref()),
    ];
    if !wants {
        let Some((name, _)) = written.into_iter().find(|(_, file)| file.is_some()) else {
            return Some(None);
        };
        let mend =
            "set auth_method = \"tls_client_auth\" or sender_constraint = \"mtls\", or remove it";
        return at.key(name).fail("is not used", mend);
    }
    let [cert, key] = written.map(|(name, file)| {
        at.key(name).required(file, "write the path of a PEM file; certificate and key go together")
    });
    match ClientCertificate::read(Path::new(cert?), Path::new(key?)) {
        Ok(read) => Some(Some(Arc::new(read))),
        Err(IdentityFault::Certificate(fault)) => {
            at.key(CERT).fail(fault.to_string(), mend(&fault))
        }
        Err(IdentityFault::Key(fault)) => at.key(KEY).fail(fault.to_string(), mend(&fault)),
    }
}

#[cfg(test)]
#[path = "client_certificate_tests.rs"]
mod tests;
