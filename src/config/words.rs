//! Small words of the protocols: header, cookie and parameter names, scopes, methods. Each either fits its grammar
//! and stays out of what is ours or the protocol's, or is refused.

use super::report::{Wrong, wrong};

/// Headers that carry no proof: a cross-site form or a plain `fetch` may set them (CORS-safelisted), or they have a
/// meaning already.
const TAKEN_HEADERS: [&str; 47] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "dpop",
    "expect",
    "forwarded",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "origin",
    "pragma",
    "purpose",
    "range",
    "referer",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-request-id",
    "x-requested-by",
];

/// Parameters of the authorization request that are ours to set. `max_age` obliges us to check `auth_time`
/// (OpenID Connect Core 3.1.3.7-13), which only a login that asked for it does.
const PROTOCOL_PARAMS: [&str; 25] = [
    "authorization_details",
    "claims",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "dpop_jkt",
    "grant_type",
    "id_token_hint",
    "iss",
    "max_age",
    "nonce",
    "redirect_uri",
    "registration",
    "request",
    "request_uri",
    "response",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Response fields that are never the operator's to set.
const OWN_FIELDS: [&str; 41] = [
    "accept-ch",
    "activate-storage-access",
    "alt-svc",
    "authentication-info",
    "clear-site-data",
    "cloakroom-error",
    "connection",
    "content-length",
    "content-location",
    "critical-ch",
    "date",
    "document-policy",
    "http2-settings",
    "integrity-policy",
    "keep-alive",
    "location",
    "nel",
    "observe-browsing-topics",
    "origin-agent-cluster",
    "public-key-pins",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "sec-session-registration",
    "secure-session-registration",
    "service-worker",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
    "speculation-rules",
    "strict-transport-security",
    "te",
    "timing-allow-origin",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "use-as-dictionary",
    "www-authenticate",
    "x-content-type-options",
    "x-request-id",
];

/// A token of RFC 9110 section 5.6.2: what names of headers, cookies and methods are made of.
pub(super) fn is_token(text: &str) -> bool {
    let mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
}

/// The name of the CSRF header, in lower case. It must be one that makes browsers ask first (Fetch: a header that is
/// not CORS-safelisted causes a preflight).
pub(super) fn parse_csrf_header(text: &str) -> Result<String, Wrong> {
    let shape = Wrong { problem: "not a header name", mend: "write one like \"x-csrf\"" };
    let taken = Wrong {
        problem: "a standard header proves nothing, or breaks something",
        mend: "use one of your own, e.g. \"x-csrf\"",
    };
    free_header(text, shape, taken)
}

/// The name of a request field that tells a claim, in lower case: one that has no other meaning.
pub(super) fn parse_claim_field(text: &str) -> Result<String, Wrong> {
    const MEND: &str = "use one of your own of letters, digits and dashes, e.g. \"x-region\"";
    let shape = Wrong { problem: "not a header name of letters, digits and dashes", mend: MEND };
    let taken = Wrong { problem: "a standard header has a meaning already", mend: MEND };
    // Other characters are other spellings of a dash to some servers.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(shape);
    }
    free_header(text, shape, taken)
}

/// A header name that means nothing yet, in lower case.
fn free_header(text: &str, shape: Wrong, taken: Wrong) -> Result<String, Wrong> {
    const FAMILIES: [&str; 6] =
        ["sec-", "proxy-", "access-control-", "x-forwarded-", "x-http-method", "x-method-override"];
    let name = text.to_ascii_lowercase();
    if !is_token(&name) || name.len() > 64 {
        return Err(shape);
    }
    if TAKEN_HEADERS.contains(&name.as_str())
        || FAMILIES.iter().any(|start| name.starts_with(start))
    {
        return Err(taken);
    }
    Ok(name)
}

/// A cookie name that passes through the proxy.
pub(super) fn parse_foreign_cookie(text: &str) -> Result<String, Wrong> {
    let lower = text.to_ascii_lowercase();
    if !is_token(text) {
        return wrong("not a cookie name", "write the name alone, without value and attributes");
    }
    if ["__host-", "__secure-", "__http-"].iter().any(|prefix| lower.starts_with(prefix)) {
        return wrong(
            "the prefix is reserved for our own cookies, which never reach an upstream",
            "rename the upstream's cookie",
        );
    }
    Ok(text.to_owned())
}

/// The name of a header field, in lower case.
pub(super) fn parse_field_name(text: &str) -> Result<String, Wrong> {
    if is_token(text) && text.len() <= 64 {
        Ok(text.to_ascii_lowercase())
    } else {
        wrong("not a header name", "write the name alone, e.g. \"x-api-version\"")
    }
}

/// The name of a response field that an operator may set: none that frames the message, steers the browser's whole
/// origin, or keeps a proxied answer from becoming a page.
pub(super) fn parse_own_field(text: &str) -> Result<String, Wrong> {
    const FAMILIES: [&str; 4] =
        ["access-control-", "cross-origin-", "content-security-policy", "proxy-"];
    let name = parse_field_name(text)?;
    if OWN_FIELDS.contains(&name.as_str()) || FAMILIES.iter().any(|family| name.starts_with(family))
    {
        return wrong("this field is set here alone, or steers the whole origin", "remove it");
    }
    Ok(name)
}

/// The value of a header field: printable ASCII without blanks at its ends (RFC 9110 section 5.5).
pub(super) fn parse_field_value(text: &str) -> Result<String, Wrong> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.is_empty() || !is_plain || text.trim() != text {
        return wrong("not a header value", "write printable ASCII, without blanks at the ends");
    }
    Ok(text.to_owned())
}

/// A method that a route lets through.
pub(super) fn parse_method(text: &str) -> Result<String, Wrong> {
    if !is_token(text) || text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return wrong("not a method", "write it in upper case, e.g. \"GET\"");
    }
    if matches!(text, "TRACE" | "CONNECT") {
        return wrong("TRACE and CONNECT are never proxied", "remove it");
    }
    Ok(text.to_owned())
}

/// A scope token of RFC 6749 section 3.3.
pub(super) fn parse_scope(text: &str) -> Result<String, Wrong> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if text.is_empty() || !text.bytes().all(fits) {
        return wrong("not a scope", "write one scope per entry, without spaces and quotes");
    }
    Ok(text.to_owned())
}

/// The name of a further parameter of the authorization request.
pub(super) fn check_extra_param(name: &str) -> Result<(), Wrong> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || !name.bytes().all(plain) {
        return wrong("not a parameter name", "use letters, digits, `_`, `-` and `.`");
    }
    if PROTOCOL_PARAMS.contains(&name.to_ascii_lowercase().as_str()) {
        return wrong("is a parameter of the protocol, set by Cloakroom", "remove it");
    }
    Ok(())
}

/// A value out of a closed list.
pub(super) fn parse_choice(
    known: &[&str],
    mend: &'static str,
    text: &str,
) -> Result<String, Wrong> {
    if known.contains(&text) {
        Ok(text.to_owned())
    } else {
        wrong("is not in the closed list", mend)
    }
}

/// Text that can stand in a header field or a parameter: something, and no control characters.
pub(super) fn parse_plain(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() {
        return wrong("is empty", "write something, or remove it");
    }
    if text.chars().any(char::is_control) {
        return wrong("holds a control character", "remove it");
    }
    Ok(text.to_owned())
}

/// A media type without parameters, in lower case.
pub(super) fn parse_media_type(text: &str) -> Result<String, Wrong> {
    let fits =
        text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if !fits || !lower || text.contains('*') {
        return wrong(
            "not a media type",
            "write it in lower case without parameters, e.g. \"image/png\"",
        );
    }
    Ok(text.to_owned())
}
