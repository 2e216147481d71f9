//! A question to the token endpoint: with the client's credential, and a proof of the key where tokens are bound to one. Asks a second
//! time only when the server wants its nonce in the proof and has looked at nothing else (RFC 9449 §8).

use std::time::SystemTime;

use url::Url;

use super::error::OidcError;
use super::http::Answer;
use super::metadata::Metadata;
use super::token_request::{Client, Form};
use super::{Dpop, ProofTarget, Provider, json};
use crate::clock::Timestamp;
use crate::secret::Secret;

impl Provider {
    /// What tokens must be called (RFC 6749 §7.1).
    pub(super) fn token_type(&self) -> &'static str {
        if self.dpop.is_some() { "DPoP" } else { "Bearer" }
    }

    /// The answer of the token endpoint to `form`, which is made anew for each try, and when it was asked.
    pub(super) async fn ask_token(
        &self,
        metadata: &Metadata,
        form: impl Fn(Client<'_>) -> Form,
    ) -> Result<(Answer, Timestamp), OidcError> {
        let asked = self.ask_token_once(metadata, &form).await?;
        let has_learned =
            self.dpop.as_ref().is_some_and(|dpop| learn(dpop, &metadata.token, &asked.0));
        if has_learned && wants_nonce(&asked.0) {
            let asked = self.ask_token_once(metadata, &form).await?;
            if let Some(dpop) = &self.dpop {
                learn(dpop, &metadata.token, &asked.0);
            }
            return Ok(asked);
        }
        Ok(asked)
    }

    async fn ask_token_once(
        &self,
        metadata: &Metadata,
        form: impl Fn(Client<'_>) -> Form,
    ) -> Result<(Answer, Timestamp), OidcError> {
        let proof = self.proof(metadata);
        let form = form(self.client(proof.as_ref()));
        let dpop = self.dpop.as_ref().map(|dpop| at_endpoint(dpop, "POST", &metadata.token, None));
        let dpop = dpop.transpose()?;
        let asked_at = self.clock.now();
        let answer = self.http.post_form_with(&metadata.token, &form, dpop.as_deref()).await;
        Ok((answer.map_err(|_| OidcError::TokenUnavailable)?, asked_at))
    }
}

impl Provider {
    /// The answer of the userinfo endpoint for a token.
    pub(super) async fn ask_userinfo(
        &self,
        endpoint: &Url,
        token: &Secret<String>,
    ) -> Result<Answer, OidcError> {
        let answer = self.ask_userinfo_once(endpoint, token).await?;
        let has_learned = self.dpop.as_ref().is_some_and(|dpop| learn(dpop, endpoint, &answer));
        if has_learned && answer.status == 401 {
            return self.ask_userinfo_once(endpoint, token).await;
        }
        Ok(answer)
    }

    async fn ask_userinfo_once(
        &self,
        endpoint: &Url,
        token: &Secret<String>,
    ) -> Result<Answer, OidcError> {
        let proof = self.dpop.as_ref().map(|dpop| at_endpoint(dpop, "GET", endpoint, Some(token)));
        let proof = proof.transpose()?;
        let signed = self.config.userinfo_signed;
        let accept = if signed { "application/jwt" } else { "application/json, application/jwt" };
        let wanted = (endpoint, accept);
        let answer = self.http.get_with_token(wanted, token, proof.as_deref()).await;
        answer.map_err(|_| OidcError::UserinfoUnavailable)
    }
}

/// A proof for an endpoint of the authorization server.
fn at_endpoint(
    dpop: &Dpop,
    method: &str,
    endpoint: &Url,
    token: Option<&Secret<String>>,
) -> Result<String, OidcError> {
    let origin = endpoint.origin().ascii_serialization();
    let target = ProofTarget { method, origin: &origin, path: endpoint.path(), token };
    dpop.proof(target).ok_or(OidcError::TokenUnavailable)
}

/// Remembers what an answer of this endpoint says of nonce and time. Whether its nonce is another one than before.
fn learn(dpop: &Dpop, endpoint: &Url, answer: &Answer) -> bool {
    let theirs = answer.date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
    if let Some(theirs) = theirs {
        dpop.heard_time(Timestamp(theirs.as_secs()));
    }
    let origin = endpoint.origin().ascii_serialization();
    dpop.learn(&origin, answer.nonces.iter().map(Vec::as_slice))
}

/// RFC 9449 §8: nothing was looked at but the proof.
fn wants_nonce(answer: &Answer) -> bool {
    let is_refusal = matches!(answer.status, 400 | 401) && answer.is("application/json");
    let members = if is_refusal { json::object(&answer.body).ok() } else { None };
    members
        .is_some_and(|members| members.get("error").is_some_and(|error| error == "use_dpop_nonce"))
}
