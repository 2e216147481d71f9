//! What happens to a request, in order: id, client, app by Host, preflight, handler, headers, one access line.
//! Never lets a request pass whose Host is not ours.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use futures_util::FutureExt as _;
use http::uri::Authority;
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;

use super::app::App;
use super::live::Serving;
use super::routes::route;
use super::seen::seen;
use super::worker::Worker;
use crate::audit::{self, Event};
use crate::edge::headers::Kind;
use crate::edge::{Code, Problem, Reply, Request, client_ip, headers, set_cookies};
use crate::endpoints::{Call, Seen, peer, wants_page};
use crate::guard::Cors;
use crate::http1::text;
use crate::telemetry::Refused;
use crate::traces::Trace;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What a SPA on a sibling host may read of an answer's head.
const EXPOSED: &str =
    "Cloakroom-Error, X-Request-Id, Retry-After, Content-Disposition, ETag, Link, Location";

/// Answers one request; never fails.
pub async fn dispatch(worker: &Worker, request: &Request, body: Payload) -> Reply {
    let id = worker.request_ids.next();
    let id = id.as_str();
    // Without a log nobody wants to know. Not `enabled!`: what that leaves behind in a filter may cost another layer its next event.
    let began = (LevelFilter::current() >= LevelFilter::INFO).then(Instant::now);
    let spans = worker.shared.spans.as_ref();
    let trace = spans.map(|spans| spans.begin(traceparent(request)));
    let known = (id, trace.as_ref());
    let mut reply = unpanicked(pin!(answer(worker, request, body, known)), id).await;
    reply.set(X_REQUEST_ID, id);
    let status = reply.status().as_u16();
    worker.shared.metrics.request(status);
    // The path without its query: a query can hold an authorization code. The time is until the head: a body may
    // stream for hours.
    tracing::info!(target: "access", request_id = id, method = %request.method(), path = request.path(), status, ms = began.map(milliseconds), trace_id = trace.as_ref().and_then(Trace::id));
    if let Some(trace) = trace {
        trace.end(request.method().as_str(), status, id, reply.code());
    }
    reply
}

/// The one `traceparent` of a request; of several none counts (W3C Trace Context §3.2.1).
fn traceparent(request: &Request) -> Option<&[u8]> {
    let mut lines = request.fields().get_all("traceparent");
    let line = lines.next();
    line.filter(|_| lines.next().is_none())
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A panic in a handler is a bug: it costs one answer, never the worker, and says nothing of itself (EL-03).
async fn unpanicked(answer: impl Future<Output = Reply>, id: &str) -> Reply {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(request_id = id, "a handler panicked");
        Problem::new(Code::Internal).response(id, false).into()
    })
}

async fn answer(
    worker: &Worker,
    request: &Request,
    body: Payload,
    (id, trace): (&str, Option<&Trace>),
) -> Reply {
    let serving = worker.live.load();
    let Some(app) = serving.app(host(request), request.path()) else {
        return foreign_host((worker, &serving), request, id).into();
    };
    let seen = Seen::of(request, &app.csrf_header);
    let call = Call {
        request,
        facts: seen.facts(),
        jar: seen.jar(),
        request_id: id,
        client_ip: client(&serving, request),
        link: worker.link.as_ref(),
        now: worker.shared.clock.now(),
        trace,
    };
    let mut reply = match preflight(&call, app) {
        Some(response) => response.into(),
        None => match route(&call, app, worker, body).await {
            Ok(reply) => reply,
            Err((problem, cookies)) => {
                let problem = problem.with_home(&app.home);
                refuse(&call, (worker, app), &problem, cookies).into()
            }
        },
    };
    cors(&call, app, &mut reply);
    // Pages and problems bring a stricter set; this fills in what is missing. Proxied answers have all of theirs.
    if let Reply::Own(response) = &mut reply {
        headers::harden(response.headers_mut(), Kind::Own, app.public.https);
    }
    reply
}

/// A `Host` that is not ours: DNS rebinding, or the wrong address in somebody's browser, who then gets a page.
fn foreign_host(
    (worker, serving): (&Worker, &Serving),
    request: &Request,
    id: &str,
) -> HttpResponse {
    let code = Code::ForbiddenHost;
    worker.shared.metrics.refusal(code.as_str());
    audit::record(&Event::Refused { code: code.as_str(), route: request.path() }, id);
    let served: Vec<&str> = serving.apps.iter().map(|app| app.public.host.as_str()).collect();
    worker.shared.refusals.remember(Refused {
        request_id: id.to_owned(),
        at: worker.shared.clock.now().0,
        app: None,
        code: code.as_str().to_owned(),
        method: request.method().to_string(),
        path: request.path().to_owned(),
        seen: vec![format!("host: another one than {}", served.join(", "))],
    });
    let problem = match &serving.apps[..] {
        [app] => Problem::new(code).with_home(&app.home),
        _ => Problem::new(code),
    };
    problem.response(id, wants_page(request))
}

/// The host that the request names. One in the target itself (`GET http://host/ HTTP/1.1`) overrules the field
/// (RFC 9112 §3.2.2): whoever stands before us may have chosen by it.
fn host(request: &Request) -> Option<&str> {
    let field = || request.fields().text("host");
    request.uri().authority().map(Authority::as_str).or_else(field)
}

/// Refusals that a security team asks about, by how their codes begin. Not that somebody comes too often: a line for each
/// would push others out of the stream.
const AUDITED: [&str; 5] = ["csrf", "forbidden", "login_loop", "scope", "claim"];

fn refuse(
    call: &Call<'_>,
    (worker, app): (&Worker, &App),
    problem: &Problem,
    cookies: Vec<String>,
) -> HttpResponse {
    let code = problem.code();
    worker.shared.metrics.refusal(code);
    if AUDITED.iter().any(|start| code.starts_with(start)) {
        audit::record(&Event::Refused { code, route: call.request.path() }, call.request_id);
    }
    worker.shared.refusals.remember(Refused {
        request_id: call.request_id.to_owned(),
        at: call.now.0,
        app: Some(app.id.clone()),
        code: code.to_owned(),
        method: call.request.method().to_string(),
        path: call.request.path().to_owned(),
        seen: seen(call, app, problem.missing()),
    });
    let mut response = problem.response(call.request_id, call.is_navigation());
    set_cookies(&mut response, cookies);
    response
}

/// Answers a CORS preflight here; it carries no cookie and reaches no upstream.
fn preflight(call: &Call<'_>, app: &App) -> Option<HttpResponse> {
    let text = |name| call.request.fields().text(name);
    if call.facts.method != "OPTIONS" || call.facts.origin.is_empty() {
        return None;
    }
    let method = text("access-control-request-method")?;
    let fields =
        app.guard.preflight(&call.facts, method, text("access-control-request-headers"))?;
    let mut response = HttpResponse::NoContent().finish();
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    Some(response)
}

fn cors(call: &Call<'_>, app: &App, reply: &mut Reply) {
    reply.add(header::VARY, "Origin");
    if let Cors::Allowed { origin } = app.guard.cors(&call.facts) {
        reply.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply.set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        reply.set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

fn client(serving: &Serving, request: &Request) -> std::net::IpAddr {
    if serving.trusted_proxies.is_empty() {
        return client_ip::client_ip(peer(request), &[], &[]);
    }
    let lines = request.fields().get_all("x-forwarded-for");
    // A line that is no text names nobody, and nobody before it counts.
    let forwarded: Vec<&str> = lines.map(|line| text(line).unwrap_or_default()).collect();
    client_ip::client_ip(peer(request), &forwarded, &serving.trusted_proxies)
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: EL-02, EL-03
    #[tokio::test]
    async fn a_panic_costs_one_answer_that_says_nothing_of_it() {
        let reply = unpanicked(async { panic!("secret detail") }, "id-1").await;
        let Reply::Own(response) = reply else { panic!("not ours") };
        assert_eq!(response.status().as_u16(), 500);
        let body = actix_web::body::to_bytes(response.into_body()).await.ok().unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("\"internal\"") && text.contains("id-1"), "{text}");
        assert!(!text.contains("secret detail"), "{text}");
    }
}
