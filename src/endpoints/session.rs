//! `GET /session`: tells the SPA whether it is logged in, who the user is, and how long things last.
//! Never extends anything, never shows a token, and answers 200 to both states (EL-09), as long as it knows.

use actix_web::HttpResponse;
use serde_json::value::RawValue;

use super::call::Call;
use super::sessions::{NoSession, Sessions};
use crate::edge::{Problem, set_cookies};
use crate::guard::Guard;
use crate::session::OpenSession;

/// Answers with the state of the session.
pub async fn answer(
    call: &Call<'_>,
    guard: &Guard,
    sessions: &Sessions,
) -> Result<HttpResponse, Problem> {
    guard.header_route(&call.facts)?;
    let opened = sessions.open(call).await;
    if let Err(why @ NoSession::StoreUnavailable) = opened {
        return Err(sessions.not_logged_in(why, call.jar).0);
    }
    let mut response =
        HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(&match &opened {
            Ok(session) => View::of(session, sessions, call),
            Err(_) => View::default(),
        });
    if opened.is_err_and(|why| why == NoSession::ClearCookies) {
        set_cookies(&mut response, sessions.cookies.clear(call.jar));
    }
    Ok(response)
}

/// The body; everything but `authenticated` is left out when nobody is logged in.
#[derive(Default, serde::Serialize)]
struct View<'a> {
    authenticated: bool,
    /// By its name in the configuration, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a RawValue>,
    /// What was granted in detail, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_expires_in: Option<u64>,
}

impl<'a> View<'a> {
    fn of(session: &'a OpenSession, sessions: &'a Sessions, call: &Call<'_>) -> Self {
        let (record, providers) = (&session.record, &sessions.providers);
        let provider = providers.of(record.registration).filter(|_| providers.are_several());
        Self {
            authenticated: true,
            provider: provider.map(|provider| provider.id.as_str()),
            claims: serde_json::from_str(&record.claims).ok(),
            authorization_details: record
                .authorization_details()
                .and_then(|text| serde_json::from_str(text).ok()),
            access_token_expires_in: Some(record.access_expires.seconds_after(call.now)),
            session_expires_in: Some(record.ends().seconds_after(call.now)),
            idle_expires_in: Some(sessions.idle_end(session).seconds_after(call.now)),
        }
    }
}
