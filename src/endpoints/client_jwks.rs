//! `GET /.well-known/jwks.json`: the public keys by which authorization servers know this client. Nothing private, nothing about
//! anybody: whoever asks may have it, so there is no guard.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use crate::edge::{Code, Problem};
use crate::tokens::Providers;

/// How long a server may keep it: a next key is known everywhere after so much time.
const KEPT: &str = "public, max-age=300";

/// The keys of all providers of the app; 404 where none is used.
pub fn answer(providers: &Providers) -> Result<HttpResponse, Problem> {
    let mut keys: Vec<&Value> = Vec::new();
    for key in providers.iter().flat_map(|one| one.provider.client_keys()) {
        // One key for two servers is a warning of `check`, and one entry here.
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return Err(Problem::new(Code::NotFound));
    }
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, KEPT))
        .content_type("application/jwk-set+json")
        .body(json!({ "keys": keys }).to_string()))
}
