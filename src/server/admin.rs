//! The admin listener: live, ready, metrics, version. Read-only, on an address of its own, loopback by default (EL-07).
//! Readiness is about us: an authorization server that is down is `degraded` in the body, never "not ready".

use std::future::ready;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::Service as _;
use actix_web::error::ErrorMisdirectedRequest;
use actix_web::{App as ActixApp, HttpRequest, HttpResponse, HttpServer, web};

use super::app::App;
use super::live::Live;
use crate::proxy::{Drain, Phase};
use crate::telemetry::Metrics;
use crate::tokens::OneProvider;

/// Starts the listener in the background; returns its address.
pub fn start(
    (listener, address): (TcpListener, SocketAddr),
    hosts: Vec<String>,
    live: Live,
    metrics: Metrics,
    drain: Drain,
) -> SocketAddr {
    let hosts = Arc::new(hosts);
    let server = HttpServer::new(move || {
        let (live, metrics, hosts) = (live.clone(), metrics.clone(), Arc::clone(&hosts));
        let drain = drain.clone();
        ActixApp::new()
            .wrap_fn(move |request, service| {
                // A page in some browser reaches loopback by a name that it made point here (DNS rebinding): a name
                // that is not listed is refused, an address needs no list.
                let known = is_known(request.request(), &hosts);
                let answer = known.then(|| service.call(request));
                async move {
                    match answer {
                        Some(answer) => answer.await,
                        None => Err(ErrorMisdirectedRequest("this host is not served here\n")),
                    }
                }
            })
            .service(web::resource("/livez").get(|| async { "ok\n" }))
            .service(
                web::resource("/version")
                    .get(|| async { concat!(env!("CARGO_PKG_VERSION"), "\n") }),
            )
            .service(
                web::resource("/readyz")
                    .get(move || ready(readiness(&live.load().apps, drain.phase()))),
            )
            .service(web::resource("/metrics").get(move || ready(exposition(&metrics))))
    })
    .workers(1)
    .disable_signals()
    .listen(listener);
    match server {
        Ok(server) => {
            tokio::spawn(server.run());
        }
        Err(error) => tracing::error!(%error, "the admin listener does not start"),
    }
    address
}

fn is_known(request: &HttpRequest, hosts: &[String]) -> bool {
    let host = request.headers().get("host").and_then(|value| value.to_str().ok()).unwrap_or("");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
        || host.parse::<IpAddr>().is_ok()
        || host.parse::<SocketAddr>().is_ok()
        || name.parse::<IpAddr>().is_ok()
}

/// Not ready from the moment the process goes down, so that no new request is sent here.
fn readiness(apps: &[Arc<App>], phase: Phase) -> HttpResponse {
    if phase > Phase::Serving {
        let body = serde_json::json!({ "ready": false, "reason": "draining" });
        return HttpResponse::ServiceUnavailable().json(body);
    }
    let states: serde_json::Map<_, _> = apps
        .iter()
        .map(|app| {
            let mut state = serde_json::Map::new();
            provider_states(app, &mut state);
            if app.sessions.deny.is_degraded() {
                state.insert("deny_file".to_owned(), "not_written".into());
            }
            if app.sessions.deny.is_cut_off() {
                state.insert("redis".to_owned(), "no_contact".into());
            }
            let status = if state.is_empty() { "ok" } else { "degraded" };
            state.insert("status".to_owned(), status.into());
            (app.id.clone(), state.into())
        })
        .collect();
    HttpResponse::Ok().json(serde_json::json!({ "ready": true, "apps": states }))
}

/// What does not work of an app's providers: a code, or several by name.
fn provider_states(app: &App, state: &mut serde_json::Map<String, serde_json::Value>) {
    if !app.providers.are_several() {
        let reason = app.providers.first().provider.degraded();
        state.extend(reason.map(|reason| ("provider".to_owned(), reason.into())));
        return;
    }
    let reason = |one: &Arc<OneProvider>| Some((one.id.clone(), one.provider.degraded()?.into()));
    let reasons: serde_json::Map<_, _> = app.providers.iter().filter_map(reason).collect();
    if !reasons.is_empty() {
        state.insert("providers".to_owned(), reasons.into());
    }
}

fn exposition(metrics: &Metrics) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.render())
}
