//! A provider, its authorization server, and a browser's part of a login in one function.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom::clock::{Clock, Timestamp};
use cloakroom::config::{
    ClientAuthMethod, DpopKeys, EndpointOverrides, IntrospectionForm, Profile, ProviderConfig,
    PushedRequests, ResponseMode, SenderConstraint,
};
use cloakroom::oidc::{
    AuthorizationRequest, CodeExchange, Login, OidcError, Provider, TokenSet, code_challenge,
};
use cloakroom::secret::{Random, Secret};

use crate::support::hostile_op::{Endpoint, HostileOp, Knobs};

pub const NOW: u64 = 1_800_000_000;
pub const REDIRECT_URI: &str = "https://app.example.com/auth/callback";

/// A deadline for answers that never come; long enough for honest ones on a busy machine.
pub const SHORT: Duration = Duration::from_secs(1);

/// A provider that talks to `op`; both live by `clock`.
pub struct Setup {
    pub op: HostileOp,
    pub provider: Provider,
    pub clock: Clock,
}

/// What one attempt asks for.
#[derive(Clone, Copy, Default)]
pub struct Wish<'a> {
    pub max_age: Option<u64>,
    pub acr_values: Option<&'a str>,
}

/// One login attempt on its way: what the login cookie would hold, and what came back.
pub struct Attempt {
    pub nonce: String,
    pub verifier: Secret<String>,
    pub url: String,
    pub response: Vec<(String, String)>,
}

impl Setup {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a change of the configuration.
    pub async fn with(change: impl FnOnce(&mut ProviderConfig)) -> Self {
        let clock = Clock::manual(Timestamp(NOW));
        let op = HostileOp::start(clock.clone()).await;
        Self::around(op, change)
    }

    /// With userinfo on and these knobs: a refused login must not get as far as userinfo.
    pub async fn turned(knobs: impl FnOnce(&mut Knobs)) -> Self {
        let setup = Self::with(|config| config.userinfo = true).await;
        setup.op.turn(knobs);
        setup
    }

    pub fn around(op: HostileOp, change: impl FnOnce(&mut ProviderConfig)) -> Self {
        let clock = op.clock.clone();
        let mut config = config(&op.issuer);
        change(&mut config);
        let provider = Provider::new(config, REDIRECT_URI.to_owned(), clock.clone()).unwrap();
        Self { op, provider, clock }
    }

    /// Starts an attempt and lets the user log in.
    pub async fn attempt(&self) -> Result<Attempt, OidcError> {
        let (nonce, verifier, url) = self.ask().await?;
        let response = self.op.authorize(&url);
        Ok(Attempt { nonce, verifier, url, response })
    }

    /// The address that the browser is sent to.
    pub async fn url(&self) -> Result<String, OidcError> {
        self.ask().await.map(|(_, _, url)| url)
    }

    async fn ask(&self) -> Result<(String, Secret<String>, String), OidcError> {
        let verifier = Secret::new(Random::system().token::<32>());
        let request = AuthorizationRequest {
            state: Random::system().token::<32>(),
            nonce: Random::system().token::<32>(),
            code_challenge: code_challenge(&verifier),
            extra: Vec::new(),
        };
        let url = self.provider.authorization_url(&request).await?;
        Ok((request.nonce, verifier, url))
    }

    /// Finishes an attempt as the callback does.
    pub async fn finish(&self, attempt: &Attempt, wish: Wish<'_>) -> Result<Login, OidcError> {
        self.provider.check_response_iss(attempt.get("iss")).await?;
        let exchange = CodeExchange {
            code: attempt.get("code").unwrap(),
            verifier: &attempt.verifier,
            nonce: &attempt.nonce,
            max_age: wish.max_age,
            acr_values: wish.acr_values,
        };
        self.provider.exchange(exchange).await
    }

    pub async fn login(&self) -> Result<Login, OidcError> {
        self.login_with(Wish::default()).await
    }

    pub async fn login_with(&self, wish: Wish<'_>) -> Result<Login, OidcError> {
        let attempt = self.attempt().await?;
        self.finish(&attempt, wish).await
    }

    /// The code of a refused login; nothing was done with its tokens (CB-09).
    pub async fn refused(&self, wish: Wish<'_>) -> &'static str {
        let error = self.login_with(wish).await.map(|login| login.claims).unwrap_err();
        assert_eq!(self.op.calls(Endpoint::Token), 1, "one code, one token call");
        for endpoint in [Endpoint::Userinfo, Endpoint::Revocation, Endpoint::Other] {
            assert_eq!(self.op.calls(endpoint), 0, "{endpoint:?} was called after {error}");
        }
        assert!(!error.is_unavailable() && !error.is_invalid_grant(), "{error}");
        error.code()
    }

    /// The refresh token that a session holds after `tokens` came.
    pub fn kept(old: &Secret<String>, tokens: TokenSet) -> Secret<String> {
        tokens.refresh_token.unwrap_or_else(|| old.clone())
    }
}

impl Attempt {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.response.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the authorization request, which comes once.
    pub fn asked(&self, name: &str) -> Option<String> {
        let query = self.url.split_once('?').unwrap().1;
        let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(n, _)| n == name);
        let first = found.next().map(|(_, value)| value.into_owned());
        assert!(found.next().is_none(), "{name} came twice");
        first
    }
}

/// A configuration that suits the honest server.
pub fn config(issuer: &str) -> ProviderConfig {
    ProviderConfig {
        id: "default".to_owned(),
        issuer: issuer.to_owned(),
        client_id: "web".to_owned(),
        client_secret: Secret::from("s:cr t/%é"),
        client_key: None,
        auth_method: ClientAuthMethod::ClientSecretBasic,
        profile: Profile::Oidc,
        certificate: None,
        sender_constraint: SenderConstraint::None,
        dpop_keys: DpopKeys::Deployment,
        dpop_key: None,
        pushed_requests: PushedRequests::WhenRequired,
        signed_requests: false,
        response_mode: ResponseMode::Query,
        introspection: IntrospectionForm::Jwt,
        scopes: ["openid", "profile", "sales"].map(ToOwned::to_owned).to_vec(),
        resources: Vec::new(),
        authorization_details: None,
        discovery_url: None,
        endpoints: EndpointOverrides::default(),
        ca_file: None,
        proxy: None,
        resolve: BTreeMap::new(),
        issuer_template: None,
        allowed_tenants: Vec::new(),
        authorize_params: BTreeMap::new(),
        algorithms: ["RS256", "PS256", "ES256", "EdDSA"].map(ToOwned::to_owned).to_vec(),
        clock_skew: Duration::from_secs(30),
        id_token_max_age: None,
        trusted_audiences: Vec::new(),
        userinfo: false,
        userinfo_signed: false,
        logout_token_untyped: false,
        logout_token_without_exp: false,
        default_token_lifetime: Duration::from_secs(300),
        timeout: Duration::from_secs(10),
    }
}
