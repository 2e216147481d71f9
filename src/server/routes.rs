//! THE route table: which handler answers which method and path. Decides nothing else.

use std::sync::Arc;

use actix_web::dev::Payload;
use futures_core::future::LocalBoxFuture;

use super::api;
use super::app::App;
use super::worker::Worker;
use crate::edge::{Code, Problem, Reply, client_key};
use crate::endpoints::{
    Call, backchannel_logout, callback, callback_post, client_jwks, events, logged_out, login,
    logout, logout_continue, own_sessions, refresh, session,
};
use crate::proxy::{NormalPath, asks_for_websocket};
use crate::tokens::{OneProvider, Providers};

/// A refusal, and cookies that go with it.
pub type Refused = (Problem, Vec<String>);

/// A refusal that changes no cookie.
pub fn refused(problem: Problem) -> Refused {
    (problem, Vec::new())
}

/// The own endpoints, below `base_path`.
const OWN: [&str; 11] = [
    "/login",
    "/callback",
    "/session",
    "/refresh",
    "/sessions",
    "/events",
    "/logout",
    "/logout/continue",
    "/logged-out",
    "/backchannel-logout",
    "/.well-known/jwks.json",
];

/// Hands the request to its handler.
pub async fn route(
    call: &Call<'_>,
    app: &App,
    worker: &Worker,
    body: Payload,
) -> Result<Reply, Refused> {
    // One reading of the path for all that follows: own endpoints, routes and files decide by the same bytes, which are
    // those that an upstream sees (PX-01).
    let path = NormalPath::parse(call.request.uri().path())
        .map_err(|error| (Problem::from(error), Vec::new()))?;
    let own = path.as_str().strip_prefix(app.base_path.as_str()).unwrap_or("");
    let (own, came_to) = came_to(own, &app.providers);
    limited(call, own, app, worker)?;
    if let Some(trace) = call.trace
        && let Some(own) = OWN.iter().find(|known| **known == own)
    {
        trace.answered_by(own);
    }
    let answer = match (call.request.method().as_str(), own) {
        (_, own) if OWN.contains(&own) && asks_for_websocket(call.request) => {
            Err(Problem::new(Code::UpgradeUnsupported))
        }
        ("GET", "/login") => boxed(login::answer(call, &app.login)).await,
        ("GET", "/callback") => {
            boxed(callback::answer(call, &app.login, came_to, call.query())).await
        }
        ("POST", "/callback") => {
            boxed(callback_post::answer(call, body, &app.login, came_to)).await
        }
        ("GET" | "HEAD", "/session") => {
            boxed(session::answer(call, &app.guard, &app.sessions)).await
        }
        ("GET", "/events") => {
            let drained = worker.drain.over();
            boxed(events::answer(call, &app.guard, &app.sessions, &app.events, drained)).await
        }
        ("POST", "/refresh") => {
            let answer = boxed(refresh::answer(call, &app.guard, &app.sessions)).await;
            return answer.map(Reply::Own);
        }
        ("GET", "/sessions") => {
            let answer = boxed(own_sessions::list(call, &app.guard, &app.sessions)).await;
            return answer.map(Reply::Own);
        }
        ("DELETE", "/sessions") => {
            let answer = boxed(own_sessions::end(call, &app.guard, &app.sessions)).await;
            return answer.map(Reply::Own);
        }
        ("POST", "/logout") => {
            boxed(logout::answer(call, &app.guard, &app.sessions, &app.logout)).await
        }
        ("GET", "/logout/continue") => {
            boxed(logout_continue::answer(call, &app.sessions, &app.logout, &app.landing)).await
        }
        ("POST", "/backchannel-logout") => {
            boxed(backchannel_logout::answer(call, body, &app.backchannel, came_to)).await
        }
        ("GET" | "HEAD", "/.well-known/jwks.json") => client_jwks::answer(&app.providers),
        ("GET", "/logged-out") => Ok(logged_out::answer(&app.landing.signed_out_url)),
        (_, own) if OWN.contains(&own) => {
            Err(Problem::new(Code::MethodNotAllowed).with_allow(allowed(own)))
        }
        _ => return api::answer(call, app, worker, path, body).await,
    };
    answer.map(Reply::Own).map_err(|problem| (problem, Vec::new()))
}

/// The methods of an own endpoint.
fn allowed(own: &str) -> &'static str {
    match own {
        "/session" | "/.well-known/jwks.json" => "GET, HEAD",
        "/sessions" => "GET, DELETE",
        "/refresh" | "/logout" | "/backchannel-logout" => "POST",
        _ => "GET",
    }
}

/// Where an authorization server's answer or logout token came to, and whose place that is. Of several each has its own below
/// `/callback` and `/backchannel-logout` (AR-10); a place there that is nobody's is ours all the same, and refused: a code that
/// lands there is nothing for an upstream or the SPA.
fn came_to<'a, 'b>(
    own: &'a str,
    providers: &'b Providers,
) -> (&'a str, Option<&'b Arc<OneProvider>>) {
    if !providers.are_several() {
        return (own, Some(providers.first()));
    }
    for place in ["/callback", "/backchannel-logout"] {
        match own.strip_prefix(place) {
            Some("") => return (place, None),
            Some(rest) if rest.starts_with('/') => {
                return (place, rest.strip_prefix('/').and_then(|id| providers.named(id)));
            }
            _ => {}
        }
    }
    (own, None)
}

/// Refuses a client that comes too often where each request costs a call to the authorization server, or a signature.
fn limited(call: &Call<'_>, own: &str, app: &App, worker: &Worker) -> Result<(), Refused> {
    let limit = match own {
        "/login" => app.limits.login,
        "/callback" => app.limits.callback,
        "/backchannel-logout" => app.limits.backchannel,
        _ => None,
    };
    let Some(limit) = limit else { return Ok(()) };
    let who = (app.id.as_str(), own, client_key(call.client_ip));
    let admitted = worker.shared.rates.admit(limit, who);
    admitted.map_err(|wait| (Problem::new(Code::RateLimited).with_retry_after(wait), Vec::new()))
}

/// Keeps what is rare out of the future of an API call, which the server allocates and moves with every request.
fn boxed<'a, T>(answer: impl Future<Output = T> + 'a) -> LocalBoxFuture<'a, T> {
    Box::pin(answer)
}
