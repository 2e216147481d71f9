//! `GET /events`: tells the SPA what becomes of its session, as server-sent events read by a streaming `fetch` (EventSource
//! cannot send the CSRF header). Reading is no activity: it slides nothing and sets no cookie, whatever the answer.
//! Says `logged-out` only of what is certain. Signs of life travel in cookies that this stream does not see, so at the idle
//! end by its own cookie it just ends, and the SPA asks `GET /session`. An idle stream is one timer and no polling.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::call::Call;
use super::sessions::Sessions;
use crate::clock::{Clock, Timestamp};
use crate::edge::{Code, Problem};
use crate::guard::Guard;
use crate::session::OpenSession;
use crate::store::{Ending, Listener, SessionNews};
use crate::telemetry::Metrics;

use agenda::{Agenda, Due};

mod agenda;

/// When to try again after there were too many streams, seconds.
const RETRY_AFTER: u32 = 30;

/// What the streams of one app share.
pub struct EventParts {
    pub news: Arc<SessionNews>,
    pub metrics: Metrics,
}

/// Opens the stream. `drained` completes when the process goes down: the stream then ends, and the SPA comes again.
pub async fn answer(
    call: &Call<'_>,
    guard: &Guard,
    sessions: &Sessions,
    parts: &EventParts,
    drained: impl Future<Output = ()> + 'static,
) -> Result<HttpResponse, Problem> {
    guard.header_route(&call.facts)?;
    // Cookies of an ended session are cleared by the calls that the SPA makes then, never beside a login that may just be
    // replacing them.
    let session = sessions.open(call).await.map_err(|why| sessions.not_logged_in(why, &[]).0)?;
    let id = *session.record.session_id.as_bytes();
    let known_as = sessions.providers.known_as(&session.record).keys();
    let listener = parts
        .news
        .listen(id)
        .ok_or_else(|| Problem::new(Code::TooManyStreams).with_retry_after(RETRY_AFTER))?;
    parts.metrics.event_streams().inc();
    let feed = Feed {
        opening: Some(opening(&session, sessions, call.now)),
        agenda: Agenda::of(&session.record, sessions.idle_end(&session), call.now),
        denied: Box::pin(Arc::clone(&sessions.deny).denied(known_as)),
        drained: Box::pin(drained),
        clock: sessions.clock.clone(),
        metrics: parts.metrics.clone(),
        listener,
        is_over: false,
    };
    Ok(HttpResponse::Ok()
        .insert_header(("content-type", "text/event-stream"))
        // A proxy that compresses holds events back.
        .insert_header(("cache-control", "no-store, no-transform"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events(feed)))
}

/// The first event: how long things last by the cookies that the request brought.
fn opening(session: &OpenSession, sessions: &Sessions, now: Timestamp) -> Bytes {
    let record = &session.record;
    let times = serde_json::json!({
        "access_token_expires_in": record.access_expires.seconds_after(now),
        "session_expires_in": record.ends().seconds_after(now),
        "idle_expires_in": sessions.idle_end(session).seconds_after(now),
    });
    event("open", &times)
}

fn event(name: &str, data: &serde_json::Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

fn logged_out(why: Ending) -> Bytes {
    event("logged-out", &serde_json::json!({ "reason": why.as_str() }))
}

/// One open stream; counted until it is dropped.
struct Feed {
    opening: Option<Bytes>,
    agenda: Agenda,
    denied: Pin<Box<dyn Future<Output = ()>>>,
    drained: Pin<Box<dyn Future<Output = ()>>>,
    clock: Clock,
    metrics: Metrics,
    listener: Listener,
    is_over: bool,
}

fn events(feed: Feed) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(feed, |mut feed| async move {
        let said = feed.says().await?;
        Some((Ok(said), feed))
    })
}

impl Feed {
    /// What is said next, when it is time; `None` is the end of the stream.
    async fn says(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        if self.is_over {
            return None;
        }
        tokio::select! {
            biased;
            () = &mut self.denied => Some(self.last(Ending::SessionEnded)),
            () = &mut self.drained => None,
            token_ends = self.listener.refreshed() => {
                let left = token_ends.seconds_after(self.clock.now());
                Some(event("refreshed", &serde_json::json!({ "access_token_expires_in": left })))
            }
            () = self.clock.until(self.agenda.next()) => self.by_time(),
        }
    }

    fn by_time(&mut self) -> Option<Bytes> {
        match self.agenda.due(self.clock.now()) {
            Due::SessionExpired => Some(self.last(Ending::SessionExpired)),
            Due::MaybeIdle => None,
            Due::Expiring { what, left: seconds } => Some(expiring(what, seconds)),
            // A comment: proxies close what is silent for long, and the reader notices a dead connection.
            Due::Heartbeat => Some(Bytes::from_static(b":\n\n")),
        }
    }

    fn last(&mut self, why: Ending) -> Bytes {
        self.is_over = true;
        logged_out(why)
    }
}

fn expiring(what: &str, left: Duration) -> Bytes {
    event("expiring", &serde_json::json!({ "what": what, "seconds_left": left.as_secs() }))
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.metrics.event_streams().dec();
    }
}
