//! The logout token of a back-channel logout (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6), after its signature was
//! verified. One rule per line; an ID token, or any other JWT of the issuer, never passes for one.

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::IdTokenFault;
use super::id_token::{Rules, date, is_subject};
use crate::clock::Timestamp;

/// The member of `events` that makes a JWT a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The oldest acceptable `iat`, whatever `exp` says: it bounds how long ids of used tokens must be remembered.
const OLDEST: Duration = Duration::from_secs(600);

/// Whom the authorization server has logged out: a session of its own, or a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    pub iss: String,
    /// At least one of `sub` and `sid` is there.
    pub sub: Option<String>,
    pub sid: Option<String>,
    /// Unguessable or not, it comes once.
    pub jti: String,
    /// Sessions that began up to now, and up to this time, are meant: when it was made, and the clock skew.
    pub meant_until: Timestamp,
    /// From this time on the token is not acceptable any more.
    pub ends: Timestamp,
}

impl Rules<'_> {
    /// The rules of a logout token; `without_exp` takes one that does not say when it ends.
    pub(super) fn check_logout(
        &self,
        all: &Map<String, Value>,
        without_exp: bool,
    ) -> Result<LogoutToken, IdTokenFault> {
        let text = |name: &str| all.get(name).and_then(Value::as_str);
        let iss = text("iss").filter(|iss| self.issuer.is(iss, text("tid")));
        let iss = iss.ok_or(IdTokenFault::Issuer)?;
        self.check_audience(all)?;
        let event = all.get("events").and_then(|events| events.as_object()?.get(EVENT));
        event.filter(|event| event.is_object()).ok_or(IdTokenFault::Events)?;
        // §2.4: what has a nonce could be an ID token that somebody passes off as this.
        if all.contains_key("nonce") {
            return Err(IdTokenFault::Nonce);
        }
        let (iat, ends) = self.check_logout_times(all, without_exp)?;
        let jti = text("jti").filter(|jti| !jti.is_empty()).ok_or(IdTokenFault::TokenId)?;
        let sub = optional(all, "sub", is_subject, IdTokenFault::Subject)?;
        let sid = optional(all, "sid", |sid| !sid.is_empty(), IdTokenFault::Session)?;
        if sub.is_none() && sid.is_none() {
            return Err(IdTokenFault::Session);
        }
        Ok(LogoutToken {
            iss: iss.to_owned(),
            sub,
            sid,
            jti: jti.to_owned(),
            meant_until: iat.plus(self.skew),
            ends,
        })
    }

    /// `iat`, and the end of the token.
    fn check_logout_times(
        &self,
        all: &Map<String, Value>,
        without_exp: bool,
    ) -> Result<(Timestamp, Timestamp), IdTokenFault> {
        let (now, skew) = (self.now, self.skew);
        let iat = all.get("iat").and_then(date).ok_or(IdTokenFault::IssuedAt)?;
        let oldest_ends = iat.plus(OLDEST).plus(skew);
        if iat > now.plus(skew) || oldest_ends <= now {
            return Err(IdTokenFault::IssuedAt);
        }
        let exp = match all.get("exp") {
            None if without_exp => oldest_ends,
            exp => exp.and_then(date).ok_or(IdTokenFault::Expiry)?.plus(skew),
        };
        if exp <= now {
            return Err(IdTokenFault::Expiry);
        }
        match all.get("nbf") {
            Some(nbf) if date(nbf).is_none_or(|nbf| nbf > now.plus(skew)) => {
                Err(IdTokenFault::NotBefore)
            }
            _ => Ok((iat, exp.min(oldest_ends))),
        }
    }
}

/// A claim that may be absent, but not odd.
fn optional(
    all: &Map<String, Value>,
    name: &str,
    fits: impl Fn(&str) -> bool,
    fault: IdTokenFault,
) -> Result<Option<String>, IdTokenFault> {
    match all.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if fits(text) => Ok(Some(text.clone())),
        Some(_) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::issuer::Issuer;
    use super::*;

    fn check(
        change: impl FnOnce(&mut Value),
        without_exp: bool,
    ) -> Result<LogoutToken, IdTokenFault> {
        let mut claims = json!({
            "iss": "https://op.example.com", "aud": "web", "iat": 1_000, "exp": 1_120, "jti": "j",
            "sub": "alice", "sid": "s1", "events": { EVENT: {} },
        });
        change(&mut claims);
        let issuer = Issuer::new("https://op.example.com", None, &[]).unwrap();
        let rules = Rules {
            issuer: &issuer,
            client_id: "web",
            trusted_audiences: &[],
            skew: Duration::from_secs(30),
            max_age: None,
            now: Timestamp(1_010),
        };
        rules.check_logout(claims.as_object().unwrap(), without_exp)
    }

    fn without(name: &str) -> impl FnOnce(&mut Value) {
        move |claims| drop(claims.as_object_mut().unwrap().remove(name))
    }

    // proves: LO-10
    #[test]
    fn a_logout_token_says_whom_it_means_and_until_when() {
        let token = check(|_| {}, false).unwrap();
        assert_eq!((token.sub.as_deref(), token.sid.as_deref()), (Some("alice"), Some("s1")));
        assert_eq!((token.meant_until, token.ends), (Timestamp(1_030), Timestamp(1_150)));
        assert_eq!(check(without("sub"), false).unwrap().sub, None);
        assert_eq!(check(without("sid"), false).unwrap().sid, None);
        assert_eq!(check(without("exp"), true).unwrap().ends, Timestamp(1_630));
        assert!(
            check(|claims| claims["exp"] = json!(9_999_999), false).unwrap().ends
                == Timestamp(1_630)
        );
    }

    // proves: LO-10
    #[rstest]
    #[case::other_issuer("iss", json!("https://op.example.com/"), IdTokenFault::Issuer)]
    #[case::other_audience("aud", json!("other"), IdTokenFault::Audience)]
    #[case::one_more_audience("aud", json!(["web", "other"]), IdTokenFault::Audience)]
    #[case::from_the_future("iat", json!(1_041), IdTokenFault::IssuedAt)]
    #[case::too_old("iat", json!(379), IdTokenFault::IssuedAt)]
    #[case::iat_is_text("iat", json!("1000"), IdTokenFault::IssuedAt)]
    #[case::expired("exp", json!(980), IdTokenFault::Expiry)]
    #[case::exp_is_text("exp", json!("1120"), IdTokenFault::Expiry)]
    #[case::not_yet("nbf", json!(1_041), IdTokenFault::NotBefore)]
    #[case::nonce("nonce", json!("n"), IdTokenFault::Nonce)]
    #[case::null_nonce("nonce", json!(null), IdTokenFault::Nonce)]
    #[case::events_is_text("events", json!(EVENT), IdTokenFault::Events)]
    #[case::events_is_a_list("events", json!([EVENT]), IdTokenFault::Events)]
    #[case::another_event("events", json!({ "https://x/event": {} }), IdTokenFault::Events)]
    #[case::event_is_text("events", json!({ EVENT: "" }), IdTokenFault::Events)]
    #[case::empty_sub("sub", json!(""), IdTokenFault::Subject)]
    #[case::odd_sub("sub", json!(["alice"]), IdTokenFault::Subject)]
    #[case::odd_sid("sid", json!(7), IdTokenFault::Session)]
    #[case::empty_sid("sid", json!(""), IdTokenFault::Session)]
    #[case::no_jti("jti", json!(""), IdTokenFault::TokenId)]
    fn a_claim_that_is_not_as_it_must_be_is_refused(
        #[case] name: &str,
        #[case] value: Value,
        #[case] fault: IdTokenFault,
    ) {
        assert_eq!(check(|claims| claims[name] = value, true), Err(fault));
    }

    // proves: LO-10
    #[rstest]
    #[case("iss", IdTokenFault::Issuer)]
    #[case("aud", IdTokenFault::Audience)]
    #[case("iat", IdTokenFault::IssuedAt)]
    #[case("exp", IdTokenFault::Expiry)]
    #[case("jti", IdTokenFault::TokenId)]
    #[case("events", IdTokenFault::Events)]
    fn a_claim_that_is_missing_is_refused(#[case] name: &str, #[case] fault: IdTokenFault) {
        assert_eq!(check(without(name), false), Err(fault));
    }

    // proves: LO-10
    #[test]
    fn somebody_must_be_meant() {
        let nobody = |claims: &mut Value| {
            let claims = claims.as_object_mut().unwrap();
            claims.retain(|name, _| name != "sub" && name != "sid");
        };
        assert_eq!(check(nobody, false), Err(IdTokenFault::Session));
    }
}
