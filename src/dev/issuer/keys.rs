//! The signing key of the embedded authorization server: per machine (a file, mode 0600) or per run; never compiled in.
//! Signs ES256 only and verifies nothing but ES256 under this one key.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::secret::{Random, Secret};

/// Permission bits that a private key must not have.
const GROUP_AND_OTHERS: u32 = 0o077;

/// An ES256 key pair and its public face.
pub struct SigningKey {
    private: EncodingKey,
    public: DecodingKey,
    jwk: Jwk,
    /// RFC 7638 thumbprint, so that the same file gives the same id in every process.
    kid: String,
}

impl SigningKey {
    /// A key for this run only.
    pub fn generate() -> anyhow::Result<Self> {
        Self::from_pkcs8(&new_pkcs8()?)
    }

    /// The machine's key in `file`, made when there is none. Two processes that start together get the same key.
    ///
    /// # Errors
    /// Unreadable, not a key, or open to other users of the machine.
    pub fn load_or_create(file: &Path, random: &Random) -> anyhow::Result<Self> {
        if !file.exists() {
            let pkcs8 = new_pkcs8()?;
            let draft = draft_beside(file, random);
            write_private(&draft, pkcs8.expose())?;
            // A link appears whole or not at all and never replaces a key that another process has made meanwhile.
            let linked = fs::hard_link(&draft, file);
            fs::remove_file(&draft)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("cannot make {}", file.display()));
                }
                _ => {}
            }
        }
        let mode = fs::metadata(file)
            .with_context(|| format!("cannot read the signing key {}", file.display()))?
            .permissions()
            .mode();
        ensure!(
            mode & GROUP_AND_OTHERS == 0,
            "the signing key {} is open to other users of this machine; delete it, a new one is made",
            file.display()
        );
        let pkcs8 = Secret::new(fs::read(file)?);
        Self::from_pkcs8(&pkcs8)
            .with_context(|| format!("{} holds no P-256 key in PKCS#8; delete it", file.display()))
    }

    fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> anyhow::Result<Self> {
        let private = EncodingKey::from_ec_der(pkcs8.expose());
        let mut jwk = Jwk::from_encoding_key(&private, Algorithm::ES256)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_algorithm = Some(KeyAlgorithm::ES256);
        let public = DecodingKey::from_jwk(&jwk)?;
        Ok(Self { private, public, jwk, kid })
    }

    /// The JWK set document: public members only.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }

    /// Signs `claims` as a JWT of type `typ`.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> anyhow::Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.clone());
        Ok(encode(&header, claims, &self.private)?)
    }

    /// A token that says "refuse me unless you understand `b64`".
    #[cfg(test)]
    pub fn sign_with_critical(&self, typ: &str, claims: &impl Serialize) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.crit = Some(vec!["b64".to_owned()]);
        encode(&header, claims, &self.private).unwrap_or_default()
    }

    /// The claims of a JWT that this key signed as type `typ`; issuer, audience and times are the caller's to check.
    pub fn verify(&self, token: &str, typ: &str) -> Option<Map<String, Value>> {
        let mut rules = Validation::new(Algorithm::ES256);
        // Times are compared with our clock, not with the library's.
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let data = decode::<Map<String, Value>>(token, &self.public, &rules).ok()?;
        let of_type = data.header.typ.is_some_and(|found| found.eq_ignore_ascii_case(typ));
        // RFC 7515 4.1.11: an extension that is critical and not understood means refusal.
        (of_type && data.header.crit.is_none()).then_some(data.claims)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Notes beside the key which issuer uses it, so that minted tokens can name it.
pub fn record_issuer(key_file: &Path, issuer: &str, random: &Random) -> anyhow::Result<()> {
    let draft = draft_beside(key_file, random);
    write_private(&draft, issuer.as_bytes())?;
    let record = issuer_record(key_file);
    fs::rename(&draft, &record).with_context(|| format!("cannot write {}", record.display()))
}

/// The issuer that used the key last.
pub fn recorded_issuer(key_file: &Path) -> Option<String> {
    fs::read_to_string(issuer_record(key_file)).ok().filter(|issuer| !issuer.is_empty())
}

fn issuer_record(key_file: &Path) -> PathBuf {
    key_file.with_extension("issuer")
}

fn draft_beside(file: &Path, random: &Random) -> PathBuf {
    file.with_extension(format!("{}.tmp", random.token::<9>()))
}

fn write_private(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut open| open.write_all(bytes))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The library takes its randomness from the operating system, as [`Random`] does.
fn new_pkcs8() -> anyhow::Result<Secret<Vec<u8>>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    Ok(Secret::new(pair.to_pkcs8v1()?.as_ref().to_vec()))
}
