//! Whom TLS to an upstream trusts, and as whom it calls (PX-17): certificates and keys are read and compared at start.
//! Never switches a check off, never puts a byte of a file into a message.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

use super::client_certificate::ClientCertificate;
use super::location::{parse_address, parse_upstream};
use super::raw::RawRoute;
use super::report::{At, every, unique};
use super::secrets::read_text;
use super::types::{Address, Upstream};
use crate::secret::Secret;

/// What TLS to an upstream is done with, beside or instead of the system's roots. Equal if the files hold the same.
#[derive(Clone)]
pub struct Trust {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    identity: Option<Arc<CertifiedKey>>,
    fingerprint: [u8; 32],
}

/// Why certificates or a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("the file holds no certificate")]
    NoCertificate,
    #[error("the file holds a certificate that cannot be used")]
    BadCertificate,
    #[error("the certificate has expired")]
    Expired,
    #[error("the file holds no private key")]
    NoKey,
    #[error("is not the key of the certificate")]
    OtherKey,
}

/// The same, of one of the two files that say who somebody is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFault {
    #[error(transparent)]
    Certificate(TrustFault),
    #[error(transparent)]
    Key(TrustFault),
}

impl Trust {
    /// Trusts the authorities in the PEM file `ca`, or the system's; shows no certificate yet.
    pub fn read(ca: Option<&Path>) -> Result<Self, TrustFault> {
        let mut hash = Sha256::new();
        let mut verifier = None;
        if let Some(ca) = ca {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&text(ca)?, &mut hash)? {
                roots.add(certificate).map_err(|_| TrustFault::BadCertificate)?;
            }
            let provider = Arc::new(default_provider());
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            verifier = Some(builder.build().map_err(|_| TrustFault::BadCertificate)?);
        }
        Ok(Self { verifier, identity: None, fingerprint: hash.finalize().into() })
    }

    /// Shows the certificate of the PEM file `cert`, whose private key is in the PEM file `key` (mutual TLS).
    pub fn with_identity(self, cert: &Path, key: &Path) -> Result<Self, IdentityFault> {
        let mut hash = Sha256::new();
        hash.update(self.fingerprint);
        let identity = Some(Arc::new(certified(cert, key, &mut hash)?));
        Ok(Self { identity, fingerprint: hash.finalize().into(), ..self })
    }

    /// Shows this certificate, which tokens are bound to.
    pub fn with_client_certificate(self, certificate: &ClientCertificate) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.fingerprint);
        hash.update(certificate.fingerprint());
        let identity = Some(certificate.certified());
        Self { identity, fingerprint: hash.finalize().into(), ..self }
    }

    /// Verifies upstreams against the configured authorities; `None` leaves it to the system's.
    pub fn verifier(&self) -> Option<Arc<WebPkiServerVerifier>> {
        self.verifier.clone()
    }

    /// Our certificate and key, if the upstream gets to see one.
    pub fn identity(&self) -> Option<Arc<CertifiedKey>> {
        self.identity.clone()
    }
}

/// The chain of the PEM file `cert` with its private key, which is in the PEM file `key`; `hash` takes the chain in.
pub(super) fn certified(
    cert: &Path,
    key: &Path,
    hash: &mut Sha256,
) -> Result<CertifiedKey, IdentityFault> {
    let chain = text(cert).map_err(IdentityFault::Certificate)?;
    let key = text(key).map_err(IdentityFault::Key)?;
    certified_from(&chain, &Secret::new(key), hash)
}

/// The same of what the two files hold.
pub(super) fn certified_from(
    chain: &str,
    key: &Secret<String>,
    hash: &mut Sha256,
) -> Result<CertifiedKey, IdentityFault> {
    let chain = certificates(chain, hash).map_err(IdentityFault::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
    let key = key.map_err(|_| IdentityFault::Key(TrustFault::NoKey))?;
    CertifiedKey::from_der(chain, key, &default_provider())
        .map_err(|_| IdentityFault::Key(TrustFault::OtherKey))
}

pub(super) fn text(file: &Path) -> Result<String, TrustFault> {
    Ok(read_text(file)?)
}

/// The certificates of a PEM file, at least one; `hash` takes them in.
fn certificates(text: &str, hash: &mut Sha256) -> Result<Vec<CertificateDer<'static>>, TrustFault> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let parsed = parsed.map_err(|_| TrustFault::BadCertificate)?;
    if parsed.is_empty() {
        return Err(TrustFault::NoCertificate);
    }
    for certificate in &parsed {
        hash.update(certificate.len().to_be_bytes());
        hash.update(certificate);
    }
    Ok(parsed)
}

// A certificate names its one public key: a key of its own would not change what the connection is worth.
impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Trust {}

impl Hash for Trust {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (own, identity) = (self.verifier.is_some(), self.identity.is_some());
        f.debug_struct("Trust")
            .field("own_ca", &own)
            .field("identity", &identity)
            // Of certificates, which are no secret: so that others are seen to be others.
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// Where a route goes, and what its TLS is done with.
pub(super) fn upstream(at: &At<'_>, raw: &RawRoute) -> Option<Upstream> {
    let mend = "write where the requests go, e.g. \"http://orders:8080\"";
    let upstream = at
        .key("upstream")
        .required(raw.upstream.as_deref(), mend)
        .and_then(|text| at.key("upstream").take(parse_upstream(text)));
    let addresses = addresses(&at.key("addresses"), &raw.addresses);
    let upstream = upstream.and_then(|upstream| {
        Some(Upstream { addresses: addresses?, http2: raw.http2, ..upstream })
    });
    let files = [
        ("ca_file", &raw.ca_file),
        ("client_cert_file", &raw.client_cert_file),
        ("client_key_file", &raw.client_key_file),
    ];
    let Some((name, _)) = files.into_iter().find(|(_, file)| file.is_some()) else {
        return upstream;
    };
    let trust = trust(at, raw);
    let upstream = upstream?;
    if !upstream.tls {
        let mend = "write an https upstream, or remove the line";
        return at.key(name).fail("the upstream is plain HTTP", mend);
    }
    Some(Upstream { trust: Some(Arc::new(trust?)), ..upstream })
}

/// So many addresses are a list that nobody reads any more.
const MOST_ADDRESSES: usize = 64;

fn addresses(at: &At<'_>, raw: &[String]) -> Option<Vec<Address>> {
    let parsed = every(at, raw, |at, text| at.take(parse_address(text)));
    unique(at, raw)?;
    if raw.len() > MOST_ADDRESSES {
        return at
            .fail("too many addresses", "write at most 64; a name can have as many as it likes");
    }
    parsed
}

/// One more upstream of the same route, written at `at`: the route's certificates and its version of HTTP hold for it as well.
pub(super) fn further_upstream(
    at: &At<'_>,
    text: &str,
    own: Option<&Upstream>,
) -> Option<Upstream> {
    let upstream = at.take(parse_upstream(text))?;
    let trust = own.and_then(|own| own.trust.as_ref());
    if trust.is_some() && !upstream.tls {
        return at.fail("the route has certificates, and this is plain HTTP", "write https://…");
    }
    let http2 = own.is_some_and(|own| own.http2);
    Some(Upstream { trust: trust.cloned(), http2, ..upstream })
}

fn trust(at: &At<'_>, raw: &RawRoute) -> Option<Trust> {
    let noted = |name: &str, fault: &TrustFault| at.key(name).fail(fault.to_string(), mend(fault));
    let trust = match Trust::read(raw.ca_file.as_deref().map(Path::new)) {
        Ok(trust) => Some(trust),
        Err(fault) => noted("ca_file", &fault),
    };
    match (&raw.client_cert_file, &raw.client_key_file) {
        (None, None) => trust,
        (Some(_), None) => at
            .key("client_cert_file")
            .fail("means nothing without client_key_file", "name the file with its private key"),
        (None, Some(_)) => at
            .key("client_key_file")
            .fail("means nothing without client_cert_file", "name the file with its certificate"),
        (Some(cert), Some(key)) => match trust?.with_identity(Path::new(cert), Path::new(key)) {
            Ok(trust) => Some(trust),
            Err(IdentityFault::Certificate(fault)) => noted("client_cert_file", &fault),
            Err(IdentityFault::Key(fault)) => noted("client_key_file", &fault),
        },
    }
}

pub(super) fn mend(fault: &TrustFault) -> &'static str {
    match fault {
        TrustFault::Unreadable(_) => "check the path, the owner and the mode of the file",
        TrustFault::NoCertificate => "name a PEM file that begins with -----BEGIN CERTIFICATE-----",
        TrustFault::BadCertificate => "look at it with `openssl x509 -noout -text -in FILE`",
        TrustFault::Expired => "renew it, and name the new one",
        TrustFault::NoKey => "name a PEM file with an unencrypted PKCS#8, SEC1 or PKCS#1 key",
        TrustFault::OtherKey => "name the two files that were made together",
    }
}
