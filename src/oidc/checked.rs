//! The steps of a conversation that [`Provider`]'s methods share: fetch, then check before anything is used (CB-09).
//! Never returns claims that a rule has not passed.

use std::sync::Arc;

use serde_json::Value;

use super::error::OidcError;
use super::http::Answer;
use super::id_token::{IdClaims, LoginRules, Rules, check_access_token_hash};
use super::jws::{Kind, Unverified};
use super::key_cache::Asker;
use super::logout_token::LogoutToken;
use super::metadata::Metadata;
use super::token_request::{Client, Form};
use super::token_response::{self, Granted, TokenSet};
use super::userinfo::{self, Userinfo};
use super::{CodeExchange, Dpop, Provider, client_assertion, details};
use crate::clock::Timestamp;
use crate::config::{AssertionAudience, ClientAuthMethod};
use crate::secret::Secret;

impl Provider {
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        self.discovery.metadata(&self.http).await
    }

    /// The metadata, when the keys are known too: a code or a refresh token is not spent on an answer that could not be verified.
    pub(super) async fn ready(&self) -> Result<Arc<Metadata>, OidcError> {
        let metadata = self.metadata().await?;
        self.keys.keys(&self.http, &metadata.jwks).await?;
        Ok(metadata)
    }

    /// What shows that we are the client, where that is made anew for each request to this server.
    pub(super) fn proof(&self, metadata: &Metadata) -> Result<Option<Secret<String>>, OidcError> {
        let signs = self.config.auth_method == ClientAuthMethod::PrivateKeyJwt;
        let Some(own) = self.config.client_key.as_ref().filter(|_| signs) else { return Ok(None) };
        let audience = match own.audience {
            AssertionAudience::Issuer => self.config.issuer.as_str(),
            AssertionAudience::TokenEndpoint => metadata.token.as_str(),
        };
        let by = (self.clock.now(), &self.random);
        client_assertion::made(own, &self.config.client_id, audience, by).map(Some)
    }

    /// The client, as it shows itself in a form.
    pub(super) fn client<'a>(&'a self, assertion: Option<&'a Secret<String>>) -> Client<'a> {
        Client { config: &self.config, assertion }
    }

    /// The tokens that the token endpoint gives for `form`, bound to the key of `dpop` if there is one.
    pub(super) async fn tokens(
        &self,
        metadata: &Metadata,
        form: impl Fn(Client<'_>) -> Form,
        dpop: Option<&Dpop>,
    ) -> Result<TokenSet, OidcError> {
        let (answer, asked_at) = self.ask_token(metadata, form, dpop).await?;
        self.read_tokens(&answer, asked_at, dpop)
    }

    /// The tokens of an answer of the token endpoint.
    pub(super) fn read_tokens(
        &self,
        answer: &Answer,
        asked_at: Timestamp,
        dpop: Option<&Dpop>,
    ) -> Result<TokenSet, OidcError> {
        let life = self.config.default_token_lifetime;
        let mut tokens = token_response::parse(answer, asked_at, life, self.token_type())?;
        tokens.bound_to = self.binding(dpop);
        let said = tokens.authorization_details.take();
        tokens.authorization_details = match &self.config.authorization_details {
            Some(asked) => details::granted(asked, said)?,
            // What was asked for once is not asked for any more.
            None => Some(Value::Null),
        };
        if let Some(scope) = &tokens.scope {
            match token_response::granted(&self.config.scopes, scope) {
                Granted::AsAsked => {}
                Granted::Narrower => {
                    tracing::debug!(
                        code = "scope_narrower",
                        "fewer scopes were granted than asked for"
                    );
                }
                Granted::Wider => {
                    tracing::warn!(
                        code = "scope_wider",
                        "scopes were granted that nobody asked for"
                    );
                }
            }
        }
        Ok(tokens)
    }

    /// The claims of an ID token that came beside `access_token`, after every check that holds for all ID tokens.
    pub(super) async fn verified(
        &self,
        metadata: &Metadata,
        id_token: &Secret<String>,
        access_token: &Secret<String>,
    ) -> Result<IdClaims, OidcError> {
        let token = Unverified::parse(id_token.expose(), Kind::Plain, &self.algorithms)?;
        let claims = self.keys.verify(&token, Asker::Us, &self.http, &metadata.jwks).await?;
        let claims = self.rules().check(claims)?;
        check_access_token_hash(&claims, token.algorithm, access_token.expose())?;
        Ok(claims)
    }

    pub(super) async fn add_userinfo(
        &self,
        metadata: &Metadata,
        (access_token, dpop): (&Secret<String>, Option<&Dpop>),
        claims: &mut IdClaims,
    ) -> Result<(), OidcError> {
        let endpoint = metadata.userinfo.as_ref().ok_or(OidcError::UserinfoInvalid)?;
        let userinfo =
            match userinfo::parse(self.ask_userinfo(endpoint, access_token, dpop).await?)? {
                // ID-17: where a signed one was agreed on.
                Userinfo::Plain(_) if self.config.userinfo_signed => {
                    return Err(OidcError::UserinfoInvalid);
                }
                Userinfo::Plain(userinfo) => userinfo,
                Userinfo::Signed(token) => {
                    let invalid = |_| OidcError::UserinfoInvalid;
                    let token = Unverified::parse(&token, Kind::Plain, &self.algorithms)
                        .map_err(invalid)?;
                    let verified =
                        self.keys.verify(&token, Asker::Us, &self.http, &metadata.jwks).await;
                    let userinfo = verified.map_err(|error| {
                        if is_verdict(error) { OidcError::UserinfoInvalid } else { error }
                    })?;
                    userinfo::check_signed(&userinfo, &self.rules())?;
                    userinfo
                }
            };
        userinfo::merge(claims, userinfo)
    }

    pub(super) async fn verified_logout(
        &self,
        metadata: &Metadata,
        token: &str,
    ) -> Result<LogoutToken, OidcError> {
        let kind = if self.config.logout_token_untyped { Kind::MaybeLogout } else { Kind::Logout };
        let token = Unverified::parse(token, kind, &self.algorithms)?;
        let claims = self.keys.verify(&token, Asker::Anybody, &self.http, &metadata.jwks).await?;
        Ok(self.rules().check_logout(&claims, self.config.logout_token_without_exp)?)
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            issuer: &self.issuer,
            client_id: &self.config.client_id,
            trusted_audiences: &self.config.trusted_audiences,
            skew: self.config.clock_skew,
            max_age: self.config.id_token_max_age,
            now: self.clock.now(),
        }
    }

    /// What the request asked for is checked in the answer, whoever asked; the operator's parameters won in the request.
    pub(super) fn login_rules<'a>(&'a self, exchange: &CodeExchange<'a>) -> LoginRules<'a> {
        let param = |name: &str| self.config.authorize_params.get(name);
        LoginRules {
            nonce: exchange.nonce,
            max_age: match param("max_age") {
                Some(seconds) => seconds.parse().ok(),
                None => exchange.max_age,
            },
            acr_values: param("acr_values").map(String::as_str).or(exchange.acr_values),
        }
    }
}

/// Whether a JWT was looked at and found wanting, other than that its keys could not be had.
pub(super) fn is_verdict(error: OidcError) -> bool {
    matches!(error, OidcError::IdToken(_))
}
