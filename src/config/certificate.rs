//! The certificate that browsers are shown: read, and held against its key and the time, before anybody sees it.
//! Never puts a byte of a file into a message.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::raw::RawServer;
use super::report::At;
use super::trust::{IdentityFault, TrustFault, certified, mend};

/// A certificate with its chain and its key.
#[derive(Clone)]
pub struct ServerCertificate {
    certified: Arc<CertifiedKey>,
    /// When it ends, seconds after 1970.
    ends: u64,
    fingerprint: [u8; 32],
}

impl ServerCertificate {
    /// What TLS is spoken with.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// When it ends, seconds after 1970.
    pub fn ends(&self) -> u64 {
        self.ends
    }

    fn read(cert: &Path, key: &Path) -> Result<Self, IdentityFault> {
        let mut hash = Sha256::new();
        let certified = certified(cert, key, &mut hash)?;
        let ends = certified.cert.first().and_then(|first| ends(first));
        let ends = ends.ok_or(IdentityFault::Certificate(TrustFault::BadCertificate))?;
        Ok(Self { certified: Arc::new(certified), ends, fingerprint: hash.finalize().into() })
    }
}

const CERT: &str = "tls_cert_file";
const KEY: &str = "tls_key_file";

/// When a certificate ends, seconds after 1970 (RFC 5280 section 4.1.2.5).
pub(super) fn ends(certificate: &[u8]) -> Option<u64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs())
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of certificates, which are no secret: so that others are seen to be others.
        f.debug_struct("ServerCertificate")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// The certificate of `[server]`, if there is to be one.
#[expect(clippy::option_option, reason = "a problem was noted, plain HTTP, or a certificate")]
pub(super) fn server_certificate(
    at: &At<'_>,
    raw: &RawServer,
) -> Option<Option<ServerCertificate>> {
    let (cert, key) = match (&raw.tls_cert_file, &raw.tls_key_file) {
        (None, None) => return Some(None),
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => {
            return at
                .key(CERT)
                .fail("means nothing without tls_key_file", "name the file with its private key");
        }
        (None, Some(_)) => {
            return at
                .key(KEY)
                .fail("means nothing without tls_cert_file", "name the file with its certificate");
        }
    };
    match ServerCertificate::read(Path::new(cert), Path::new(key)) {
        Ok(read) if is_over(read.ends) => {
            at.key(CERT).fail("the certificate has expired", "renew it; browsers refuse this one")
        }
        Ok(read) => Some(Some(read)),
        Err(IdentityFault::Certificate(fault)) => {
            at.key(CERT).fail(fault.to_string(), mend(&fault))
        }
        Err(IdentityFault::Key(fault)) => at.key(KEY).fail(fault.to_string(), mend(&fault)),
    }
}

#[expect(clippy::disallowed_methods, reason = "a certificate is judged by the time that there is")]
pub(super) fn is_over(ends: u64) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.is_ok_and(|now| now > Duration::from_secs(ends))
}
