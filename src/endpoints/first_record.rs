//! The first generation of a session, from what a login brought. Keeps no claim that neither the SPA nor a route asks for.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::oidc::Login;
use crate::session::{Claims, Registration, SessionId, SessionRecord};

/// The names of the claims that a session keeps: for the SPA, and for the rules of routes.
pub struct Kept {
    pub shown: Vec<String>,
    pub ruled: Arc<Vec<String>>,
}

/// The record; its times are the caller's to set.
pub fn record_of(
    login: Login,
    (session_id, registration): (SessionId, Registration),
    kept: &Kept,
    now: Timestamp,
) -> SessionRecord {
    let Login { tokens, claims } = login;
    let all = claims.all;
    let mut record = SessionRecord {
        registration,
        session_id,
        generation: 1,
        claims: shown_claims(&all, &kept.shown),
        subject: claims.sub,
        op_sid: claims.sid,
        auth_time: claims.auth_time,
        acr: claims.acr,
        created: now,
        expires: now,
        sealed_at: now,
        access_token: tokens.access_token,
        access_expires: tokens.expires_at,
        refresh_token: tokens.refresh_token,
        proof_key: tokens.proof_key,
        scope: tokens.scope,
        id_token: tokens.id_token,
        extensions: Vec::new(),
    };
    record.set_bound_to(tokens.bound_to);
    record.set_authorization_details(tokens.authorization_details.as_ref());
    record.keep_ruled(&all, &kept.ruled);
    record
}

/// ID-21: only listed claims are ever shown to the SPA, so only they are kept for it.
fn shown_claims(all: &Claims, shown: &[String]) -> String {
    let kept: Claims = all
        .iter()
        .filter(|(name, _)| shown.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    serde_json::Value::Object(kept).to_string()
}
