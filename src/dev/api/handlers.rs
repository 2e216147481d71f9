//! The demo API's answers. Bodies are counted or hashed as they stream in, never kept; a token never comes back out.

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, CONTENT_DISPOSITION, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::dev::bearer::bearer_token;
use crate::dev::issuer::CONFIRMED;

use super::caller::Caller;

/// Bytes of a request body.
const BODY_LIMIT: u64 = 1 << 30;
const LONGEST_SLEEP_MS: u64 = 10_000;
/// A scope that nobody can be granted.
const FORBIDDEN_SCOPE: &str = "vault";

/// `* /api/echo`: the request as it arrived, without its token.
pub async fn echo(request: HttpRequest, caller: Caller, body: web::Payload) -> HttpResponse {
    let Some(body_bytes) = drain(body, |_| ()).await else { return too_large() };
    let token = bearer_token(&request).unwrap_or_default();
    HttpResponse::Ok().json(json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": request.query_string().replace(token, "[redacted]"),
        "headers": headers(&request, token),
        "claims": caller.0,
        "body_bytes": body_bytes,
    }))
}

/// `GET /api/slow?ms=`: answers later, after ten seconds at most.
pub async fn slow(request: HttpRequest, _caller: Caller) -> HttpResponse {
    let asked = form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(name, _)| name == "ms")
        .and_then(|(_, value)| value.parse::<u64>().ok());
    let ms = asked.unwrap_or(1_000).min(LONGEST_SLEEP_MS);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    HttpResponse::Ok().json(json!({ "slept_ms": ms }))
}

/// `* /api/error`: an API that fails.
pub async fn error(_caller: Caller) -> HttpResponse {
    HttpResponse::InternalServerError().json(json!({ "error": "demo_failure" }))
}

/// `* /api/forbidden`: wants a scope that no token has (RFC 6750 section 3.1).
pub async fn forbidden(caller: Caller) -> HttpResponse {
    if caller.has_scope(FORBIDDEN_SCOPE) {
        return HttpResponse::Ok().json(json!({ "vault": "empty" }));
    }
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{FORBIDDEN_SCOPE}\"");
    HttpResponse::Forbidden()
        .insert_header((WWW_AUTHENTICATE, challenge))
        .json(json!({ "error": "insufficient_scope" }))
}

/// `POST /api/transfer`: wants a user who has just confirmed that it is them (RFC 9470).
pub async fn transfer(caller: Caller) -> HttpResponse {
    if caller.has_acr(CONFIRMED) {
        return HttpResponse::Ok().json(json!({ "transferred": 100, "to": "savings" }));
    }
    let challenge =
        format!("Bearer error=\"insufficient_user_authentication\", acr_values=\"{CONFIRMED}\"");
    HttpResponse::Unauthorized()
        .insert_header((WWW_AUTHENTICATE, challenge))
        .json(json!({ "error": "insufficient_user_authentication" }))
}

/// `POST /api/upload`: size and hash of the body.
pub async fn upload(_caller: Caller, body: web::Payload) -> HttpResponse {
    let mut hash = Sha256::new();
    let Some(bytes) = drain(body, |chunk| hash.update(chunk)).await else { return too_large() };
    HttpResponse::Ok().json(json!({ "bytes": bytes, "sha256": hex(&hash.finalize()) }))
}

/// `GET /api/download/report.csv`
pub async fn report(caller: Caller) -> HttpResponse {
    let sub = caller.0.get("sub").and_then(Value::as_str).unwrap_or_default();
    let region = caller.0.get("region").and_then(Value::as_str).unwrap_or("-");
    HttpResponse::Ok()
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"report.csv\""))
        .content_type("text/csv; charset=utf-8")
        .body(format!(
            "month,region,seller,revenue\n2026-01,{region},{sub},1200\n2026-02,{region},{sub},1350\n"
        ))
}

/// `GET /public/hello`: needs no token.
pub async fn hello() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "hello": "world" }))
}

/// Everything else.
pub async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": "not_found" }))
}

fn headers(request: &HttpRequest, token: &str) -> Map<String, Value> {
    let mut shown = Map::new();
    for (name, value) in request.headers() {
        let text = if name == AUTHORIZATION {
            "[redacted]".to_owned()
        } else {
            String::from_utf8_lossy(value.as_bytes()).replace(token, "[redacted]")
        };
        let all = shown.get(name.as_str()).and_then(Value::as_str).map(|s| format!("{s}, {text}"));
        shown.insert(name.as_str().to_owned(), Value::String(all.unwrap_or(text)));
    }
    shown
}

/// Reads the body to its end and gives every chunk to `see`. `None` if it is too large or breaks off.
async fn drain(mut body: web::Payload, mut see: impl FnMut(&[u8])) -> Option<u64> {
    let mut bytes = 0_u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.ok()?;
        bytes = bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if bytes > BODY_LIMIT {
            return None;
        }
        see(&chunk);
    }
    Some(bytes)
}

fn too_large() -> HttpResponse {
    HttpResponse::PayloadTooLarge().json(json!({ "error": "body_too_large_or_broken" }))
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
