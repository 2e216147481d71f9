//! Questions to the endpoints that give out tokens or take them, token endpoint and userinfo: with a proof of the key where tokens are bound
//! to one. Asks a second time only when the server wants its nonce in the proof and has looked at nothing else (RFC 9449 §8, §9).

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
    /// The answer of the token endpoint to `form`, which is made anew for each try, and when it was asked.
    pub(super) async fn ask_token(
        &self,
        metadata: &Metadata,
        form: impl Fn(Client<'_>) -> Form,
        dpop: Option<&Dpop>,
    ) -> Result<(Answer, Timestamp), OidcError> {
        let asked = self.ask_token_once(metadata, &form, dpop).await?;
        if heard_nonce(dpop, &metadata.token, &asked.0) && wants_nonce(&asked.0) {
            let again = self.ask_token_once(metadata, &form, dpop).await?;
            heard_nonce(dpop, &metadata.token, &again.0);
            return Ok(again);
        }
        Ok(asked)
    }

    async fn ask_token_once(
        &self,
        metadata: &Metadata,
        form: impl Fn(Client<'_>) -> Form,
        dpop: Option<&Dpop>,
    ) -> Result<(Answer, Timestamp), OidcError> {
        let assertion = self.proof(metadata)?;
        let form = form(self.client(assertion.as_ref()));
        let proof = key_proof(dpop, "POST", &metadata.token, None)?;
        let (wanted, asked_at) = ((&metadata.token, "application/json"), self.clock.now());
        let answer = self.http.post(wanted, &form, proof.as_deref()).await;
        Ok((answer.map_err(|_| OidcError::TokenUnavailable)?, asked_at))
    }

    /// The answer of the userinfo endpoint for a token.
    pub(super) async fn ask_userinfo(
        &self,
        endpoint: &Url,
        token: &Secret<String>,
        dpop: Option<&Dpop>,
    ) -> Result<Answer, OidcError> {
        let answer = self.ask_userinfo_once(endpoint, token, dpop).await?;
        if heard_nonce(dpop, endpoint, &answer) && answer.status == 401 {
            return self.ask_userinfo_once(endpoint, token, dpop).await;
        }
        Ok(answer)
    }

    async fn ask_userinfo_once(
        &self,
        endpoint: &Url,
        token: &Secret<String>,
        dpop: Option<&Dpop>,
    ) -> Result<Answer, OidcError> {
        let proof = key_proof(dpop, "GET", endpoint, Some(token))?;
        let signed = self.config.userinfo_signed;
        let accept = if signed { "application/jwt" } else { "application/json, application/jwt" };
        let answer = self.http.get_with_token((endpoint, accept), token, proof.as_deref()).await;
        answer.map_err(|_| OidcError::UserinfoUnavailable)
    }
}

/// A proof for an endpoint of the authorization server, where tokens are bound to a key.
fn key_proof(
    dpop: Option<&Dpop>,
    method: &str,
    endpoint: &Url,
    token: Option<&Secret<String>>,
) -> Result<Option<String>, OidcError> {
    let Some(dpop) = dpop else { return Ok(None) };
    let origin = endpoint.origin().ascii_serialization();
    let target = ProofTarget { method, origin: &origin, path: endpoint.path(), token };
    dpop.proof(target).map(Some)
}

/// Remembers what an answer of this endpoint says of nonce and time. Whether it names a nonce.
fn heard_nonce(dpop: Option<&Dpop>, endpoint: &Url, answer: &Answer) -> bool {
    let Some(dpop) = dpop else { return false };
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
