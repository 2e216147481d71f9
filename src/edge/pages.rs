//! The few pages of our own: an error, and "Continue to sign in". No script, nothing loaded, everything escaped.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::headers::{Kind, harden};

const STYLE: &str = include_str!("page.css");
/// The only script of ours.
const POST: &str = "document.forms[0].submit()";

/// Asks for the click that shows the wish to log in; the link leads to the same address.
pub fn continue_page(path: &str, query: &str, request_id: &str) -> HttpResponse {
    let separator = if query.is_empty() { "" } else { "?" };
    let target = escape(&format!("{path}{separator}{query}"));
    let body = page(
        "Continue to sign in",
        &format!(
            "<p>Another site sent you here. Go on only if you want to sign in.</p>\
             <p><a class=\"button\" href=\"{target}\">Continue to sign in</a></p>"
        ),
        request_id,
    );
    let mut response = HttpResponse::Ok().content_type("text/html; charset=utf-8").body(body);
    policy(response.headers_mut());
    harden(response.headers_mut(), Kind::Page, false);
    response
}

/// Posts `fields` to the authorization server's `action` by itself, for a request that is too long for an address. The fields
/// may hold an ID token: the sandbox gives the page an origin of its own, so that no script of the SPA can read it through a
/// window.
pub fn posting_page(action: &str, fields: &[(String, String)], request_id: &str) -> HttpResponse {
    let words = ("Signing out", "Continue to sign out");
    let policy = "sandbox allow-forms allow-scripts allow-top-navigation";
    posting(words, (action, fields), policy, request_id)
}

/// Posts `fields` to `action` once more, from our own origin this time: then the browser sends the cookies along that it keeps
/// back when another site posts. The code among them is worth nothing without those. The answer leads to `app_origin`, which
/// browsers want to see among the places that a form may lead to.
pub fn reposting_page(
    action: &str,
    fields: &[(String, String)],
    app_origin: &str,
    request_id: &str,
) -> HttpResponse {
    let words = ("Signing in", "Continue to sign in");
    let limits = format!("form-action 'self' {app_origin}");
    posting(words, (action, fields), &limits, request_id)
}

fn posting(
    (title, button): (&str, &str),
    (action, fields): (&str, &[(String, String)]),
    limits: &str,
    request_id: &str,
) -> HttpResponse {
    let mut form = format!("<form method=\"post\" action=\"{}\">", escape(action));
    for (name, value) in fields {
        let (name, value) = (escape(name), escape(value));
        form.extend(["<input type=\"hidden\" name=\"", &name, "\" value=\"", &value, "\">"]);
    }
    form.extend(["<button class=\"button\">", button, "</button></form>"]);
    let body = page(title, &format!("{form}<script>{POST}</script>"), request_id);
    let mut response = HttpResponse::Ok().content_type("text/html; charset=utf-8").body(body);
    let (style, script) = (hash(STYLE), hash(POST));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; \
         frame-ancestors 'none'; {limits}"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    harden(response.headers_mut(), Kind::Page, false);
    response
}

/// The body of an error page; its button leads to `home`.
pub(super) fn error_page(
    title: &str,
    mend: &str,
    (code, home): (&str, &str),
    request_id: &str,
) -> String {
    let (mend, code, home) = (escape(mend), escape(code), escape(home));
    let body = format!(
        "<p>{mend}</p><p><a class=\"button\" href=\"{home}\">Back to the app</a></p>\
         <p class=\"small\">Code <code>{code}</code></p>"
    );
    page(title, &body, request_id)
}

/// The policy that lets exactly our own style through.
pub(super) fn policy(headers: &mut HeaderMap) {
    let hash = hash(STYLE);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

fn page(title: &str, body: &str, request_id: &str) -> String {
    let (title, request_id) = (escape(title), escape(request_id));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}\
         <p class=\"small\">Request <code>{request_id}</code></p></main></body></html>"
    )
}

/// Text for an element or a double-quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
