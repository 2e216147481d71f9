//! Why a login failed: the closed list of `auth_error` values that the app's error page gets, each with its mend.
//! Never carries text of the authorization server (CB-05).

/// The cause of a failed or circling login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthError {
    /// The callback came without the cookie that `/login` set.
    LoginCookieMissing,
    /// A login worked, and its session cookie did not come back.
    SessionCookieMissing,
    /// Logins work, and the app starts the next one at once.
    RepeatedLogin,
    LoginStateMismatch,
    LoginExpired,
    LoginUsed,
    LoginDenied,
    InteractionNeeded,
    Clock,
    IssuerMismatch,
    /// The answer came to another provider's callback.
    ProviderMismatch,
    IdTokenInvalid,
    ClientRejected,
    CodeRejected,
    StepUpFailed,
    SessionTooLarge,
    ProviderUnavailable,
    StoreUnavailable,
    LoginFailed,
}

impl AuthError {
    /// Every cause, for the documentation test.
    pub const ALL: [Self; 19] = [
        Self::LoginCookieMissing,
        Self::SessionCookieMissing,
        Self::RepeatedLogin,
        Self::LoginStateMismatch,
        Self::LoginExpired,
        Self::LoginUsed,
        Self::LoginDenied,
        Self::InteractionNeeded,
        Self::Clock,
        Self::IssuerMismatch,
        Self::ProviderMismatch,
        Self::IdTokenInvalid,
        Self::ClientRejected,
        Self::CodeRejected,
        Self::StepUpFailed,
        Self::SessionTooLarge,
        Self::ProviderUnavailable,
        Self::StoreUnavailable,
        Self::LoginFailed,
    ];

    /// The value of `auth_error`.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// What happened and how to mend it, for the person who runs the app.
    pub fn mend(self) -> &'static str {
        self.row().1
    }

    #[expect(clippy::too_many_lines, reason = "a table, one entry per code")]
    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::LoginCookieMissing => (
                "login_cookie_missing",
                "The browser did not return the login cookie. Open the app under the host of server.public_url, over HTTPS (plain HTTP works on localhost only, and not in Safari), and let cookies through.",
            ),
            Self::SessionCookieMissing => (
                "session_cookie_missing",
                "Signing in worked, but the browser did not return the session cookie. Open the app under the host of server.public_url, over HTTPS (plain HTTP works on localhost only, and not in Safari).",
            ),
            Self::RepeatedLogin => (
                "repeated_login",
                "Signing in works, and the app asks for it again at once. See why: an API that answers 401 to a valid token is not cured by a new login.",
            ),
            Self::LoginStateMismatch => (
                "login_state_mismatch",
                "The answer does not belong to a login of this browser. Start again from the app.",
            ),
            Self::LoginExpired => (
                "login_expired",
                "The login took longer than login.max_age. Start again from the app.",
            ),
            Self::LoginUsed => {
                ("login_used", "This answer has been used already. Start again from the app.")
            }
            Self::LoginDenied => (
                "login_denied",
                "The authorization server said that access was denied, for example because consent was refused.",
            ),
            Self::InteractionNeeded => (
                "interaction_needed",
                "The authorization server needs the user to act, which prompt=none forbids. Start a login without prompt=none.",
            ),
            Self::Clock => (
                "clock",
                "The clocks of this server and of the authorization server differ. Synchronise them, or raise provider.clock_skew.",
            ),
            Self::IssuerMismatch => (
                "issuer_mismatch",
                "The answer came from another issuer than provider.issuer. Compare it with the issuer in the discovery document, character by character.",
            ),
            Self::ProviderMismatch => (
                "provider_mismatch",
                "The answer came to the callback of another provider than the one that was asked. Register public_url + base_path + /callback/ + the provider's id there.",
            ),
            Self::IdTokenInvalid => (
                "id_token_invalid",
                "The ID token failed a check. The log names it under this request id.",
            ),
            Self::ClientRejected => (
                "client_rejected",
                "The authorization server refused our client id or secret. Compare provider.client_id, the secret and provider.auth_method with its registration.",
            ),
            Self::CodeRejected => (
                "code_rejected",
                "The authorization server refused the code. Register the redirect URI exactly as public_url + base_path + /callback (of several providers each its own, with / and its id behind), and start again.",
            ),
            Self::StepUpFailed => (
                "step_up_failed",
                "The authorization server did not sign the user in the way that was asked for (acr_values, max_age). The session of before goes on. Let the operator see whether it knows these authentication contexts.",
            ),
            Self::SessionTooLarge => (
                "session_too_large",
                "The tokens do not fit into cookies. Ask the authorization server for smaller tokens (fewer claims, opaque access tokens).",
            ),
            Self::ProviderUnavailable => (
                "provider_unavailable",
                "The authorization server cannot be reached. Try again later.",
            ),
            Self::StoreUnavailable => (
                "store_unavailable",
                "The store of the sessions cannot be reached. Try again later.",
            ),
            Self::LoginFailed => {
                ("login_failed", "The login failed. The log tells more under this request id.")
            }
        }
    }
}
