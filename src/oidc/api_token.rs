//! Access tokens for one API: exchanged for that of a login (RFC 8693), ours (client credentials, RFC 6749 §4.4), or what an
//! opaque one stands for (introspection). Never sends a refresh token as a subject, and never takes a token of another type.

use serde_json::Value;

use super::checked::is_verdict;
use super::error::OidcError;
use super::http::Answer;
use super::introspection::{self, Active, Answered};
use super::jws::{Kind, Unverified};
use super::key_cache::Asker;
use super::metadata::Metadata;
use super::token_request::{self, Client};
use super::{Dpop, Provider, json, token_response};
use crate::clock::Timestamp;
use crate::config::{IntrospectionForm, TokenTarget};
use crate::secret::Secret;

/// What a call to an API goes out with.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// `None`: the login's own.
    pub token: Option<Secret<String>>,
    /// What it was granted, if the server says it; separated by spaces.
    pub scope: Option<String>,
    /// By our clock; `None` when the server does not say.
    pub ends: Option<Timestamp>,
}

impl Provider {
    /// A token for the API of `target` in the name of the user whose access token `subject` is (RFC 8693 §2), bound to what that is.
    ///
    /// # Errors
    /// `InvalidGrant` when the server does not take the subject any more.
    pub async fn exchange_for(
        &self,
        subject: &Secret<String>,
        target: &TokenTarget,
        dpop: Option<&Dpop>,
    ) -> Result<ApiToken, OidcError> {
        let metadata = self.metadata().await?;
        let form = |client: Client<'_>| token_request::exchange(client, subject, target);
        let (answer, asked_at) = self.ask_token(&metadata, form, dpop).await?;
        let token = self.token_of(&answer, asked_at)?;
        check_issued_type(&answer)?;
        Ok(token)
    }

    /// A token for the API of `target` in our own name.
    ///
    /// # Errors
    /// The server is unavailable, or does not give one.
    pub async fn client_token(&self, target: &TokenTarget) -> Result<ApiToken, OidcError> {
        let metadata = self.metadata().await?;
        let form = |client: Client<'_>| token_request::client_credentials(client, target);
        let (answer, asked_at) = self.ask_token(&metadata, form, self.dpop()).await?;
        self.token_of(&answer, asked_at)
    }

    /// What the server says of an access token, in the configured form; `None` when it is not active (any more).
    ///
    /// # Errors
    /// The server is unavailable, or its answer is not acceptable.
    pub async fn introspect(
        &self,
        token: &Secret<String>,
        dpop: Option<&Dpop>,
    ) -> Result<Option<ApiToken>, OidcError> {
        let metadata = self.metadata().await?;
        let endpoint = metadata.introspection.as_ref().ok_or(OidcError::IntrospectionMissing)?;
        let proof = self.proof(&metadata)?;
        let form = token_request::introspection(self.client(proof.as_ref()), token);
        let wanted = self.config.introspection;
        let accept = introspection::accept(wanted);
        let answer = self.http.post((endpoint, accept), &form, None).await;
        let answer = answer.map_err(|_| OidcError::IntrospectionUnavailable)?;
        let (active, token) = match introspection::parse(&answer, wanted)? {
            Answered::Inactive => return Ok(None),
            Answered::Plain(members) => (self.rules().check_introspected(&members)?, None),
            Answered::Jwt(jwt) => self.introspected(&metadata, wanted, (jwt, dpop)).await?,
        };
        Ok(active.map(|Active { scope, ends }| ApiToken { token, scope, ends }))
    }

    /// What a JWT of the agreed kind says, and the JWT if it is a token.
    async fn introspected(
        &self,
        metadata: &Metadata,
        wanted: IntrospectionForm,
        (jwt, dpop): (String, Option<&Dpop>),
    ) -> Result<(Option<Active>, Option<Secret<String>>), OidcError> {
        let is_token = wanted == IntrospectionForm::Jwt;
        let kind = if is_token { Kind::Access } else { Kind::Introspection };
        let parsed = Unverified::parse(&jwt, kind, &self.algorithms);
        let parsed = parsed.map_err(|_| OidcError::IntrospectionInvalid)?;
        let claims = self.keys.verify(&parsed, Asker::Us, &self.http, &metadata.jwks).await;
        let claims = claims.map_err(|error| {
            if is_verdict(error) { OidcError::IntrospectionInvalid } else { error }
        })?;
        if is_token {
            let active = self.rules().check_access_token(&claims)?;
            if !self.is_bound_as_ours(&claims, dpop) {
                return Err(OidcError::IntrospectionInvalid);
            }
            Ok((active, Some(Secret::new(jwt))))
        } else {
            Ok((self.rules().check_signed_introspection(&claims)?, None))
        }
    }

    fn token_of(&self, answer: &Answer, asked_at: Timestamp) -> Result<ApiToken, OidcError> {
        let life = self.config.default_token_lifetime;
        // A refresh token or an ID token beside it is nobody's business here: both end with this value.
        let tokens = token_response::parse(answer, asked_at, life, self.token_type())?;
        let token = Some(tokens.access_token);
        Ok(ApiToken { token, scope: tokens.scope, ends: Some(tokens.expires_at) })
    }
}

/// RFC 8693 §2.2.1: what was issued is an access token, whatever member it stands in.
fn check_issued_type(answer: &Answer) -> Result<(), OidcError> {
    const TYPES: [&str; 2] =
        ["urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"];
    let members = json::object(&answer.body).map_err(|_| OidcError::TokenResponseInvalid)?;
    match members.get("issued_token_type").and_then(Value::as_str) {
        Some(issued) if TYPES.contains(&issued) => Ok(()),
        Some(_) => Err(OidcError::TokenTypeUnsupported),
        None => Err(OidcError::TokenResponseInvalid),
    }
}
