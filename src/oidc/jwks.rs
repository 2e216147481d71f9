//! The issuer's public keys (RFC 7517): which ones we can use, and which of them may have signed a given token.
//! Never a symmetric key, never one that is too short, never one that is published for something else (ID-05, ID-07).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::json;

/// More keys than this is no key set of a sane issuer; it is refused as a whole.
const MOST_KEYS: usize = 1000;

/// RSA moduli, bits (RFC 7518 §3.3: at least 2048).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The usable keys of one issuer.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm that the key is for, if it says so.
    algorithm: Option<String>,
    kind: Kind,
    public: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The text is not a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAKeySet;

/// The signature algorithm of this name, unless it is symmetric or unknown.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    name.parse().ok().filter(|algorithm| Kind::of(*algorithm).is_some())
}

impl KeySet {
    /// Parses a JWK set. Keys that we cannot use are skipped; they must not spoil the others.
    pub(super) fn parse(text: &[u8]) -> Result<Self, NotAKeySet> {
        let set = json::object(text).map_err(|_| NotAKeySet)?;
        match set.get("keys") {
            Some(Value::Array(keys)) if keys.len() <= MOST_KEYS => {
                Ok(Self(keys.iter().filter_map(Value::as_object).filter_map(Key::parse).collect()))
            }
            _ => Err(NotAKeySet),
        }
    }

    /// How many keys can be used.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have made a signature by `algorithm`; with a `kid` only those of that id, which may be several.
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        name: &'a str,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        self.0
            .iter()
            .filter(move |key| id.is_none() || key.id.as_deref() == id)
            .filter(move |key| Kind::of(algorithm) == Some(key.kind))
            .filter(move |key| key.algorithm.as_deref().is_none_or(|only| only == name))
            .map(|key| &key.public)
    }
}

impl Kind {
    fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Some(Self::Rsa),
            Algorithm::ES256 => Some(Self::P256),
            Algorithm::ES384 => Some(Self::P384),
            Algorithm::EdDSA => Some(Self::Ed25519),
            _ => None,
        }
    }
}

impl Key {
    fn parse(jwk: &Map<String, Value>) -> Option<Self> {
        if !is_for_signatures(jwk) {
            return None;
        }
        let (kind, public) = match (text(jwk, "kty")?, text(jwk, "crv")) {
            ("RSA", _) => (Kind::Rsa, rsa(jwk)?),
            ("EC", Some("P-256")) => (Kind::P256, curve_point(jwk, 32)?),
            ("EC", Some("P-384")) => (Kind::P384, curve_point(jwk, 48)?),
            ("OKP", Some("Ed25519")) => (Kind::Ed25519, edwards(jwk)?),
            _ => return None,
        };
        let optional = |name: &str| match jwk.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(()),
        };
        let (id, algorithm) = (optional("kid").ok()?, optional("alg").ok()?);
        Some(Self { id, algorithm, kind, public })
    }
}

/// RFC 7517 §4.2, §4.3: a key for encryption, or only for signing, verifies nothing.
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let by_use = jwk.get("use").is_none_or(|value| value == "sig");
    let by_operation = jwk.get("key_ops").is_none_or(|value| {
        value.as_array().is_some_and(|operations| operations.iter().any(|name| name == "verify"))
    });
    by_use && by_operation
}

fn rsa(jwk: &Map<String, Value>) -> Option<DecodingKey> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    RSA_BITS.contains(&bits(&n)).then(|| DecodingKey::from_rsa_raw_components(&n, &e))
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let lead = number.get(zeros).map_or(8, |byte| byte.leading_zeros() as usize);
    (number.len().saturating_sub(zeros) * 8).saturating_sub(lead)
}

fn curve_point(jwk: &Map<String, Value>, size: usize) -> Option<DecodingKey> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    let whole = x.len() == size && y.len() == size;
    // Uncompressed form of SEC 1 §2.3.3; whether the point is on the curve is found out when a signature is verified.
    whole.then(|| DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
}

fn edwards(jwk: &Map<String, Value>) -> Option<DecodingKey> {
    let x = bytes(jwk, "x")?;
    (x.len() == 32).then(|| DecodingKey::from_ed_der(&x))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name)?.as_str()
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok()
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
