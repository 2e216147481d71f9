//! The authorization request: parsed and checked, or refused. Decides whether a refusal may travel to the redirect
//! URI: only when client and redirect URI are right, else the server would be an open redirector (RFC 6749 4.1.2.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::params::Params;
use super::{CONFIRMED, Issuer, SCOPES};

/// A request that may be answered.
pub struct AuthorizationRequest {
    pub redirect_uri: String,
    pub state: Option<String>,
    pub nonce: Option<String>,
    /// Granted scopes, in our order, separated by spaces.
    pub scope: String,
    pub code_challenge: String,
    pub prompt: Prompt,
    /// Seconds.
    pub max_age: Option<u64>,
    pub login_hint: Option<String>,
    /// The user is to confirm, for this very request, that it is them ([`CONFIRMED`]).
    pub confirm: bool,
    /// The request again, for our own forms.
    pub query: String,
}

/// What the client wants the user to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    pub none: bool,
    /// `login` or `select_account`: here choosing the account is the login.
    pub login: bool,
    pub consent: bool,
}

/// Why not.
pub enum Refusal {
    /// Told to the user: nobody else can be trusted with it.
    Page(&'static str),
    /// Told to the client.
    Redirect(ErrorResponse),
}

/// An error response on its way to the client.
pub struct ErrorResponse {
    pub redirect_uri: String,
    pub state: Option<String>,
    pub error: &'static str,
    pub description: &'static str,
}

impl AuthorizationRequest {
    /// Checks the parameters in `raw`, a query or form.
    pub fn parse(raw: &[u8], issuer: &Issuer) -> Result<Self, Refusal> {
        let params = Params::parse(raw).map_err(|_| Refusal::Page("a parameter came twice"))?;
        if params.get("client_id") != Some(issuer.options.client_id.as_str()) {
            return Err(Refusal::Page("the client is not known"));
        }
        // RFC 9700 section 2.1: exact string comparison, nothing else.
        if params.get("redirect_uri") != Some(issuer.options.redirect_uri.as_str()) {
            return Err(Refusal::Page("the redirect URI is not registered"));
        }
        Self::check(&params, &issuer.options.redirect_uri).map_err(|(error, description)| {
            Refusal::Redirect(ErrorResponse {
                redirect_uri: issuer.options.redirect_uri.clone(),
                state: params.get("state").map(str::to_owned),
                error,
                description,
            })
        })
    }

    fn check(params: &Params, redirect_uri: &str) -> Result<Self, (&'static str, &'static str)> {
        for (name, error) in
            [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")]
        {
            if params.get(name).is_some() {
                return Err((error, "send plain parameters"));
            }
        }
        if params.get("response_type") != Some("code") {
            return Err(("unsupported_response_type", "only code"));
        }
        if !matches!(params.get("response_mode"), None | Some("query")) {
            return Err(("invalid_request", "only response_mode=query"));
        }
        let max_age = match params.get("max_age").map(str::parse) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(("invalid_request", "max_age is no number")),
        };
        Ok(Self {
            redirect_uri: redirect_uri.to_owned(),
            state: params.get("state").map(str::to_owned),
            nonce: params.get("nonce").map(str::to_owned),
            scope: scope(params.get("scope").unwrap_or_default())?,
            code_challenge: code_challenge(params)?,
            prompt: prompt(params.get("prompt").unwrap_or_default())?,
            max_age,
            login_hint: params.get("login_hint").map(str::to_owned),
            confirm: params.get("acr_values").is_some_and(wants_confirmation),
            query: params.to_query(),
        })
    }

    /// This request refused after all.
    pub fn refused(&self, error: &'static str, description: &'static str) -> ErrorResponse {
        ErrorResponse {
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
            error,
            description,
        }
    }
}

/// Of several contexts the first that is known counts, and only one is known (OpenID Connect Core 3.1.2.1).
fn wants_confirmation(acr_values: &str) -> bool {
    acr_values.split(' ').any(|name| name == CONFIRMED)
}

fn scope(asked: &str) -> Result<String, (&'static str, &'static str)> {
    let words: Vec<&str> = asked.split(' ').filter(|word| !word.is_empty()).collect();
    if !words.contains(&"openid") {
        return Err(("invalid_scope", "openid is missing"));
    }
    if words.iter().any(|word| !SCOPES.contains(word) && *word != "offline_access") {
        return Err(("invalid_scope", "known scopes: openid profile email sales"));
    }
    let granted: Vec<&str> = SCOPES.into_iter().filter(|scope| words.contains(scope)).collect();
    Ok(granted.join(" "))
}

/// PKCE is required, and `plain` is no PKCE (RFC 9700 section 2.1.1).
fn code_challenge(params: &Params) -> Result<String, (&'static str, &'static str)> {
    if params.get("code_challenge_method") != Some("S256") {
        return Err(("invalid_request", "code_challenge_method must be S256"));
    }
    let challenge = params.get("code_challenge").unwrap_or_default();
    match URL_SAFE_NO_PAD.decode(challenge) {
        Ok(digest) if digest.len() == 32 => Ok(challenge.to_owned()),
        _ => Err(("invalid_request", "code_challenge is no SHA-256 digest")),
    }
}

fn prompt(asked: &str) -> Result<Prompt, (&'static str, &'static str)> {
    let mut prompt = Prompt::default();
    for word in asked.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(("invalid_request", "unknown prompt")),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(("invalid_request", "prompt=none stands alone"));
    }
    Ok(prompt)
}
