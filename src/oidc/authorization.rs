//! The authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1).
//! Always the code flow with S256; what the SPA adds can only narrow it (AR-15), never replace a parameter of ours.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, RedirectUrl, Scope};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::config::ResponseMode;
use crate::secret::Secret;

/// Parameters that neither configuration, nor an endpoint's own query, nor the SPA may set.
const PROTOCOL: [&str; 18] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "request",
    "request_uri",
    "registration",
    "id_token_hint",
    "grant_type",
    "authorization_details",
];

/// What the SPA may wish for beside `scope`.
const WISHES: [&str; 5] = ["prompt", "login_hint", "ui_locales", "acr_values", "max_age"];

/// One login's own part of the authorization request.
#[derive(Clone)]
pub struct AuthorizationRequest {
    /// Unguessable, single-use.
    pub state: String,
    /// Unguessable, single-use, at most 64 characters.
    pub nonce: String,
    /// See [`code_challenge`].
    pub code_challenge: String,
    /// Wishes of the SPA; unknown ones are dropped, `scope` is cut to what is configured.
    pub extra: Vec<(String, String)>,
}

/// The client's part of every authorization request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    pub(super) redirect_uri: &'a RedirectUrl,
    pub(super) scopes: &'a [String],
    /// What the grant is for (RFC 8707 §2.1).
    pub(super) resources: &'a [String],
    /// What is asked for in detail (RFC 9396 §3).
    pub(super) details: Option<&'a str>,
    /// The operator's parameters; they win over the SPA's.
    pub(super) params: &'a BTreeMap<String, String>,
    pub(super) response_mode: ResponseMode,
}

/// The S256 challenge of a code verifier (RFC 7636 §4.2).
///
/// By hand, because the `oauth2` crate would keep a copy of the verifier that is not wiped.
pub fn code_challenge(verifier: &Secret<String>) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()))
}

/// Whether `name` is a parameter that only this module sets.
pub(super) fn is_protocol_parameter(name: &str) -> bool {
    PROTOCOL.contains(&name)
}

/// The URL that the browser is sent to; `endpoint` keeps its own query.
pub(super) fn url(endpoint: &Url, client: Client<'_>, request: &AuthorizationRequest) -> String {
    let oauth = BasicClient::new(ClientId::new(client.id.to_owned()))
        .set_auth_uri(AuthUrl::from_url(endpoint.clone()));
    let mut url = oauth
        .authorize_url(|| CsrfToken::new(request.state.clone()))
        .set_redirect_uri(Cow::Borrowed(client.redirect_uri))
        .add_scopes(scopes(client.scopes, &request.extra).map(|scope| Scope::new(scope.to_owned())))
        .add_extra_param("nonce", &request.nonce)
        .add_extra_param("code_challenge", &request.code_challenge)
        .add_extra_param("code_challenge_method", "S256");
    if client.response_mode != ResponseMode::Query {
        url = url.add_extra_param("response_mode", client.response_mode.name());
    }
    for resource in client.resources {
        url = url.add_extra_param("resource", resource);
    }
    if let Some(details) = client.details {
        url = url.add_extra_param("authorization_details", details);
    }
    for (name, value) in client.params {
        url = url.add_extra_param(name, value);
    }
    let is_set = |name: &str| {
        client.params.contains_key(name) || endpoint.query_pairs().any(|(known, _)| known == name)
    };
    for wish in WISHES.iter().filter(|wish| !is_set(wish)) {
        if let Some((_, value)) = request.extra.iter().find(|(name, _)| name == wish) {
            url = url.add_extra_param(*wish, value);
        }
    }
    url.url().0.into()
}

/// The configured scopes, or those of them that the SPA wished for; `openid` always.
pub(super) fn scopes<'a>(
    configured: &'a [String],
    extra: &'a [(String, String)],
) -> impl Iterator<Item = &'a str> {
    let wished = extra.iter().find(|(name, _)| name == "scope").map(|(_, value)| value.as_str());
    configured.iter().map(String::as_str).filter(move |scope| {
        *scope == "openid"
            || wished.is_none_or(|wished| wished.split(' ').any(|wish| wish == *scope))
    })
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
