//! `POST /refresh`: the SPA says that its user is active; the token is renewed only when its end is near (RF-12).
//! Never returns a token.

use actix_web::HttpResponse;

use super::call::Call;
use super::sessions::Sessions;
use crate::edge::{Problem, set_cookies};
use crate::guard::Guard;
use crate::tokens::Freshness;

/// Extends the idle time, and refreshes inside the early window.
pub async fn answer(
    call: &Call<'_>,
    guard: &Guard,
    sessions: &Sessions,
) -> Result<HttpResponse, (Problem, Vec<String>)> {
    guard.header_route(&call.facts).map_err(|refusal| (refusal.into(), Vec::new()))?;
    call.refuse_forms().map_err(|problem| (problem, Vec::new()))?;
    let session = sessions.open(call).await.map_err(|why| sessions.not_logged_in(why, call.jar))?;
    let record = &session.record;
    let state = sessions.freshness(record, call.now);
    if state == Freshness::Fresh || (state == Freshness::Early && record.refresh_token.is_none()) {
        let lines = sessions.touch(&session, call).await;
        return Ok(body(record.access_expires.seconds_after(call.now), lines));
    }
    let next = sessions.next(record, call.request_id, call.jar).await?;
    let lines = sessions.reseal(&next, call).await?;
    Ok(body(next.access_expires.seconds_after(sessions.clock.now()), lines))
}

fn body(expires_in: u64, lines: Vec<String>) -> HttpResponse {
    let mut response = HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(serde_json::json!({ "access_token_expires_in": expires_in }));
    set_cookies(&mut response, lines);
    response
}
