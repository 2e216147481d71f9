//! Every error code that Cloakroom answers with, its status and its words. Declared here and nowhere else;
//! docs/errors.md lists the same, and a test keeps the two together.

/// A stable problem code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NotLoggedIn,
    SessionExpired,
    SessionTooLarge,
    CsrfHeaderMissing,
    CsrfHeaderInvalid,
    CsrfOrigin,
    CsrfFetchSite,
    CsrfNoSignal,
    ForbiddenHost,
    ForbiddenFetchDest,
    ForbiddenMethod,
    ForbiddenPrefetch,
    ScopeMissing,
    ClaimMissing,
    ClaimUnknown,
    RateLimited,
    BadRequest,
    BadParameter,
    BadReturnTo,
    UnknownProvider,
    BadPath,
    UnsupportedMediaType,
    MethodNotAllowed,
    NotFound,
    BodyTooLarge,
    LoginLoop,
    LogoutTokenRefused,
    StepUpRequired,
    StepUpFailed,
    TokenInactive,
    ApiTokenRefused,
    ApiNonceNeeded,
    ProviderUnavailable,
    StoreUnavailable,
    TooManyStreams,
    UpgradeUnsupported,
    BadHandshake,
    UpstreamUnavailable,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamBusy,
    DevServerUnavailable,
    Internal,
}

impl Code {
    /// Every code, for the documentation test.
    pub const ALL: [Self; 43] = [
        Self::NotLoggedIn,
        Self::SessionExpired,
        Self::SessionTooLarge,
        Self::CsrfHeaderMissing,
        Self::CsrfHeaderInvalid,
        Self::CsrfOrigin,
        Self::CsrfFetchSite,
        Self::CsrfNoSignal,
        Self::ForbiddenHost,
        Self::ForbiddenFetchDest,
        Self::ForbiddenMethod,
        Self::ForbiddenPrefetch,
        Self::ScopeMissing,
        Self::ClaimMissing,
        Self::ClaimUnknown,
        Self::RateLimited,
        Self::BadRequest,
        Self::BadParameter,
        Self::BadReturnTo,
        Self::UnknownProvider,
        Self::BadPath,
        Self::UnsupportedMediaType,
        Self::MethodNotAllowed,
        Self::NotFound,
        Self::BodyTooLarge,
        Self::LoginLoop,
        Self::LogoutTokenRefused,
        Self::StepUpRequired,
        Self::StepUpFailed,
        Self::TokenInactive,
        Self::ApiTokenRefused,
        Self::ApiNonceNeeded,
        Self::ProviderUnavailable,
        Self::StoreUnavailable,
        Self::TooManyStreams,
        Self::UpgradeUnsupported,
        Self::BadHandshake,
        Self::UpstreamUnavailable,
        Self::UpstreamInvalid,
        Self::UpstreamTimeout,
        Self::UpstreamBusy,
        Self::DevServerUnavailable,
        Self::Internal,
    ];

    /// The code as it stands in the problem document and in `Cloakroom-Error`.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// What happened, in a few words.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// What to do next.
    pub fn mend(self) -> &'static str {
        self.row().3
    }

    /// The code that a guard's refusal is answered with; `Internal` for one that is not listed here.
    pub(super) fn of_refusal(code: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.as_str() == code).unwrap_or(Self::Internal)
    }

    #[expect(clippy::too_many_lines, reason = "a table, one entry per code")]
    fn row(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Self::NotLoggedIn => {
                ("not_logged_in", 401, "Not logged in", "Send the browser to /login.")
            }
            Self::SessionExpired => {
                ("session_expired", 401, "The session has ended", "Send the browser to /login.")
            }
            Self::SessionTooLarge => (
                "session_too_large",
                401,
                "The session has ended: its new tokens do not fit into cookies",
                "Ask the authorization server for smaller tokens, then sign in again.",
            ),
            Self::CsrfHeaderMissing => (
                "csrf_header_missing",
                403,
                "The CSRF header is missing",
                "Send the header X-CSRF: 1 (or the configured name) with every call.",
            ),
            Self::CsrfHeaderInvalid => (
                "csrf_header_invalid",
                403,
                "The CSRF header is not valid",
                "Send the CSRF header exactly once, with the value 1.",
            ),
            Self::CsrfOrigin => (
                "csrf_origin",
                403,
                "This origin may not call",
                "List the origin under guard.origins if it is yours.",
            ),
            Self::CsrfFetchSite => (
                "csrf_fetch_site",
                403,
                "Another site made this call",
                "Call from the app's own pages.",
            ),
            Self::CsrfNoSignal => (
                "csrf_no_signal",
                403,
                "Nothing tells where this call came from",
                "Call from a browser, which sends Origin or Sec-Fetch-Site.",
            ),
            Self::ForbiddenHost => (
                "forbidden_host",
                421,
                "This host is not served here",
                "Set server.public_url to the address that browsers use, and let the proxy in front keep the Host header.",
            ),
            Self::ForbiddenFetchDest => (
                "forbidden_fetch_dest",
                403,
                "This address cannot be opened as a page or embedded",
                "Use fetch, or list the destination in the route's fetch_dest.",
            ),
            Self::ForbiddenMethod => (
                "forbidden_method",
                403,
                "Only GET and HEAD work without the CSRF header",
                "Send the CSRF header.",
            ),
            Self::ForbiddenPrefetch => (
                "forbidden_prefetch",
                403,
                "Login is not prefetched",
                "Remove the prefetch of /login.",
            ),
            Self::ScopeMissing => (
                "scope_missing",
                403,
                "The login was not granted a scope that this needs",
                "Log in with the scopes listed under missing (/login?scope=…, provider.scopes); or ask for the permission.",
            ),
            Self::ClaimMissing => (
                "claim_missing",
                403,
                "This is not for this user",
                "The claims listed under missing are absent or have another value: mend them at the authorization server, then log in again.",
            ),
            Self::ClaimUnknown => (
                "claim_unknown",
                403,
                "No API serves this user's claim",
                "Add the claim's value to the route's upstream_by.upstreams, or mend it at the authorization server.",
            ),
            Self::RateLimited => {
                ("rate_limited", 429, "Too many requests", "Wait as long as Retry-After says.")
            }
            Self::BadRequest => {
                ("bad_request", 400, "The request cannot be understood", "Mend the request.")
            }
            Self::BadParameter => (
                "bad_parameter",
                400,
                "A parameter is not allowed, repeated or too long",
                "Send each listed parameter once; login.allowed_params lists more.",
            ),
            Self::BadReturnTo => (
                "bad_return_to",
                400,
                "The return target is not a path of the app",
                "Send a path such as /orders?page=2#row-7.",
            ),
            Self::UnknownProvider => (
                "unknown_provider",
                400,
                "This app has no such authorization server",
                "Send the id of one of the app's providers, or no provider for the first.",
            ),
            Self::BadPath => (
                "bad_path",
                400,
                "The path is not in its plain form",
                "Send a path without dot segments, empty segments, backslashes or encoded slashes.",
            ),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                415,
                "This endpoint takes no form",
                "Send no body, or JSON.",
            ),
            Self::MethodNotAllowed => (
                "method_not_allowed",
                405,
                "This method is not allowed here",
                "Use a method that the Allow header lists.",
            ),
            Self::NotFound => ("not_found", 404, "There is nothing here", "Check the address."),
            Self::BodyTooLarge => (
                "body_too_large",
                413,
                "The body is too large",
                "Send less, or raise the route's body_limit.",
            ),
            Self::LoginLoop => (
                "login_loop",
                429,
                "Signing in goes round in circles",
                "Wait a minute, then try again.",
            ),
            Self::LogoutTokenRefused => (
                "logout_token_refused",
                400,
                "The logout token is not acceptable",
                "Send one valid logout_token as a form; the audit line of this request says what is wrong.",
            ),
            Self::StepUpRequired => (
                "step_up_required",
                401,
                "The API wants the user to sign in again, or in a stronger way",
                "Send the browser to login_url with return_to added, then repeat the call.",
            ),
            Self::StepUpFailed => (
                "step_up_failed",
                403,
                "The API is not content with a login that has what it asked for",
                "Do not sign in again. Let the operator compare what the API asks for with what the access token says.",
            ),
            Self::TokenInactive => (
                "token_inactive",
                401,
                "The authorization server does not take the session's access token any more",
                "Send the browser to /login.",
            ),
            Self::ApiTokenRefused => (
                "api_token_refused",
                502,
                "The authorization server gives no token for this API",
                "Let the operator look at the log and at the route's token settings.",
            ),
            Self::ApiNonceNeeded => (
                "api_nonce_needed",
                503,
                "The API wants its nonce in a proof, and the body is too large to be sent twice",
                "Repeat the call: the nonce is known now.",
            ),
            Self::ProviderUnavailable => (
                "provider_unavailable",
                503,
                "The authorization server cannot be reached",
                "Try again later; nobody was logged out.",
            ),
            Self::StoreUnavailable => (
                "store_unavailable",
                503,
                "The store of the sessions cannot be reached",
                "Try again later; nobody was logged out.",
            ),
            Self::TooManyStreams => (
                "too_many_streams",
                503,
                "Too many event streams are open",
                "Read the stream in one tab and tell the others; until then ask GET /session.",
            ),
            Self::UpgradeUnsupported => (
                "upgrade_unsupported",
                400,
                "There is no WebSocket here",
                "Use plain requests, or set websocket = true on the route.",
            ),
            Self::BadHandshake => (
                "bad_handshake",
                400,
                "The WebSocket handshake is not complete",
                "Send a whole handshake of version 13; let the proxy in front pass Upgrade and Connection.",
            ),
            Self::UpstreamUnavailable => {
                ("upstream_unavailable", 502, "The API cannot be reached", "Try again later.")
            }
            Self::UpstreamInvalid => (
                "upstream_invalid",
                502,
                "The API's answer is not valid",
                "Ask whoever runs the API.",
            ),
            Self::UpstreamTimeout => {
                ("upstream_timeout", 504, "The API did not answer in time", "Try again later.")
            }
            Self::UpstreamBusy => (
                "upstream_busy",
                503,
                "The API has more calls than it may have",
                "Try again later.",
            ),
            Self::DevServerUnavailable => (
                "dev_server_unavailable",
                502,
                "Your dev server cannot be reached",
                "Start it, or mend the URL given with --spa.",
            ),
            Self::Internal => (
                "internal",
                500,
                "Something went wrong here",
                "Tell whoever runs this, with the request id.",
            ),
        }
    }
}
