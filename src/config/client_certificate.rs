//! The certificate by which a client shows itself to its authorization server, and to which access tokens are bound (RFC 8705): read,
//! and held against its key and the time, at start and at each reload. Never puts a byte of a file into a message.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
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
    /// Of the whole chain: another one for the same certificate is another thing to show.
    fingerprint: [u8; 32],
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

    /// Of the certificate and those between it and its authority.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    fn read(cert: &Path, key: &Path) -> Result<Self, IdentityFault> {
        let chain = text(cert).map_err(IdentityFault::Certificate)?;
        let key = Secret::new(text(key).map_err(IdentityFault::Key)?);
        let mut hash = Sha256::new();
        let certified = certified_from(&chain, &key, &mut hash)?;
        let first = certified.cert.first().ok_or(TrustFault::NoCertificate);
        let first = first.map_err(IdentityFault::Certificate)?;
        match ends(first) {
            Some(ends) if !is_over(ends) => {}
            Some(_) => return Err(IdentityFault::Certificate(TrustFault::Expired)),
            None => return Err(IdentityFault::Certificate(TrustFault::BadCertificate)),
        }
        let thumbprint = URL_SAFE_NO_PAD.encode_to_string(Sha256::digest(first));
        let pem = pem(&key, &certified).ok_or(IdentityFault::Key(TrustFault::NoKey))?;
        let fingerprint = hash.finalize().into();
        Ok(Self { certified: Arc::new(certified), pem, thumbprint, fingerprint })
    }
}

/// What was read, and nothing else that the two files may hold: one reading of them for all who are shown it.
fn pem(key: &Secret<String>, certified: &CertifiedKey) -> Option<Secret<String>> {
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).ok()?;
    let label = match &key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let block = |label: &str, der: &[u8]| {
        let body = Secret::new(STANDARD.encode_to_string(der));
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", body.expose())
    };
    let chain: Vec<String> =
        certified.cert.iter().map(|certificate| block("CERTIFICATE", certificate)).collect();
    let key = Secret::new(block(label, key.secret_der()));
    Some(Secret::new([key.expose().as_str(), &chain.concat()].concat()))
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a certificate, which is no secret: so that another one is seen to be another.
        f.debug_struct("ClientCertificate")
            .field("thumbprint", &self.thumbprint)
            .field("fingerprint", &self.fingerprint)
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
    if raw.proxy.as_ref().is_some_and(|proxy| proxy.starts_with("https://")) {
        let mend = "write http://…: what goes through it is TLS to the server, and the proxy itself is shown nothing";
        return at.key("proxy").fail("would be shown the client's certificate", mend);
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
