//! Certificates of a test authority whose key was thrown away: `localhost`, and a name that nobody asks for; and of
//! another one that vouches for a client; and one that has expired. And certificates that a client signs itself, made when they are needed. The private keys are public on purpose; nothing outside the tests trusts this authority.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

/// The authority's certificate, for `ca_file`.
pub fn ca_file() -> PathBuf {
    folder().join("ca.pem")
}

/// A file of the folder of certificates.
pub fn file(name: &str) -> PathBuf {
    folder().join(name)
}

/// A server side for `localhost` that wants to see a certificate of the clients' authority.
pub fn mutual_acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("client-ca.pem")).unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let chain = CertificateDer::from_pem_file(file("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("localhost.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![chain], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A server side for `localhost` that asks for a certificate and takes any, or none: who it is stands in the connection.
pub fn asking_acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::from_pem_file(file("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("localhost.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody(provider)))
        .with_single_cert(vec![chain], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Whose key it is counts, not who vouches for it.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What names a certificate in a token that is bound to it (`x5t#S256`, RFC 8705 section 3.1).
pub fn thumbprint(certificate: &CertificateDer<'_>) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate))
}

/// A certificate in a file, and its private key in another one.
pub struct OwnCertificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl OwnCertificate {
    /// One that nobody vouches for, made with openssl as an operator does.
    pub fn self_signed(folder: &Path, name: &str) -> Self {
        let (cert, key) =
            (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key.pem")));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-noenc", "-days", "30", "-subj", &format!("/CN={name}"), "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&cert)
            .output()
            .expect("openssl is missing: apt-get install openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { cert, key }
    }

    /// The one of the clients' authority.
    pub fn vouched_for() -> Self {
        Self { cert: file("client.pem"), key: file("client.key.pem") }
    }

    /// See [`thumbprint`].
    pub fn thumbprint(&self) -> String {
        thumbprint(&CertificateDer::from_pem_file(&self.cert).unwrap())
    }

    /// The lines of `[provider]` that name it, and the authority of the tests' servers.
    pub fn lines(&self) -> String {
        let [ca, cert, key] =
            [&ca_file(), &self.cert, &self.key].map(|file| file.display().to_string());
        format!(
            "ca_file = \"{ca}\"\nclient_certificate_file = \"{cert}\"\nclient_certificate_key_file = \"{key}\"\n"
        )
    }
}

/// A server side with the certificate of `name`: `localhost` or `elsewhere`.
pub fn acceptor(name: &str) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(server(name)))
}

/// A server side for `localhost` that speaks one of these protocols, by the names that TLS has for them; none says nothing.
pub fn speaking(protocols: &[&str]) -> TlsAcceptor {
    let mut config = server("localhost");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn server(name: &str) -> ServerConfig {
    let chain = CertificateDer::from_pem_file(folder().join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder().join(format!("{name}.key.pem"))).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls")
}
