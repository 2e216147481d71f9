//! Why a conversation with the authorization server failed: a closed list of codes.
//! Never holds a token, a code or any text that the authorization server sent.

/// Every way in which this module fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    #[error("the configuration of the provider is not usable: {0}")]
    Config(ConfigFault),
    #[error("the discovery document was not fetched yet")]
    DiscoveryPending,
    #[error("the discovery document cannot be fetched")]
    DiscoveryUnavailable,
    #[error("the discovery document is not a valid one")]
    DiscoveryInvalid,
    #[error("the discovery document names another issuer")]
    IssuerMismatch,
    #[error("an endpoint is missing in the discovery document, or its URL is not acceptable")]
    EndpointInvalid,
    #[error(
        "the discovery document lacks what the FAPI 2.0 profile needs: PKCE with S256, pushed requests"
    )]
    BelowProfile,
    #[error(
        "the discovery document does not say that access tokens are bound to the certificates of clients"
    )]
    BindsNothing,
    #[error("the issuer's keys cannot be fetched")]
    JwksUnavailable,
    #[error("the endpoint for pushed authorization requests is unavailable")]
    PushUnavailable,
    #[error("the pushed authorization request was refused")]
    PushRejected,
    #[error(
        "the answer to a pushed authorization request is not a valid one, or there is no such endpoint"
    )]
    PushInvalid,
    #[error("nothing can be signed: the machine has no randomness")]
    CannotSign,
    #[error("the token endpoint is unavailable")]
    TokenUnavailable,
    #[error("the token endpoint says that the grant is invalid")]
    InvalidGrant,
    #[error("the token endpoint refused the request")]
    TokenRejected,
    #[error("the token endpoint's answer is not a token response")]
    TokenResponseInvalid,
    #[error("the token endpoint's tokens are not of the type that they must be")]
    TokenTypeUnsupported,
    #[error("the ID token is not acceptable: {0}")]
    IdToken(IdTokenFault),
    #[error("the userinfo endpoint is unavailable")]
    UserinfoUnavailable,
    #[error("the userinfo answer is not acceptable")]
    UserinfoInvalid,
    #[error("the userinfo answer is about another user")]
    UserinfoSubject,
    #[error("the revocation endpoint is unavailable")]
    RevocationUnavailable,
    #[error("the revocation endpoint refused the request")]
    RevocationRejected,
    #[error("the introspection endpoint is unavailable")]
    IntrospectionUnavailable,
    #[error("the introspection endpoint refused the request")]
    IntrospectionRejected,
    #[error("the introspection answer is not acceptable, or not in the agreed form")]
    IntrospectionInvalid,
    #[error("there is no introspection endpoint")]
    IntrospectionMissing,
    #[error("the authorization response lacks the issuer that it must name")]
    ResponseIssMissing,
    #[error("the authorization response comes from another issuer")]
    ResponseIssMismatch,
    #[error("the signed authorization response is not acceptable, or not signed as agreed")]
    ResponseInvalid,
}

/// What [`crate::oidc::Provider::new`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    #[error("issuer: an https URL without query and fragment is needed (http only on loopback)")]
    Issuer,
    #[error("issuer_template: needs {{tenantid}} and at least one of allowed_tenants")]
    IssuerTemplate,
    #[error("redirect URI: not a URL")]
    RedirectUri,
    #[error(
        "an endpoint override: an https URL without user info and fragment is needed (http only on loopback)"
    )]
    Endpoint,
    #[error("scopes: openid is needed")]
    Scopes,
    #[error("authorize_params: a protocol parameter cannot be set")]
    AuthorizeParams,
    #[error(
        "algorithms: use some of RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA, nothing else"
    )]
    Algorithms,
    #[error("ca_file: cannot be read, or holds no PEM certificate")]
    CaFile,
    #[error("client_certificate_file: not a certificate with its key")]
    Certificate,
    #[error("proxy: not a proxy URL")]
    Proxy,
    #[error("the HTTP client cannot be built")]
    Client,
}

/// Which rule an ID token or a logout token breaks; one per row of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenFault {
    #[error("there is none")]
    Missing,
    #[error("it is not a compact JWS of two JSON objects")]
    Malformed,
    #[error("alg")]
    Algorithm,
    #[error("crit or b64")]
    Critical,
    #[error("it is a JWT of another kind")]
    Kind,
    #[error("no key of the issuer fits")]
    Key,
    #[error("signature")]
    Signature,
    #[error("iss")]
    Issuer,
    #[error("aud")]
    Audience,
    #[error("azp")]
    AuthorizedParty,
    #[error("exp")]
    Expiry,
    #[error("iat")]
    IssuedAt,
    #[error("nbf")]
    NotBefore,
    #[error("sub")]
    Subject,
    #[error("nonce")]
    Nonce,
    #[error("at_hash")]
    AccessTokenHash,
    #[error("auth_time")]
    AuthTime,
    #[error("acr")]
    Acr,
    #[error("events")]
    Events,
    #[error("jti")]
    TokenId,
    #[error("sid")]
    Session,
}

impl OidcError {
    /// The stable code for logs and metrics. All ID-token faults begin with `id_token`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(fault) => fault.code(),
            Self::DiscoveryPending => "discovery_pending",
            Self::DiscoveryUnavailable => "discovery_unavailable",
            Self::DiscoveryInvalid => "discovery_invalid",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::EndpointInvalid => "discovery_endpoint_invalid",
            Self::BelowProfile => "discovery_below_profile",
            Self::BindsNothing => "discovery_binds_nothing",
            Self::JwksUnavailable => "jwks_unavailable",
            Self::PushUnavailable => "par_unavailable",
            Self::PushRejected => "par_rejected",
            Self::PushInvalid => "par_invalid",
            Self::CannotSign => "cannot_sign",
            Self::TokenUnavailable => "token_unavailable",
            Self::InvalidGrant => "invalid_grant",
            Self::TokenRejected => "token_rejected",
            Self::TokenResponseInvalid => "token_response_invalid",
            Self::TokenTypeUnsupported => "token_type_unsupported",
            Self::IdToken(fault) => fault.code(),
            Self::UserinfoUnavailable => "userinfo_unavailable",
            Self::UserinfoInvalid => "userinfo_invalid",
            Self::UserinfoSubject => "userinfo_sub_mismatch",
            Self::RevocationUnavailable => "revocation_unavailable",
            Self::RevocationRejected => "revocation_rejected",
            Self::IntrospectionUnavailable => "introspection_unavailable",
            Self::IntrospectionRejected => "introspection_rejected",
            Self::IntrospectionInvalid => "introspection_invalid",
            Self::IntrospectionMissing => "introspection_missing",
            Self::ResponseIssMissing => "response_iss_missing",
            Self::ResponseIssMismatch => "response_iss_mismatch",
            Self::ResponseInvalid => "response_invalid",
        }
    }

    /// The code of a refused logout token, which is no ID token: `alg`, `events`, or an outage's as above.
    pub fn logout_code(&self) -> &'static str {
        let code = self.code();
        code.strip_prefix("id_token_").unwrap_or(code)
    }

    /// An outage that may pass: nothing is decided about login or session, try again later (RF-05).
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::DiscoveryPending
                | Self::DiscoveryUnavailable
                | Self::JwksUnavailable
                | Self::PushUnavailable
                | Self::CannotSign
                | Self::TokenUnavailable
                | Self::UserinfoUnavailable
                | Self::RevocationUnavailable
                | Self::IntrospectionUnavailable
        )
    }

    /// The authorization server's own verdict that the grant is over (RFC 6749 §5.2).
    pub fn is_invalid_grant(&self) -> bool {
        *self == Self::InvalidGrant
    }
}

impl ConfigFault {
    fn code(self) -> &'static str {
        match self {
            Self::Issuer => "config_issuer",
            Self::IssuerTemplate => "config_issuer_template",
            Self::RedirectUri => "config_redirect_uri",
            Self::Endpoint => "config_endpoint",
            Self::Scopes => "config_scopes",
            Self::AuthorizeParams => "config_authorize_params",
            Self::Algorithms => "config_algorithms",
            Self::Certificate => "config_client_certificate",
            Self::CaFile => "config_ca_file",
            Self::Proxy => "config_proxy",
            Self::Client => "config_http_client",
        }
    }
}

impl IdTokenFault {
    fn code(self) -> &'static str {
        match self {
            Self::Missing => "id_token_missing",
            Self::Malformed => "id_token_malformed",
            Self::Algorithm => "id_token_alg",
            Self::Critical => "id_token_crit",
            Self::Kind => "id_token_kind",
            Self::Key => "id_token_key",
            Self::Signature => "id_token_signature",
            Self::Issuer => "id_token_iss",
            Self::Audience => "id_token_aud",
            Self::AuthorizedParty => "id_token_azp",
            Self::Expiry => "id_token_exp",
            Self::IssuedAt => "id_token_iat",
            Self::NotBefore => "id_token_nbf",
            Self::Subject => "id_token_sub",
            Self::Nonce => "id_token_nonce",
            Self::AccessTokenHash => "id_token_at_hash",
            Self::AuthTime => "id_token_auth_time",
            Self::Acr => "id_token_acr",
            Self::Events => "id_token_events",
            Self::TokenId => "id_token_jti",
            Self::Session => "id_token_sid",
        }
    }
}

impl From<ConfigFault> for OidcError {
    fn from(fault: ConfigFault) -> Self {
        Self::Config(fault)
    }
}

impl From<IdTokenFault> for OidcError {
    fn from(fault: IdTokenFault) -> Self {
        Self::IdToken(fault)
    }
}
