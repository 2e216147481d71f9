//! Everything said to the authorization server, one protocol message per file. Never imports the web server; never logs what it was told.
//!
//! [`Provider`] is the public face: each method is one conversation, read from top to bottom. The decisions are pure
//! functions of the message files; `http` is the only file that touches the network.

mod api_token;
mod authorization;
mod binding;
mod checked;
mod client_assertion;
mod details;
mod discovery;
mod dpop;
mod end_session;
mod error;
mod examine;
mod http;
mod id_token;
mod introspection;
mod issuer;
mod jarm;
mod json;
mod jwks;
mod jws;
mod key_cache;
mod logout_token;
mod metadata;
mod pushed;
mod request_object;
mod response_iss;
mod revocation;
mod signed;
mod token_call;
mod token_request;
mod token_response;
mod userinfo;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use oauth2::RedirectUrl;

pub use api_token::ApiToken;
pub use authorization::{AuthorizationRequest, code_challenge};
pub use dpop::{Dpop, FIELD as DPOP, NONCE_FIELD as DPOP_NONCE, Target as ProofTarget};
pub use error::{ConfigFault, IdTokenFault, OidcError};
pub use examine::{Examination, Facts, Verdict};
pub use id_token::{IdClaims, RefreshExpectation};
pub use jarm::claimed_state;
pub use logout_token::LogoutToken;
pub use token_response::{RefreshRefusal, Rotated, TokenSet};

use self::discovery::Discovery;
use self::http::Http;
use self::issuer::Issuer;
use self::key_cache::KeyCache;
use self::metadata::Metadata;
use self::token_request::Client;
use crate::clock::Clock;
use crate::config::{
    AuthorizationDetails, ClientKey, Profile, ProofKey, ProviderConfig, PushedRequests, TokenTarget,
};
use crate::secret::{Random, Secret};

/// One authorization server, as one client of it.
#[derive(Debug)]
pub struct Provider {
    config: ProviderConfig,
    redirect_uri: RedirectUrl,
    issuer: Issuer,
    algorithms: Vec<Algorithm>,
    clock: Clock,
    http: Http,
    discovery: Discovery,
    keys: KeyCache,
    dpop: Option<Dpop>,
    random: Random,
}

/// What is asked for, and the token that says so.
type SignedRequest = (Vec<(String, String)>, String);

/// A code to be exchanged, with what its login attempt remembers.
#[derive(Clone, Copy)]
pub struct CodeExchange<'a> {
    pub code: &'a str,
    pub verifier: &'a Secret<String>,
    pub nonce: &'a str,
    /// Seconds; the ID token must then tell when the user logged in (ID-14).
    pub max_age: Option<u64>,
    /// Space-separated; the ID token must then name one of them (ID-15).
    pub acr_values: Option<&'a str>,
}

/// A finished login: every check has passed.
#[derive(Clone, Debug)]
pub struct Login {
    pub tokens: TokenSet,
    pub claims: IdClaims,
}

impl Provider {
    /// Checks the configuration; uses no network, so that a server that is down stops nothing.
    /// `redirect_uri` is ours, as registered at the authorization server.
    pub fn new(
        config: ProviderConfig,
        redirect_uri: String,
        clock: Clock,
    ) -> Result<Self, OidcError> {
        let template = config.issuer_template.as_deref();
        let issuer = Issuer::new(&config.issuer, template, &config.allowed_tenants)?;
        if !config.scopes.iter().any(|scope| scope == "openid") {
            return Err(ConfigFault::Scopes.into());
        }
        let reserved = |name: &String| authorization::is_protocol_parameter(name);
        if config.authorize_params.keys().any(reserved) {
            return Err(ConfigFault::AuthorizeParams.into());
        }
        let algorithms: Option<Vec<_>> =
            config.algorithms.iter().map(|name| jwks::algorithm(name)).collect();
        let algorithms = algorithms.filter(|names| !names.is_empty());
        let random = Random::system();
        let dpop = match &config.dpop_key {
            Some(key) => Some(Arc::clone(key)),
            // For tokens of our own, which belong to no session; as long as this process.
            None if config.has_session_keys() => {
                let own = ClientKey::for_session().and_then(|key| ClientKey::of_session(&key));
                Some(Arc::new(own.ok_or(ConfigFault::Client)?))
            }
            None => None,
        };
        let dpop = dpop.map(|key| Dpop::new(key, clock.clone(), random.clone()));
        Ok(Self {
            dpop,
            redirect_uri: RedirectUrl::new(redirect_uri).map_err(|_| ConfigFault::RedirectUri)?,
            algorithms: algorithms.ok_or(ConfigFault::Algorithms)?,
            http: Http::new(&config)?,
            discovery: Discovery::new(&config, issuer.clone(), clock.clone())?,
            keys: KeyCache::new(clock.clone()),
            random,
            issuer,
            config,
            clock,
        })
    }

    /// The code of what does not work at the moment; `None` when all is well.
    pub fn degraded(&self) -> Option<&'static str> {
        let keys = self.keys.is_degraded().then_some(OidcError::JwksUnavailable);
        self.discovery.degraded().or(keys).map(|error| error.code())
    }

    /// Learns what a login will need, metadata and keys, unless both are known already.
    pub async fn probe(&self) -> Result<(), OidcError> {
        self.ready().await.map(drop)
    }

    /// The URL that starts a login at the authorization server.
    pub async fn authorization_url(
        &self,
        request: &AuthorizationRequest,
    ) -> Result<String, OidcError> {
        let metadata = self.metadata().await?;
        let client = authorization::Client {
            id: &self.config.client_id,
            redirect_uri: &self.redirect_uri,
            scopes: &self.config.scopes,
            resources: &self.config.resources,
            details: self.config.authorization_details.as_ref().map(AuthorizationDetails::text),
            params: &self.config.authorize_params,
            response_mode: self.config.response_mode,
        };
        let endpoint = &metadata.authorization;
        let signed = self.signed_request(endpoint, client, request)?;
        if !metadata.requires_push && self.config.pushed_requests == PushedRequests::WhenRequired {
            return Ok(match signed {
                Some((parameters, object)) => request_object::url(endpoint, &parameters, &object),
                None => authorization::url(endpoint, client, request),
            });
        }
        let pushed_to = metadata.pushed.as_ref().ok_or(OidcError::PushInvalid)?;
        let proof = self.proof(&metadata)?;
        let parameters = match signed {
            Some((_, object)) => vec![("request".to_owned(), object)],
            None => pushed::parameters(endpoint, client, request),
        };
        let form = token_request::pushed(self.client(proof.as_ref()), parameters);
        let answer = self.http.post_form(pushed_to, &form).await;
        let reference = pushed::parse(&answer.map_err(|_| OidcError::PushUnavailable)?)?;
        Ok(pushed::url(endpoint, &self.config.client_id, &reference))
    }

    /// What is asked for, and the token that says so, where requests are signed.
    fn signed_request(
        &self,
        endpoint: &url::Url,
        client: authorization::Client<'_>,
        request: &AuthorizationRequest,
    ) -> Result<Option<SignedRequest>, OidcError> {
        let own = self.config.client_key.as_ref().filter(|_| self.config.signed_requests);
        let Some(own) = own else { return Ok(None) };
        let parameters = pushed::parameters(endpoint, client, request);
        let whose = (self.config.client_id.as_str(), self.config.issuer.as_str());
        let by = (self.clock.now(), &self.random);
        let object = request_object::made(own, whose, &parameters, by)?;
        Ok(Some((parameters, object)))
    }

    /// The public keys by which the server knows the client, this one's and the next one's; none with a secret.
    pub fn client_keys(&self) -> impl Iterator<Item = &serde_json::Value> {
        let own = self.config.client_key.iter();
        own.flat_map(|own| std::iter::once(&own.key).chain(&own.next)).map(|key| key.public())
    }

    /// Whether the server is asked to answer logins by a form.
    pub fn answers_by_form(&self) -> bool {
        self.config.response_mode.is_form()
    }

    /// The scopes that an authorization request with these wishes of the SPA asks for: what a login was granted if the server
    /// does not say (RFC 6749 §5.1). Never the wish itself, which anybody may have written.
    pub fn asked_scopes(&self, extra: &[(String, String)]) -> String {
        authorization::scopes(&self.config.scopes, extra).collect::<Vec<_>>().join(" ")
    }

    /// Exchanges a code, once and without a second try (CB-06), and checks the ID token before any token is used (CB-09).
    pub async fn exchange(&self, exchange: CodeExchange<'_>) -> Result<Login, OidcError> {
        let metadata = self.ready().await?;
        let redirect_uri = self.redirect_uri.as_str();
        let CodeExchange { code, verifier, .. } = exchange;
        let form = |client: Client<'_>| token_request::code(client, code, redirect_uri, verifier);
        let key = self.proof_key(None)?;
        let dpop = self.proofs(key.as_ref());
        let mut tokens = self.tokens(&metadata, form, dpop.as_ref()).await?;
        tokens.proof_key = key;
        let id_token = tokens.id_token.as_ref().ok_or(IdTokenFault::Missing)?;
        let mut claims = self.verified(&metadata, id_token, &tokens.access_token).await?;
        self.rules().check_login(&claims, &self.login_rules(&exchange))?;
        if self.config.userinfo {
            let token = (&tokens.access_token, dpop.as_ref());
            self.add_userinfo(&metadata, token, &mut claims).await?;
        }
        Ok(Login { tokens, claims })
    }

    /// Refreshes, for the login's own access token or for one of `target` (RFC 8707 §2.2), with the session's own key where it has one;
    /// an ID token in the answer must be about the same login (RF-09).
    pub async fn refresh(
        &self,
        (refresh_token, key): (&Secret<String>, Option<&ProofKey>),
        target: Option<&TokenTarget>,
        expected: &RefreshExpectation,
    ) -> Result<TokenSet, RefreshRefusal> {
        let metadata = self.ready().await?;
        let form = |client: Client<'_>| token_request::refresh(client, refresh_token, target);
        let key = self.proof_key(key)?;
        let dpop = self.proofs(key.as_ref());
        let (answer, asked_at) = self.ask_token(&metadata, form, dpop.as_ref()).await?;
        let rotated = token_response::rotated(&answer, asked_at);
        let refusal = |error| RefreshRefusal { error, rotated: rotated.clone() };
        let mut tokens = self.read_tokens(&answer, asked_at, dpop.as_ref()).map_err(refusal)?;
        tokens.proof_key = key;
        if let Some(id_token) = &tokens.id_token {
            let claims = self.verified(&metadata, id_token, &tokens.access_token).await;
            id_token::check_refresh(&claims.map_err(refusal)?, expected)
                .map_err(|fault| refusal(fault.into()))?;
        }
        Ok(tokens)
    }

    /// Revokes a token; `hint` is `refresh_token` or `access_token`. `Ok` when the server has no revocation endpoint.
    pub async fn revoke(&self, token: &Secret<String>, hint: &str) -> Result<(), OidcError> {
        let metadata = self.metadata().await?;
        let Some(endpoint) = &metadata.revocation else { return Ok(()) };
        let proof = self.proof(&metadata)?;
        let form = token_request::revocation(self.client(proof.as_ref()), token, hint);
        let answer = self.http.post_form(endpoint, &form).await;
        revocation::parse(&answer.map_err(|_| OidcError::RevocationUnavailable)?)
    }

    /// The URL that ends the session at the authorization server; `None` when it has no such endpoint.
    /// `redirect_param` is the name of the parameter that holds `return_to`.
    pub async fn end_session_url(
        &self,
        id_token: Option<&Secret<String>>,
        return_to: &str,
        redirect_param: &str,
        state: &str,
    ) -> Result<Option<String>, OidcError> {
        let metadata = self.metadata().await?;
        let client_id = &self.config.client_id;
        let back = (redirect_param, return_to);
        Ok(metadata
            .end_session
            .as_ref()
            .map(|endpoint| end_session::url(endpoint, client_id, id_token, back, state)))
    }

    /// Checks the token of a back-channel logout, which anybody may have sent.
    ///
    /// # Errors
    /// It breaks a rule, or the keys cannot be had: then the sender may try again.
    pub async fn logout_token(&self, token: &str) -> Result<LogoutToken, OidcError> {
        self.verified_logout(&*self.metadata().await?, token).await
    }

    /// Checks `iss` of an authorization response, on errors too (RFC 9207 §2.4).
    pub async fn check_response_iss(&self, iss: Option<&str>) -> Result<(), OidcError> {
        let metadata = self.metadata().await?;
        let promised = metadata.names_itself || self.config.profile == Profile::Fapi2;
        response_iss::check(&self.issuer, promised, iss)
    }
}
