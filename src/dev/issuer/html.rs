//! The frame of every page: one inlined style sheet, no script, nothing from elsewhere, a policy that keeps it so.
//! Text from a request enters a page through [`escape`] only.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::edge::pages::escape;

const STYLE: &str = include_str!("page.css");

static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE.as_bytes()))));

/// A page. `main` is HTML; `form_target` is where a form's answer may redirect to: Chrome checks `form-action` along
/// the whole chain of redirects, so the client's origin has to be in it.
pub fn page(
    status: StatusCode,
    title: &str,
    main: &str,
    form_target: Option<&str>,
) -> HttpResponse {
    let target = form_target
        .and_then(|uri| Url::parse(uri).ok())
        .map(|uri| format!(" {}", uri.origin().ascii_serialization()))
        .unwrap_or_default();
    let forms = if form_target.is_some() { format!("'self'{target}") } else { "'none'".to_owned() };
    let policy = format!(
        "default-src 'none'; style-src '{}'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'",
        *STYLE_HASH
    );
    let title = escape(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{main}\n\
         <footer>Development server on this machine. No passwords, demo users only.</footer>\n\
         </main>\n</body>\n</html>\n"
    );
    HttpResponse::build(status)
        .insert_header(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header(("X-Frame-Options", "DENY"))
        .body(html)
}
