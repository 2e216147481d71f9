//! `[provider]` as written: names, shapes and defaults. The secret is never serialised.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Pairs, texts};
use crate::config::choices::{
    AssertionAudience, ClientAuthMethod, DpopKeys, IntrospectionForm, Profile, PushedRequests,
    ResponseMode, SenderConstraint,
};

/// The authorization server and our client there.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawProvider {
    /// Its name among the app's providers, `a-z`, `0-9` and `-`: in `/login?provider=`, and, where there are several, at `/session` and at
    /// the end of `/callback/` and `/backchannel-logout/`. An entry of `[[providers]]` must have one; absent in `[provider]`: `default`.
    pub id: Option<String>,
    /// Issuer identifier, compared as a string: exactly as the authorization server writes it. Required.
    #[schemars(extend("x-unit" = "URL"))]
    pub issuer: Option<String>,
    /// The client registered for this app. Required.
    pub client_id: Option<String>,
    /// The client's secret itself. Exactly one of `client_secret`, `client_secret_file`, `client_secret_env` is required.
    #[serde(skip_serializing)]
    #[schemars(extend("writeOnly" = true))]
    pub client_secret: Option<String>,
    /// A file that holds the client's secret; line ends at its end are dropped.
    #[schemars(extend("x-unit" = "file"))]
    pub client_secret_file: Option<String>,
    /// The name of an environment variable that holds the client's secret.
    #[schemars(extend("x-unit" = "variable"))]
    pub client_secret_env: Option<String>,
    /// `fapi2` holds this provider to the FAPI 2.0 Security Profile: what that forbids is an error that names the rule
    /// (docs/fapi2.md).
    pub profile: Profile,
    /// What access tokens are bound to, so that a stolen one is worth nothing: `none`, by `dpop` (RFC 9449) to the key in
    /// `dpop_key_file`, or by `mtls` (RFC 8705) to the certificate in `client_certificate_file`, which the APIs are then shown, too. A
    /// server that gives other tokens, or does not say that it gives such, is refused.
    pub sender_constraint: SenderConstraint,
    /// With `dpop`, whose key that is: the `deployment`'s, in `dpop_key_file`; or of each `session` one of its own, made at its login
    /// and sealed with its tokens.
    pub dpop_keys: DpopKeys,
    /// With `dpop`: the private key of the deployment, as for `client_key_file`, and another one than that. Read again when it changes; sessions
    /// then get new tokens at their next call.
    #[schemars(extend("x-unit" = "file"))]
    pub dpop_key_file: Option<String>,
    /// How the client proves itself at the token endpoint.
    pub auth_method: ClientAuthMethod,
    /// With `tls_client_auth`, `self_signed_tls_client_auth` or `sender_constraint = "mtls"`: PEM file with the client's certificate, and
    /// those between it and its authority. Shown to the server's endpoints for clients, at the addresses that its metadata names for that
    /// (`mtls_endpoint_aliases`), if any. Read again when it changes.
    #[schemars(extend("x-unit" = "file"))]
    pub client_certificate_file: Option<String>,
    /// PEM file with the private key of `client_certificate_file`.
    #[schemars(extend("x-unit" = "file"))]
    pub client_certificate_key_file: Option<String>,
    /// With `private_key_jwt` or `signed_requests`: the client's private key, PKCS#8 in PEM, on P-256 (ES256), Ed25519 (EdDSA) or RSA
    /// (PS256). `cloakroom keygen client` makes one. Read again when it changes.
    #[schemars(extend("x-unit" = "file"))]
    pub client_key_file: Option<String>,
    /// The key that will take its place: shown at `/.well-known/jwks.json` already, so that the server knows it by then.
    #[schemars(extend("x-unit" = "file"))]
    pub next_client_key_file: Option<String>,
    /// Sign by RS256 with an RSA key, for servers that do not know PS256.
    pub client_key_rs256: bool,
    /// Whom an assertion names as its audience: the `issuer`, as it should be, or the `token_endpoint`, for servers that refuse that.
    /// Another server that is given such an assertion could use it there: then the key must be for this one alone.
    pub client_assertion_audience: AssertionAudience,
    /// Leave `typ` out of the assertion's header, for servers that refuse it.
    pub client_assertion_untyped: bool,
    /// Push authorization requests to the server (PAR, RFC 9126) `always`, or `when_required` by its metadata: nobody in the
    /// browser can change what is asked for, and it does not stand in logs of addresses.
    pub pushed_requests: PushedRequests,
    /// Sign authorization requests by the key in `client_key_file` (JAR, RFC 9101), pushed or not: what was asked for cannot be changed, nor denied.
    pub signed_requests: bool,
    /// How the server answers a login: in the address (`query`), or in a form that the browser posts (`form_post`), so that a code
    /// stands in no address, history or log of a proxy. `query.jwt` and `form_post.jwt`: the same, signed by the server (JARM); an answer
    /// that is not is refused.
    pub response_mode: ResponseMode,
    /// How the server answers about access tokens on routes with `token = "introspect"`. `jwt`: with the token as a JWT, which the API
    /// gets (a phantom token). `signed`: with a signed answer for us (RFC 9701); `json`: with a plain one (RFC 7662); the API then gets the
    /// login's token. An answer in another form is an error.
    pub introspection: IntrospectionForm,
    /// Scopes of the authorization request; `openid` must be among them.
    pub scopes: Vec<String>,
    /// The APIs that a login's grant is for, as URIs (`resource`, RFC 8707), for servers that go by that. The login's own token is for the
    /// first; routes with `token = "resource"` get one for theirs.
    #[schemars(extend("x-unit" = "URLs"))]
    pub resources: Vec<String>,
    /// What a login asks for in more detail than scopes can say (RFC 9396): a list in JSON, each entry with its `type`. What the server
    /// says that it granted of it stands in `GET /session`.
    #[schemars(extend("x-unit" = "JSON"))]
    pub authorization_details: Option<String>,
    /// Where the metadata is, if not at the issuer's `/.well-known/openid-configuration`.
    #[schemars(extend("x-unit" = "URL"))]
    pub discovery_url: Option<String>,
    /// Authorization endpoint; wins over the one in the metadata.
    #[schemars(extend("x-unit" = "URL"))]
    pub authorization_endpoint: Option<String>,
    /// Token endpoint; wins over the one in the metadata.
    #[schemars(extend("x-unit" = "URL"))]
    pub token_endpoint: Option<String>,
    /// URL of the signing keys; wins over the one in the metadata.
    #[schemars(extend("x-unit" = "URL"))]
    pub jwks_uri: Option<String>,
    /// Userinfo endpoint; wins over the one in the metadata.
    #[schemars(extend("x-unit" = "URL"))]
    pub userinfo_endpoint: Option<String>,
    /// Logout endpoint; wins over the one in the metadata.
    #[schemars(extend("x-unit" = "URL"))]
    pub end_session_endpoint: Option<String>,
    /// Revocation endpoint; wins over the one in the metadata.
    #[schemars(extend("x-unit" = "URL"))]
    pub revocation_endpoint: Option<String>,
    /// The same, where access tokens are introspected.
    #[schemars(extend("x-unit" = "URL"))]
    pub introspection_endpoint: Option<String>,
    /// Endpoint for pushed authorization requests; wins over the one in the metadata.
    #[schemars(extend("x-unit" = "URL"))]
    pub pushed_authorization_request_endpoint: Option<String>,
    /// PEM file with the certificate authorities to trust for the authorization server, instead of the system's.
    #[schemars(extend("x-unit" = "file"))]
    pub ca_file: Option<String>,
    /// Forward proxy on the way to the authorization server.
    #[schemars(extend("x-unit" = "URL"))]
    pub proxy: Option<String>,
    /// Split horizon: host name to the address to connect to instead of asking DNS.
    #[schemars(extend("x-unit" = "address:port by host"))]
    pub resolve: Pairs,
    /// Issuer with `{tenantid}` in it, for authorization servers whose ID tokens name the user's tenant (Entra ID).
    /// Needs `allowed_tenants`.
    #[schemars(extend("x-unit" = "URL"))]
    pub issuer_template: Option<String>,
    /// What `{tenantid}` may stand for.
    pub allowed_tenants: Vec<String>,
    /// Further parameters of every authorization request, e.g. `audience`; never one of the protocol's own.
    #[schemars(extend("x-unit" = "text by name"))]
    pub authorize_params: Pairs,
    /// JWS algorithms accepted for ID tokens. Never `none` or a shared-key one.
    pub algorithms: Vec<String>,
    /// How far the authorization server's clock may differ; at most 5m.
    #[schemars(extend("x-unit" = "duration"))]
    pub clock_skew: String,
    /// Oldest acceptable ID token by `iat`. Absent: any age that `exp` allows.
    #[schemars(extend("x-unit" = "duration"))]
    pub id_token_max_age: Option<String>,
    /// Other audiences that an ID token may name beside our client id.
    pub trusted_audiences: Vec<String>,
    /// Read userinfo at login and merge its claims under those of the ID token.
    pub userinfo: bool,
    /// Take only a signed answer from userinfo, which the client must be registered for; a plain one is refused.
    pub userinfo_signed: bool,
    /// Take logout tokens whose `typ` is not `logout+jwt` but absent or `JWT`, for authorization servers that send such.
    pub logout_token_untyped: bool,
    /// Take logout tokens without `exp`; they end ten minutes after `iat`.
    pub logout_token_without_exp: bool,
    /// Life of an access token whose response has no `expires_in`; 10s to 24h.
    #[schemars(extend("x-unit" = "duration"))]
    pub default_token_lifetime: String,
    /// Time limit of every call to the authorization server; at most 60s.
    #[schemars(extend("x-unit" = "duration"))]
    pub timeout: String,
}

impl Default for RawProvider {
    fn default() -> Self {
        Self {
            id: None,
            issuer: None,
            client_id: None,
            client_secret: None,
            client_secret_file: None,
            client_secret_env: None,
            profile: Profile::Oidc,
            sender_constraint: SenderConstraint::None,
            dpop_keys: DpopKeys::Deployment,
            dpop_key_file: None,
            auth_method: ClientAuthMethod::ClientSecretBasic,
            client_certificate_file: None,
            client_certificate_key_file: None,
            client_key_file: None,
            next_client_key_file: None,
            client_key_rs256: false,
            client_assertion_audience: AssertionAudience::Issuer,
            client_assertion_untyped: false,
            pushed_requests: PushedRequests::WhenRequired,
            signed_requests: false,
            response_mode: ResponseMode::Query,
            introspection: IntrospectionForm::Jwt,
            scopes: texts(&["openid"]),
            resources: Vec::new(),
            authorization_details: None,
            discovery_url: None,
            authorization_endpoint: None,
            token_endpoint: None,
            jwks_uri: None,
            userinfo_endpoint: None,
            end_session_endpoint: None,
            revocation_endpoint: None,
            introspection_endpoint: None,
            pushed_authorization_request_endpoint: None,
            ca_file: None,
            proxy: None,
            resolve: Pairs::new(),
            issuer_template: None,
            allowed_tenants: Vec::new(),
            authorize_params: Pairs::new(),
            algorithms: texts(&["RS256", "PS256", "ES256", "EdDSA"]),
            clock_skew: "30s".to_owned(),
            id_token_max_age: None,
            trusted_audiences: Vec::new(),
            userinfo: false,
            userinfo_signed: false,
            logout_token_untyped: false,
            logout_token_without_exp: false,
            default_token_lifetime: "5m".to_owned(),
            timeout: "10s".to_owned(),
        }
    }
}
