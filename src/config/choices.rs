//! Settings with a closed list of values, as they are written and as they are used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Json,
    Pretty,
}

/// Where security events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditTo {
    Log,
    Stdout,
    File,
    Otlp,
}

/// What becomes of calls while the shared store cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// 503, cookies kept.
    FailClosed,
    /// They go on, at most until the access token ends.
    FailOpen,
}

/// Where a session's record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionStore {
    /// In the browser's cookies, sealed.
    Cookie,
    /// In Redis, sealed; the browser holds a ticket.
    Redis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMethod {
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    /// By a certificate of an authority that the server trusts (RFC 8705 section 2.1).
    TlsClientAuth,
    /// By a certificate that the server knows (RFC 8705 section 2.2).
    SelfSignedTlsClientAuth,
}

impl ClientAuthMethod {
    /// As metadata and registrations name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// Whether the client shows a secret that the server has, too.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }

    /// Whether the connection itself shows who the client is.
    pub const fn is_mtls(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }
}

/// Whom a client assertion names as its audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssertionAudience {
    Issuer,
    TokenEndpoint,
}

/// What access tokens are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SenderConstraint {
    /// Whoever has one can use it.
    None,
    /// To a key (RFC 9449).
    Dpop,
    /// To the client's certificate (RFC 8705 section 3).
    Mtls,
}

/// Whose key it is that access tokens are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DpopKeys {
    /// One for all.
    Deployment,
    /// One for each session, made at its login and sealed with its tokens.
    Session,
}

/// Which closed list of settings holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// OpenID Connect, with every setting.
    Oidc,
    /// The FAPI 2.0 Security Profile.
    Fapi2,
}

/// Whether authorization requests are pushed to the server (RFC 9126) instead of travelling in the browser's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushedRequests {
    /// When the metadata says that the server takes no others.
    WhenRequired,
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogoutMode {
    RpInitiated,
    Local,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Revoke {
    Refresh,
    Access,
    None,
}

/// What is sent a second time when a kept connection turns out dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// What had not been started.
    NeverSent,
    /// Also an idempotent request without a body (RFC 9110 §9.2.2).
    Idempotent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// The access token of the login.
    Login,
    /// One for this API, cut from the login's grant at a refresh (RFC 8707 section 2.2).
    Resource,
    /// One for this API, exchanged for that of the login (RFC 8693).
    Exchange,
    /// What the authorization server says of that of the login: the JWT that it stands for (a phantom token), or the same
    /// once the server says that it is active (RFC 7662).
    Introspect,
    /// One of ours, for whoever calls (RFC 6749 §4.4): no session needed.
    Client,
    /// No token, no session needed.
    None,
}

impl TokenSource {
    /// Whether a call carries a token.
    pub const fn is_sent(self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether a call needs a session.
    pub const fn needs_session(self) -> bool {
        matches!(self, Self::Login | Self::Resource | Self::Exchange | Self::Introspect)
    }
}

/// How the authorization server's answer to a login comes to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// In the address of the callback.
    Query,
    /// In a form that the browser posts (Form Post Response Mode 1.0).
    FormPost,
    /// Signed, in the address (JARM).
    #[serde(rename = "query.jwt")]
    QueryJwt,
    /// Signed, in a form (JARM).
    #[serde(rename = "form_post.jwt")]
    FormPostJwt,
}

impl ResponseMode {
    /// As the authorization request names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::FormPost => "form_post",
            Self::QueryJwt => "query.jwt",
            Self::FormPostJwt => "form_post.jwt",
        }
    }

    /// Whether the browser posts it.
    pub const fn is_form(self) -> bool {
        matches!(self, Self::FormPost | Self::FormPostJwt)
    }

    /// Whether it is signed.
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::QueryJwt | Self::FormPostJwt)
    }
}

/// In which form the authorization server is asked about a token. Another one than this is never taken for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntrospectionForm {
    /// The access token as a JWT (`application/jwt`), which the API gets.
    Jwt,
    /// A signed answer for us (RFC 9701); the API gets the login's token.
    Signed,
    /// A plain answer (RFC 7662); the API gets the login's token.
    Json,
}

/// When what outlasts its request is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseAt {
    /// When the session ends: by logout, or at its absolute end.
    SessionEnd,
    /// Already when the access token ends that it was opened with.
    TokenExpiry,
}

/// What becomes of a call whose claim chooses no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// 403: nobody's data goes to a region that is not theirs.
    Refuse,
    /// To the route's own upstream.
    Upstream,
}
