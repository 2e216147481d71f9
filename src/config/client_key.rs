//! The key that a client signs with, its assertions (`private_key_jwt`) and its requests: read from a file at start and at each reload, never shown. Its
//! algorithm follows from the key: nothing weaker can be asked for (KM-06).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use base64_simd::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::choices::{AssertionAudience, ClientAuthMethod, DpopKeys, SenderConstraint};
use super::raw::RawProvider;
use super::report::{At, Wrong};
use super::secrets::read_text;
use crate::secret::Secret;

/// The shortest modulus of an RSA key, bytes (RFC 7518 §3.5).
const SHORTEST_RSA: usize = 256;

/// The private number of a key on P-256, bytes.
const PRIVATE_P256: usize = 32;

/// The key of one session, as it is kept with the session's tokens.
pub type ProofKey = Secret<Vec<u8>>;

/// How a client shows that it is itself by its key.
#[derive(Clone, Debug)]
pub struct ClientAssertion {
    pub key: Arc<ClientKey>,
    /// Shown to the authorization server beside it, and used once it takes the other's place.
    pub next: Option<Arc<ClientKey>>,
    pub audience: AssertionAudience,
    /// Without `typ`, for servers that refuse it.
    pub untyped: bool,
}

/// A private key of the client.
pub struct ClientKey {
    pair: Pair,
    /// RFC 7638.
    id: String,
    algorithm: &'static str,
    public: Value,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    /// With whether it signs by PSS.
    Rsa(RsaKeyPair, bool),
}

impl ClientKey {
    /// Reads an unencrypted PKCS#8 key in PEM; RSA signs by PS256, or by RS256 with `rs256`.
    ///
    /// # Errors
    /// What is wrong with it, without a byte of it.
    pub fn parse(pem: &Secret<String>, rs256: bool) -> Result<Self, &'static str> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes());
        let der = der.map_err(|_| "the file holds no unencrypted PKCS#8 key in PEM")?;
        let der = der.secret_pkcs8_der();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self::p256(pair));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let x = encoded(pair.public_key().as_ref());
            let thumb = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
            let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
            return Ok(Self::new(Pair::Ed25519(pair), "EdDSA", &thumb, public));
        }
        let unusable = "not a key on P-256 or Ed25519, and not an RSA key";
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| unusable)?;
        if pair.public_modulus_len() < SHORTEST_RSA {
            return Err("an RSA key of less than 2048 bits");
        }
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let n = encoded(n.big_endian_without_leading_zero());
        let e = encoded(e.big_endian_without_leading_zero());
        let thumb = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        let public = json!({ "kty": "RSA", "n": n, "e": e });
        let algorithm = if rs256 { "RS256" } else { "PS256" };
        Ok(Self::new(Pair::Rsa(pair, !rs256), algorithm, &thumb, public))
    }

    fn new(pair: Pair, algorithm: &'static str, thumb: &str, mut public: Value) -> Self {
        let id = encoded(&Sha256::digest(thumb.as_bytes()));
        if let Value::Object(members) = &mut public {
            members.insert("kid".to_owned(), json!(id));
            members.insert("alg".to_owned(), json!(algorithm));
            members.insert("use".to_owned(), json!("sig"));
        }
        Self { pair, id, algorithm, public }
    }

    /// A new key on P-256, as PKCS#8 in PEM.
    pub fn generate() -> Option<Secret<String>> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let text = base64_simd::STANDARD.encode_to_string(pkcs8.ok()?.as_ref());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let body = lines.join("\n");
        Some(Secret::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
        )))
    }

    /// A new key on P-256 for one session, as it is kept there: the private number, then the public point.
    pub fn for_session() -> Option<ProofKey> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        let private = pair.private_key().as_be_bytes().ok()?;
        Some(Secret::new([private.as_ref(), pair.public_key().as_ref()].concat()))
    }

    /// Reads what [`ClientKey::for_session`] made.
    pub fn of_session(key: &ProofKey) -> Option<Self> {
        let (private, public) = key.expose().split_at_checked(PRIVATE_P256)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public).ok()?;
        Some(Self::p256(pair))
    }

    fn p256(pair: EcdsaKeyPair) -> Self {
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        let (x, y) = (encoded(x), encoded(y));
        let thumb = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let public = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
        Self::new(Pair::P256(pair), "ES256", &thumb, public)
    }

    /// `kid`: the thumbprint of the public key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `alg`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The public key as a JWK, for the authorization server; nothing private.
    pub fn public(&self) -> &Value {
        &self.public
    }

    /// The signature of `message`; `None` if the machine has no randomness.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) => pair.sign(&random, message).ok().map(|made| made.as_ref().to_vec()),
            Pair::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair, is_pss) => {
                let padding: &dyn signature::RsaEncoding =
                    if *is_pss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut made).ok()?;
                Some(made)
            }
        }
    }
}

/// By its public half alone.
impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The key of a provider whose client signs, assertions or requests; `Some(None)` for another.
#[expect(clippy::option_option, reason = "a problem was noted, no key, or a key")]
pub(super) fn client_assertion(at: &At<'_>, raw: &RawProvider) -> Option<Option<ClientAssertion>> {
    let written = [
        ("client_key_file", raw.client_key_file.is_some()),
        ("next_client_key_file", raw.next_client_key_file.is_some()),
    ];
    if raw.auth_method != ClientAuthMethod::PrivateKeyJwt && !raw.signed_requests {
        let Some((name, _)) = written.into_iter().find(|(_, is_written)| *is_written) else {
            return Some(None);
        };
        let mend = "set auth_method = \"private_key_jwt\" or signed_requests = true, or remove it";
        return at.key(name).fail("is not used", mend);
    }
    let key_at = at.key("client_key_file");
    let mend = "make a key with `cloakroom keygen client --out FILE`, and write its path";
    let file = key_at.required(raw.client_key_file.as_deref(), mend)?;
    let key = client_key(&key_at, file, raw.client_key_rs256);
    let next = match &raw.next_client_key_file {
        Some(file) => {
            client_key(&at.key("next_client_key_file"), file, raw.client_key_rs256).map(Some)
        }
        None => Some(None),
    };
    let (audience, untyped) = (raw.client_assertion_audience, raw.client_assertion_untyped);
    Some(Some(ClientAssertion { key: key?, next: next?, audience, untyped }))
}

/// The key that access tokens are bound to; `Some(None)` where they are bound to nothing. `own` is what the client authenticates by.
#[expect(clippy::option_option, reason = "a problem was noted, no key, or a key")]
pub(super) fn dpop_key<'a>(
    at: &At<'_>,
    raw: &RawProvider,
    mut own: impl Iterator<Item = &'a ClientAssertion>,
) -> Option<Option<Arc<ClientKey>>> {
    let key_at = at.key("dpop_key_file");
    let for_sessions = raw.dpop_keys == DpopKeys::Session;
    if for_sessions && raw.sender_constraint != SenderConstraint::Dpop {
        let mend = "set sender_constraint = \"dpop\", or remove it";
        return at.key("dpop_keys").fail("is not used", mend);
    }
    match (raw.sender_constraint, &raw.dpop_key_file) {
        (SenderConstraint::Dpop, None) if for_sessions => Some(None),
        (SenderConstraint::Dpop, Some(_)) if for_sessions => {
            key_at.fail("is not used", "remove it: each session has a key of its own")
        }
        (SenderConstraint::None | SenderConstraint::Mtls, None) => Some(None),
        (SenderConstraint::None | SenderConstraint::Mtls, Some(_)) => {
            key_at.fail("is not used", "set sender_constraint = \"dpop\", or remove it")
        }
        (SenderConstraint::Dpop, file) => {
            let mend = "make a key with `cloakroom keygen client --out FILE`, and write its path";
            let key = client_key(&key_at, key_at.required(file.as_deref(), mend)?, false)?;
            let is_same = |other: &Arc<ClientKey>| other.id() == key.id();
            if own.any(|own| is_same(&own.key) || own.next.as_ref().is_some_and(is_same)) {
                let mend = "make another one: each key has one purpose";
                return key_at.fail("is the client's own key", mend);
            }
            Some(Some(key))
        }
    }
}

/// The key in the file that `text` names.
fn client_key(at: &At<'_>, text: &str, rs256: bool) -> Option<Arc<ClientKey>> {
    let mend = "check the path, the owner and the mode of the file";
    let pem = match read_text(Path::new(text)) {
        Ok(pem) => Secret::new(pem),
        Err(error) => return at.fail(format!("the file cannot be read: {error}"), mend),
    };
    let made = "make one with `cloakroom keygen client --out FILE`";
    at.take(ClientKey::parse(&pem, rs256).map_err(|problem| Wrong { problem, mend: made }))
        .map(Arc::new)
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(der: &[u8]) -> Secret<String> {
        let body = base64_simd::STANDARD.encode_to_string(der);
        Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))
    }

    // proves: CA-04, KM-06
    #[test]
    fn a_key_is_read_and_known_by_its_thumbprint_and_shows_nothing_private() {
        let made = ClientKey::generate().unwrap();
        let (one, again) = (ClientKey::parse(&made, false), ClientKey::parse(&made, true));
        let (one, again) = (one.unwrap(), again.unwrap());
        assert_eq!((one.id(), one.algorithm()), (again.id(), "ES256"));
        let mut members: Vec<&String> = one.public().as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!(one.sign(b"message").unwrap().len(), 64);
        assert!(!format!("{one:?}").contains(&made.expose()[40..60]));
    }

    // proves: SC-07
    #[test]
    fn the_key_of_a_session_is_short_and_read_back_and_another_one_each_time() {
        let (one, two) = (ClientKey::for_session().unwrap(), ClientKey::for_session().unwrap());
        assert_eq!(one.expose().len(), 32 + 65);
        let read = |key: &ProofKey| ClientKey::of_session(key).unwrap();
        assert_eq!((read(&one).id(), read(&one).algorithm()), (read(&one).id(), "ES256"));
        assert_ne!(read(&one).id(), read(&two).id());
        assert_eq!(read(&one).sign(b"message").unwrap().len(), 64);
        // Whose halves do not belong together is nobody's.
        let (private, public) = (&one.expose()[..32], &two.expose()[32..]);
        for bad in [[private, public].concat(), private.to_vec(), Vec::new(), vec![0; 97]] {
            assert!(ClientKey::of_session(&Secret::new(bad)).is_none());
        }
    }

    #[test]
    fn what_is_no_key_of_ours_is_refused_without_a_byte_of_it() {
        use aws_lc_rs::rsa::KeySize;
        use aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1_SIGNING;
        let random = SystemRandom::new();
        let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &random).unwrap();
        for bad in
            [pem(p384.as_ref()), pem(b"nonsense"), Secret::from("marked-secret"), Secret::from("")]
        {
            let why = ClientKey::parse(&bad, false).unwrap_err();
            assert!(!why.contains("marked") && !why.is_empty(), "{why}");
        }
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = aws_lc_rs::encoding::AsDer::as_der(&rsa).unwrap();
        let parsed = |rs256| ClientKey::parse(&pem(der.as_ref()), rs256).unwrap().algorithm();
        assert_eq!((parsed(false), parsed(true)), ("PS256", "RS256"));
    }
}
