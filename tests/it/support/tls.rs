//! Certificates of a test authority whose key was thrown away: `localhost`, and a name that nobody asks for; and of
//! another one that vouches for a client; and one that has expired. The private keys are public on purpose; nothing outside the tests trusts this authority.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
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
