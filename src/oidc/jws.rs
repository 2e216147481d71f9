//! A compact JWS (RFC 7515 §7.1): its header is judged first, its claims can be read only after its signature was verified.
//! Never believes a key, a URL or a choice of algorithm that travels inside the token (ID-05, ID-06; RFC 8725 §3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::error::IdTokenFault;
use super::json;
use super::jwks::{self, KeySet};

/// Keys tried for one token: an issuer with many keys and no `kid` must not make one login expensive.
const MOST_TRIES: usize = 16;

/// Longest token that is looked at, bytes.
const LONGEST: usize = 64 * 1024;

/// What a token calls itself (`typ`), so that one of another kind never passes for it (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An ID token or a userinfo answer: `JWT`, or nothing.
    Plain,
    /// `logout+jwt`, always.
    Logout,
    /// The same, and for servers that do not say so also what a plain one says.
    MaybeLogout,
    /// An access token (RFC 9068 §2.1), or what calls itself a JWT and no more.
    Access,
    /// The answer to an introspection (RFC 9701 §5).
    Introspection,
    /// An authorization response (JARM), which has no name of its own in the standard.
    Response,
}

/// A token whose header is acceptable and whose signature is not yet verified.
pub(super) struct Unverified<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    pub(super) algorithm: Algorithm,
    algorithm_name: String,
    key_id: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart that must be of this kind; `allowed` are the agreed algorithms, whatever the token says.
    pub(super) fn parse(
        token: &'a str,
        kind: Kind,
        allowed: &[Algorithm],
    ) -> Result<Self, IdTokenFault> {
        if token.len() > LONGEST {
            return Err(IdTokenFault::Malformed);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(IdTokenFault::Malformed);
        };
        let (signed, _) = token.rsplit_once('.').ok_or(IdTokenFault::Malformed)?;
        let header = object(header)?;
        let name = header.get("alg").and_then(Value::as_str).ok_or(IdTokenFault::Algorithm)?;
        let algorithm = jwks::algorithm(name)
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or(IdTokenFault::Algorithm)?;
        // RFC 7515 §4.1.11: an extension that must be understood is not. RFC 7797: b64 changes what is signed.
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(IdTokenFault::Critical);
        }
        if !kind.is(&header) {
            return Err(IdTokenFault::Kind);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(IdTokenFault::Malformed),
        };
        let algorithm_name = name.to_owned();
        Ok(Self { signed, payload, signature, algorithm, algorithm_name, key_id })
    }

    /// What a token says, whoever made it: fit for deciding whether it is worth a look at its signature, and for nothing else.
    pub(super) fn payload_of(token: &str) -> Result<Map<String, Value>, IdTokenFault> {
        let mut parts = token.split('.');
        match (token.len() <= LONGEST, parts.next(), parts.next()) {
            (true, Some(_), Some(payload)) => object(payload),
            _ => Err(IdTokenFault::Malformed),
        }
    }

    /// The claims, if a key of the issuer made the signature.
    ///
    /// # Errors
    /// `Key` when no key fits, `Signature` when none of those that fit made it: both may mean that the keys have rotated.
    pub(super) fn claims(&self, keys: &KeySet) -> Result<Map<String, Value>, IdTokenFault> {
        let mut fault = IdTokenFault::Key;
        let candidates =
            keys.candidates(self.algorithm, &self.algorithm_name, self.key_id.as_deref());
        for key in candidates.take(MOST_TRIES) {
            let signed = self.signed.as_bytes();
            let verified =
                jsonwebtoken::crypto::verify(self.signature, signed, key, self.algorithm);
            if matches!(verified, Ok(true)) {
                return object(self.payload);
            }
            fault = IdTokenFault::Signature;
        }
        Err(fault)
    }
}

impl Kind {
    /// RFC 8725 §3.11: access tokens, logout tokens, JARM and introspection answers name their own type.
    fn is(self, header: &Map<String, Value>) -> bool {
        let name = match header.get("typ") {
            None => "jwt".to_owned(),
            Some(Value::String(name)) => name.to_ascii_lowercase(),
            Some(_) => return false,
        };
        // RFC 7515 §4.1.9: a media type, the prefix may be left out.
        let name = name.strip_prefix("application/").unwrap_or(&name);
        match self {
            Self::Plain => name == "jwt",
            Self::Logout => name == "logout+jwt",
            Self::MaybeLogout => matches!(name, "jwt" | "logout+jwt"),
            Self::Access => matches!(name, "jwt" | "at+jwt"),
            Self::Introspection => name == "token-introspection+jwt",
            Self::Response => matches!(name, "jwt" | "oauth-authz-resp+jwt"),
        }
    }
}

fn object(part: &str) -> Result<Map<String, Value>, IdTokenFault> {
    let text = URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenFault::Malformed)?;
    json::object(&text).map_err(|_| IdTokenFault::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(token: &str) -> Result<(), IdTokenFault> {
        Unverified::parse(token, Kind::Plain, &[Algorithm::RS256]).map(drop)
    }

    // proves: ID-05, ID-16
    #[test]
    fn a_header_is_judged_before_any_key_is_looked_at() {
        for (header, expected) in [
            (r#"{"alg":"RS256"}"#, Ok(())),
            (r#"{"alg":"RS256","typ":"jwt","kid":"k","jwk":{},"jku":"x"}"#, Ok(())),
            (r#"{"alg":"ES256"}"#, Err(IdTokenFault::Algorithm)),
            (r#"{"alg":"none"}"#, Err(IdTokenFault::Algorithm)),
            (r#"{"alg":"RS256","crit":["b64"],"b64":true}"#, Err(IdTokenFault::Critical)),
            (r#"{"alg":"RS256","typ":"at+jwt"}"#, Err(IdTokenFault::Kind)),
            (r#"{"alg":"RS256","alg":"none"}"#, Err(IdTokenFault::Malformed)),
            (r#"["RS256"]"#, Err(IdTokenFault::Malformed)),
        ] {
            let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(parse(&token), expected, "{header}");
        }
    }

    // proves: CB-13, ID-16, LO-11
    #[test]
    fn a_token_is_taken_for_what_it_calls_itself() {
        for (typ, expected) in [
            (r#","typ":"logout+jwt""#, [false, true, true, false]),
            (r#","typ":"application/Logout+JWT""#, [false, true, true, false]),
            (r#","typ":"JWT""#, [true, false, true, true]),
            ("", [true, false, true, true]),
            (r#","typ":"at+jwt""#, [false; 4]),
            (r#","typ":"token-introspection+jwt""#, [false; 4]),
            (r#","typ":"oauth-authz-resp+jwt""#, [false, false, false, true]),
            (r#","typ":"secevent+jwt""#, [false; 4]),
            (r#","typ":["logout+jwt"]"#, [false; 4]),
            (r#","typ":"""#, [false; 4]),
        ] {
            let header = format!(r#"{{"alg":"RS256"{typ}}}"#);
            let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(&header));
            let verdicts = [Kind::Plain, Kind::Logout, Kind::MaybeLogout, Kind::Response]
                .map(|kind| Unverified::parse(&token, kind, &[Algorithm::RS256]).is_ok());
            assert_eq!(verdicts, expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_not_without_panic(text in "\\PC*", header: Vec<u8>) {
            let _ = parse(&text);
            let _ = parse(&format!("{}.{text}.{text}", URL_SAFE_NO_PAD.encode(header)));
        }

        // proves: ID-05
        #[test]
        fn no_set_without_keys_verifies_anything(payload in "[A-Za-z0-9_-]{0,20}", signature in "[A-Za-z0-9_-]{0,40}") {
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
            let token = format!("{header}.{payload}.{signature}");
            let token = Unverified::parse(&token, Kind::Plain, &[Algorithm::RS256]).unwrap();
            prop_assert_eq!(token.claims(&KeySet::default()), Err(IdTokenFault::Key));
        }
    }
}
