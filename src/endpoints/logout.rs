//! `POST /logout`: ends the session here and at once, and tells the SPA where to go for the rest.
//! Local logout never waits for the authorization server (LO-03, LO-06); the ID token never reaches JavaScript (LO-05).

use std::sync::Arc;

use actix_web::HttpResponse;
use tokio::runtime::Handle;

use super::call::Call;
use super::sessions::Sessions;
use crate::audit::{self, Event};
use crate::config::{LogoutConfig, LogoutMode};
use crate::edge::{Problem, set_cookies};
use crate::guard::Guard;
use crate::session::Kept;
use crate::store::{Tokens, Whom};
use crate::telemetry::{Metrics, SessionEnd};
use crate::tokens::{Ended, Providers};

/// What logout needs beside the session.
pub struct LogoutParts {
    pub providers: Arc<Providers>,
    pub config: LogoutConfig,
    /// `https://app.example.com/logout/continue`
    pub continue_url: String,
    pub control: Handle,
    pub metrics: Metrics,
}

/// Ends the session; answers the same when there is none.
pub async fn answer(
    call: &Call<'_>,
    guard: &Guard,
    sessions: &Sessions,
    parts: &LogoutParts,
) -> Result<HttpResponse, Problem> {
    guard.header_route(&call.facts)?;
    call.refuse_forms()?;
    let mut lines = sessions.cookies.clear(call.jar);
    lines.push(sessions.cookies.clear_trail());
    if let Ok(session) = sessions.open_to_end_it(call).await {
        sessions.keeping.end(&session, call.link).await;
        let hint = match &session.kept {
            Kept::InStore { hint: Some(hint), .. } => {
                sessions.cookies.open_hint(hint, &session.record.session_id)
            }
            _ => sessions.cookies.logout_hint(call.jar, &session.record.session_id),
        };
        let record = session.record;
        let ended = Whom::Session(record.session_id.as_bytes());
        sessions.deny.deny(ended, record.expires, Tokens::Revoke, call.now);
        sessions.api_tokens.forget(record.session_id.as_bytes());
        parts.metrics.logout();
        parts.metrics.session_ended(SessionEnd::Logout);
        audit::record(
            &Event::LoggedOut {
                session: record.session_id.as_bytes(),
                issuer: parts.providers.issuer_of(&record),
                subject: &record.subject,
            },
            call.request_id,
        );
        if parts.config.mode == LogoutMode::RpInitiated {
            let (of, hint) = (record.registration, hint.as_ref());
            lines.push(sessions.cookies.seal_logout_ticket(of, hint, call.now));
        }
        let ended = Ended::of(&record);
        sessions.revocations.queue(ended, sessions.refresher.last(record), call.request_id);
        // So that copies of the cookies are useless at other instances, too, when this is answered. A store that is away
        // is told later.
        let _told_later = sessions.deny.is_published().await;
    }
    let mut response = HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(serde_json::json!({ "logout_url": parts.continue_url }));
    set_cookies(&mut response, lines);
    Ok(response)
}
