//! The demo API: what a real API behind the proxy would be. Believes an access token only after checking it, and
//! never shows one.

mod caller;
mod handlers;
mod live;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};

use crate::clock::Clock;

use super::issuer::keys::SigningKey;

/// What the handlers need.
#[derive(Debug)]
pub struct Api {
    issuer: String,
    key: Arc<SigningKey>,
    clock: Clock,
}

impl Api {
    /// An API that believes `issuer`, which signs with `key`.
    pub fn new(issuer: String, key: Arc<SigningKey>, clock: Clock) -> Self {
        Self { issuer, key, clock }
    }
}

/// Where what is answered.
pub fn routes(app: &mut ServiceConfig) {
    app.service(web::resource(["/api/echo", "/api/echo/{rest:.*}"]).to(handlers::echo))
        .route("/api/slow", web::get().to(handlers::slow))
        .service(web::resource("/api/error").to(handlers::error))
        .service(web::resource("/api/forbidden").to(handlers::forbidden))
        .route("/api/transfer", web::post().to(handlers::transfer))
        .service(web::resource("/api/upload").route(web::post().to(handlers::upload)))
        .route("/api/download/report.csv", web::get().to(handlers::report))
        .route("/api/events", web::get().to(live::events))
        .route("/api/socket", web::get().to(live::socket))
        .route("/public/hello", web::get().to(handlers::hello))
        .default_service(web::to(handlers::not_found));
}
