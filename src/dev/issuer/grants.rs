//! What users have granted, and the codes and tokens that stand for it. In memory, bounded, ended by the clock.
//! Decides single use of codes and reuse of refresh tokens; keeps only hashes of both, never the values.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::secret::constant_time_eq;

use super::expiring::Expiring;

/// RFC 6749 section 4.1.2 allows ten minutes at most; one is plenty.
const CODE_SECONDS: u64 = 60;
/// Two weeks without a login are enough.
const GRANT_SECONDS: u64 = 14 * 24 * 3600;
const MOST_GRANTS: usize = 2_000;
const MOST_TOKENS: usize = 20_000;

/// What one user has allowed the client in one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub sub: String,
    /// Separated by spaces.
    pub scope: String,
    pub nonce: Option<String>,
    pub auth_time: Timestamp,
    /// The sign-on session.
    pub sid: String,
    /// The user has confirmed, for this login, that it is them.
    pub confirmed: bool,
}

/// What a code is bound to.
#[derive(Clone, Debug)]
pub struct CodeBinding {
    pub redirect_uri: String,
    /// S256 challenge of RFC 7636.
    pub code_challenge: String,
}

/// An approval under its id.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: String,
    pub approval: Approval,
}

#[derive(Debug)]
struct Code {
    binding: CodeBinding,
    approval: Approval,
    /// The grant that came out of it; a second use ends that grant.
    spent_for: Option<String>,
}

#[derive(Debug)]
struct RefreshToken {
    grant: String,
    superseded: bool,
}

type Hash = [u8; 32];

/// See the file's head.
#[derive(Debug)]
pub struct Grants {
    codes: Expiring<Hash, Code>,
    approvals: Expiring<String, Approval>,
    refresh_tokens: Expiring<Hash, RefreshToken>,
    /// Access tokens by `jti`, with their grant.
    access_tokens: Expiring<String, String>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            codes: Expiring::new(MOST_GRANTS),
            approvals: Expiring::new(MOST_GRANTS),
            refresh_tokens: Expiring::new(MOST_TOKENS),
            access_tokens: Expiring::new(MOST_TOKENS),
        }
    }
}

impl Grants {
    /// Remembers a code.
    pub fn add_code(
        &mut self,
        code: &str,
        binding: CodeBinding,
        approval: Approval,
        now: Timestamp,
    ) {
        let ends = Timestamp(now.0.saturating_add(CODE_SECONDS));
        // A spent code is remembered as long as an unspent one: long enough to notice a second use.
        self.codes.insert(hash(code), Code { binding, approval, spent_for: None }, ends, now);
    }

    /// Turns a code into a grant named `id`. The first attempt spends the code, whatever comes of it; a second one
    /// ends the grant (RFC 6749 section 4.1.2).
    pub fn redeem(
        &mut self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        id: String,
        now: Timestamp,
    ) -> Option<Grant> {
        let found = self.codes.get_mut(&hash(code), now)?;
        if let Some(earlier) = &found.spent_for {
            let earlier = earlier.clone();
            self.revoke(&earlier);
            return None;
        }
        found.spent_for = Some(id.clone());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let proven =
            constant_time_eq(challenge.as_bytes(), found.binding.code_challenge.as_bytes());
        if !proven || found.binding.redirect_uri != redirect_uri {
            return None;
        }
        let approval = found.approval.clone();
        let ends = Timestamp(now.0.saturating_add(GRANT_SECONDS));
        self.approvals.insert(id.clone(), approval.clone(), ends, now);
        Some(Grant { id, approval })
    }

    /// Remembers a refresh token of `grant`; it ends with the grant.
    pub fn add_refresh_token(&mut self, token: &str, grant: &str, now: Timestamp) {
        if let Some((_, ends)) = self.approvals.get(grant, now) {
            let entry = RefreshToken { grant: grant.to_owned(), superseded: false };
            self.refresh_tokens.insert(hash(token), entry, ends, now);
        }
    }

    /// The grant of a refresh token. With `rotate` the token is superseded by this; a superseded token that comes
    /// again means that two parties hold it, and ends the grant (RFC 9700 section 4.14.2).
    pub fn use_refresh_token(
        &mut self,
        token: &str,
        rotate: bool,
        now: Timestamp,
    ) -> Option<Grant> {
        let entry = self.refresh_tokens.get_mut(&hash(token), now)?;
        let id = entry.grant.clone();
        if entry.superseded {
            self.revoke(&id);
            return None;
        }
        entry.superseded = rotate;
        let (approval, _) = self.approvals.get(&id, now)?;
        Some(Grant { approval: approval.clone(), id })
    }

    /// The grant of a refresh token that could be used now, when the grant ends; changes nothing.
    pub fn look_up_refresh_token(&self, token: &str, now: Timestamp) -> Option<(Grant, Timestamp)> {
        let (entry, ends) = self.refresh_tokens.get(&hash(token), now)?;
        let (approval, _) = self.approvals.get(&entry.grant, now).filter(|_| !entry.superseded)?;
        Some((Grant { id: entry.grant.clone(), approval: approval.clone() }, ends))
    }

    /// Remembers an access token, so that it can be revoked.
    pub fn add_access_token(&mut self, jti: &str, grant: &str, ends: Timestamp, now: Timestamp) {
        self.access_tokens.insert(jti.to_owned(), grant.to_owned(), ends, now);
    }

    /// Whether an access token was issued here and neither it nor its grant has been revoked.
    pub fn is_live(&self, jti: &str, now: Timestamp) -> bool {
        let grant = self.access_tokens.get(jti, now);
        grant.is_some_and(|(grant, _)| self.approvals.get(grant, now).is_some())
    }

    /// Ends one access token.
    pub fn revoke_access_token(&mut self, jti: &str) {
        self.access_tokens.remove(jti);
    }

    /// Ends the grant of a refresh token, superseded or not, and everything that came of it (RFC 7009 section 2.1).
    pub fn revoke_refresh_token(&mut self, token: &str, now: Timestamp) {
        if let Some(grant) =
            self.refresh_tokens.get(&hash(token), now).map(|(entry, _)| entry.grant.clone())
        {
            self.revoke(&grant);
        }
    }

    fn revoke(&mut self, grant: &str) {
        // Its tokens point at nothing from now on.
        self.approvals.remove(grant);
    }
}

fn hash(value: &str) -> Hash {
    Sha256::digest(value.as_bytes()).into()
}
