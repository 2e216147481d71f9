//! The server's keys, generated once per test process, and the signatures they make, honest or not.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PSS_SHA256, RSA_PSS_SHA512, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key pair.
#[derive(Clone)]
pub struct SigningKey(Arc<Pair>);

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Two RSA keys (the second belongs to an attacker, or to the time after a rotation), two P-256 keys, one Ed25519 key.
pub struct SigningKeys {
    pub rsa: SigningKey,
    pub other_rsa: SigningKey,
    pub ec: SigningKey,
    pub other_ec: SigningKey,
    pub ed: SigningKey,
}

static SHARED: LazyLock<SigningKeys> = LazyLock::new(|| SigningKeys {
    rsa: SigningKey::rsa(),
    other_rsa: SigningKey::rsa(),
    ec: SigningKey::ec(),
    other_ec: SigningKey::ec(),
    ed: SigningKey(Arc::new(Pair::Ed25519(Ed25519KeyPair::generate().unwrap()))),
});

impl SigningKeys {
    /// Generating RSA keys takes a while: the process shares one set.
    pub fn shared() -> &'static Self {
        &SHARED
    }
}

impl SigningKey {
    fn rsa() -> Self {
        Self(Arc::new(Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())))
    }

    fn ec() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self(Arc::new(Pair::P256(pair)))
    }

    /// The public JWK, with these members besides.
    pub fn jwk(&self, key_id: Option<&str>, more: &Value) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &*self.0 {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": text(public.modulus().big_endian_without_leading_zero()),
                    "e": text(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
        };
        if let Some(id) = key_id {
            jwk["kid"] = json!(id);
        }
        for (name, value) in more.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    }

    /// The public key as SubjectPublicKeyInfo; RSA only.
    pub fn public_der(&self) -> Vec<u8> {
        match &*self.0 {
            Pair::Rsa(pair) => {
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap().as_ref().to_vec()
            }
            _ => panic!("only RSA keys are forged with"),
        }
    }

    /// A compact JWS; `algorithm` chooses how an RSA key signs.
    pub fn sign(&self, header: &Value, claims: &Value, algorithm: &str) -> String {
        let part = |value: String| URL_SAFE_NO_PAD.encode(value);
        let signed = format!("{}.{}", part(header.to_string()), part(claims.to_string()));
        let signature = self.signature(signed.as_bytes(), algorithm);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn signature(&self, message: &[u8], algorithm: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.0 {
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                let padding = match algorithm {
                    "PS256" => &RSA_PSS_SHA256,
                    "PS512" => &RSA_PSS_SHA512,
                    "RS384" => &RSA_PKCS1_SHA384,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(padding, &random, message, &mut out).unwrap();
                out
            }
            Pair::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}
