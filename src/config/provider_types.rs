//! An app's authorization server as configured, every rule applied.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::authorization_details::AuthorizationDetails;
use super::choices::{
    ClientAuthMethod, DpopKeys, IntrospectionForm, Profile, PushedRequests, ResponseMode,
    SenderConstraint,
};
use super::client_certificate::ClientCertificate;
use super::client_key::{ClientAssertion, ClientKey};
use crate::secret::Secret;

/// `[provider]`, or one of `[[providers]]`
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// `[a-z0-9-]`, its name among the app's providers.
    pub id: String,
    /// Compared as a string, never normalised.
    pub issuer: String,
    pub client_id: String,
    /// Empty with a key or a certificate.
    pub client_secret: Secret<String>,
    /// With `private_key_jwt` or signed requests.
    pub client_key: Option<ClientAssertion>,
    /// Shown to the server's endpoints for clients.
    pub certificate: Option<Arc<ClientCertificate>>,
    pub auth_method: ClientAuthMethod,
    pub profile: Profile,
    pub sender_constraint: SenderConstraint,
    /// With `dpop`.
    pub dpop_keys: DpopKeys,
    /// With `dpop` and a key of the deployment: what access tokens are bound to.
    pub dpop_key: Option<Arc<ClientKey>>,
    pub pushed_requests: PushedRequests,
    /// By `client_key`.
    pub signed_requests: bool,
    pub response_mode: ResponseMode,
    /// In which form it is asked about access tokens, for routes that want it.
    pub introspection: IntrospectionForm,
    /// Contains `openid`.
    pub scopes: Vec<String>,
    /// What the grant is for; the login's own access token is for the first.
    pub resources: Vec<String>,
    pub authorization_details: Option<AuthorizationDetails>,
    /// Default: issuer + `/.well-known/openid-configuration`.
    pub discovery_url: Option<String>,
    /// Endpoint overrides; win over the metadata document.
    pub endpoints: EndpointOverrides,
    pub ca_file: Option<PathBuf>,
    pub proxy: Option<String>,
    /// Split horizon: host name → address to connect to.
    pub resolve: BTreeMap<String, SocketAddr>,
    /// e.g. `https://login.example.com/{tenantid}/v2.0`, with the tenants it may stand for.
    pub issuer_template: Option<String>,
    pub allowed_tenants: Vec<String>,
    /// Extra parameters of every authorization request; never a protocol parameter.
    pub authorize_params: BTreeMap<String, String>,
    /// JWS algorithms accepted for ID tokens, e.g. `RS256`.
    pub algorithms: Vec<String>,
    pub clock_skew: Duration,
    /// Oldest acceptable `iat` of an ID token; `None` is any age.
    pub id_token_max_age: Option<Duration>,
    /// Other audiences an ID token may name beside us.
    pub trusted_audiences: Vec<String>,
    /// Read userinfo at login and merge it under the ID token's claims.
    pub userinfo: bool,
    /// Its answer must be signed.
    pub userinfo_signed: bool,
    /// Logout tokens may lack their `typ`.
    pub logout_token_untyped: bool,
    /// Logout tokens may lack `exp`.
    pub logout_token_without_exp: bool,
    /// Access-token life when the token response has no `expires_in`.
    pub default_token_lifetime: Duration,
    pub timeout: Duration,
}

#[derive(Clone, Debug, Default)]
pub struct EndpointOverrides {
    pub authorization: Option<String>,
    pub token: Option<String>,
    pub jwks: Option<String>,
    pub userinfo: Option<String>,
    pub end_session: Option<String>,
    pub revocation: Option<String>,
    pub introspection: Option<String>,
    pub pushed: Option<String>,
}

impl ProviderConfig {
    /// Whether access tokens are bound to keys of their sessions.
    pub fn has_session_keys(&self) -> bool {
        self.sender_constraint == SenderConstraint::Dpop && self.dpop_keys == DpopKeys::Session
    }

    /// The certificate that access tokens are bound to, if they are bound to one.
    pub fn binding_certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.certificate.as_ref().filter(|_| self.sender_constraint == SenderConstraint::Mtls)
    }
}
