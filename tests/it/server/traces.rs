//! OpenTelemetry traces: from the browser to the API and to a collector, which never makes a call wait and learns no secret.

use std::time::Duration;

use super::served::{SESSION, Served};
use super::setup::{hostile_op, hostile_with, log_in};
use crate::support::browser::Browser;
use crate::support::collector::{Collector, Span};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply};
use crate::support::hostile_upstream::{HostileUpstream, ok, until};
use crate::support::stack::{FETCH, LINK, Setup, Stack};
use cloakroom::clock::Clock;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn section(collector: &Collector, more: &str) -> String {
    format!("[tracing]\notlp_endpoint = \"http://{}\"\n{more}\n", collector.address)
}

struct Place {
    op: HostileOp,
    stack: Stack,
    api: HostileUpstream,
    collector: Collector,
    browser: Browser,
}

impl Place {
    async fn start(more: &str) -> Self {
        let (collector, api) =
            (Collector::start().await, HostileUpstream::answering(ok("api")).await);
        let more = section(&collector, more);
        let clock = Clock::system();
        let setup = Setup { upstream: Some(api.address), more, clock, ..Setup::default() };
        let (op, stack) = hostile_with(setup).await;
        let browser = Browser::new();
        log_in(&op, &stack, &browser).await;
        Self { op, stack, api, collector, browser }
    }

    async fn call(&self, path: &str, fields: &[(&'static str, &'static str)]) -> u16 {
        let fields = [&FETCH[..], fields].concat();
        let page = self.browser.send("GET", &self.stack.url(path), &fields, "").await;
        page.status.as_u16()
    }

    /// The spans of the trace with this id, the server's first.
    async fn trace(&self, id: &str) -> Vec<Span> {
        let of_it = || {
            let mut all = self.collector.spans();
            all.retain(|span| span.trace_id == id);
            all.sort_by_key(|span| std::cmp::Reverse(span.kind));
            all
        };
        until(|| of_it().iter().any(|span| span.kind == "server")).await;
        of_it()
    }
}

/// The value of a field in the last request that the API got.
fn sent(api: &HostileUpstream, name: &str) -> Option<String> {
    let last = api.requests().pop().unwrap();
    let name = format!("{name}: ");
    last.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_from_the_browser_to_the_api() {
    let place = Place::start("per_thousand = 1000").await;
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let fields = [("traceparent", given), ("tracestate", "vendor=1")];
    assert_eq!(
        place.call("/api/orders/marked-in-a-path?token=marked-in-a-query", &fields).await,
        200
    );
    let spans = place.trace(TRACE).await;
    let [server, client] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((server.name.as_str(), server.parent.as_deref()), ("GET /api", Some(SPAN)));
    assert_eq!(server.get("http.route"), Some("/api"));
    assert_eq!(server.get("http.response.status_code"), Some("200"));
    assert!(server.get("cloakroom.request_id").is_some() && !server.is_error);
    assert_eq!((client.kind, client.parent.as_deref()), ("client", Some(server.id.as_str())));
    assert_eq!(client.get("server.address"), Some("127.0.0.1"));
    let told = sent(&place.api, "traceparent").unwrap();
    assert_eq!(told, format!("00-{TRACE}-{}-01", client.id), "the API's parent is our call");
    assert_eq!(sent(&place.api, "tracestate").as_deref(), Some("vendor=1"));

    // What is no traceparent begins a new trace, and takes its tracestate along.
    for odd in [
        "00-xyz-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "",
    ] {
        assert_eq!(
            place.call("/api/x", &[("traceparent", odd), ("tracestate", "vendor=1")]).await,
            200
        );
        let told = sent(&place.api, "traceparent").unwrap();
        let id = told.split('-').nth(1).unwrap();
        assert_ne!(id, TRACE);
        assert_eq!(place.trace(id).await[0].parent, None);
        assert_eq!(sent(&place.api, "tracestate"), None);
    }
    // Own endpoints and refusals have their names and codes, and no path of anybody's.
    assert_eq!(place.call("/session", &[("traceparent", given)]).await, 200);
    assert_eq!(place.browser.send("GET", &place.stack.url("/api/x"), &LINK, "").await.status, 403);
    until(|| place.collector.spans().iter().any(|span| span.get("cloakroom.code").is_some())).await;
    let refused =
        place.collector.spans().into_iter().find(|one| one.get("cloakroom.code").is_some());
    assert_eq!(refused.unwrap().get("cloakroom.code"), Some("csrf_header_missing"));
    assert!(place.collector.spans().iter().any(|span| span.name == "GET /session"));
    assert!(place.collector.spans().iter().any(|span| span.name == "GET /callback"));
    let all = place.collector.bodies().concat();
    for secret in
        ["marked-in-a-query", "marked-in-a-path", "access-", "refresh-", "code-", "alice", "__Host"]
    {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    assert!(place.op.calls(Endpoint::Token) > 0);
    place.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_does_not_decide_what_is_kept_and_a_trace_that_is_not_still_goes_on() {
    let place = Place::start("per_thousand = 0").await;
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for _ in 0..20 {
        assert_eq!(place.call("/api/x", &[("traceparent", given)]).await, 200);
    }
    let told = sent(&place.api, "traceparent").unwrap();
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(place.collector.bodies().len(), 0);
    place.stack.stop().await;
    // Without a collector nothing is touched.
    let api = HostileUpstream::answering(ok("api")).await;
    let (op, stack) = hostile_with(Setup { upstream: Some(api.address), ..Setup::default() }).await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    let fields = [&FETCH[..], &[("traceparent", given)]].concat();
    assert_eq!(browser.send("GET", &stack.url("/api/x"), &fields, "").await.status, 200);
    assert_eq!(sent(&api, "traceparent").as_deref(), Some(given));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let place =
        Place::start("per_thousand = 1000\notlp_authorization = \"Bearer marked-collector\"").await;
    until(|| !place.collector.spans().is_empty()).await;
    let metrics = async |line: &str| {
        let url = format!("{}/metrics", place.stack.admin);
        Browser::new().get(&url).await.body.contains(line)
    };
    let busy = Reply::new(503, "text/plain", "").with_header("retry-after", "0");
    place.collector.answer_with([busy, Reply::new(429, "text/plain", "")]);
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    place.call("/api/x", &[("traceparent", given)]).await;
    assert_eq!(place.trace(TRACE).await.len(), 2);
    assert!(!metrics("cloakroom_spans_dropped_total{").await, "nothing was lost");

    let partial = "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"x\"}}";
    place.collector.answer_with([Reply::new(200, "application/json", partial)]);
    place.call("/session", &[]).await;
    let lost = |count| format!("cloakroom_spans_dropped_total{{reason=\"WriteFailed\"}} {count}");
    while !metrics(&lost(1)).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.collector.answer_with([Reply::new(400, "text/plain", "")]);
    let before = place.collector.bodies().len();
    place.call("/session", &[]).await;
    while !metrics(&lost(2)).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(place.collector.bodies().len(), before + 1, "not asked again");
    let all = place.collector.authorizations();
    assert!(all.iter().all(|one| one.as_deref() == Some("Bearer marked-collector")), "{all:?}");
    place.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_without_a_collector_and_the_last_spans_are_sent_at_the_end() {
    let op = hostile_op(Clock::system()).await;
    let collector = Collector::start().await;
    let more = section(
        &collector,
        "per_thousand = 1000\notlp_authorization = \"Bearer marked-collector\"",
    );
    op.answer_with(Endpoint::Other, Reply::new(200, "text/plain", "ok"));
    let mut served = Served::start_with(&op, "json", (SESSION, &more)).await;
    let browser = Browser::new();
    super::audit::log_in(&mut served, &op, &browser).await;
    assert_eq!(served.send(&browser, "GET", "/session", &FETCH).await.status, 200);
    served.signal("TERM");
    until(|| collector.spans().iter().any(|span| span.name == "GET /session")).await;
    let (log, _) = served.logs();
    assert!(log.contains("\"trace_id\":\""), "log lines name their trace");
    assert!(!log.contains("marked-collector"));

    let gone = Collector::start().await;
    let more = section(&gone, "per_thousand = 1000");
    drop(gone);
    let mut served = Served::start_with(&op, "json", (SESSION, &more)).await;
    let browser = Browser::new();
    super::audit::log_in(&mut served, &op, &browser).await;
    for _ in 0..50 {
        assert_eq!(served.send(&browser, "GET", "/session", &FETCH).await.status, 200);
    }
    until(|| served.log_so_far().contains("spans were lost")).await;
}

// proves: EL-05
#[tokio::test(flavor = "multi_thread")]
async fn security_events_arrive_as_logs_and_those_that_do_not_are_counted() {
    let op = hostile_op(Clock::system()).await;
    let collector = Collector::start().await;
    op.answer_with(Endpoint::Other, Reply::new(200, "text/plain", "ok"));
    let more = format!(
        "[audit]\nto = \"otlp\"\notlp_endpoint = \"http://{}\"\n\
         otlp_authorization = \"Bearer marked-collector\"\n\
         [tracing]\nservice_name = \"front-door\"\n",
        collector.address
    );
    let busy = Reply::new(503, "text/plain", "").with_header("retry-after", "0");
    collector.answer_with([busy]);
    let mut served = Served::start_with(&op, "json", (SESSION, &more)).await;
    let browser = Browser::new();
    super::audit::log_in(&mut served, &op, &browser).await;
    let arrived = |event: &str| collector.logs().into_iter().find(|log| log.event == event);
    until(|| arrived("login_succeeded").is_some()).await;
    let log = arrived("login_succeeded").unwrap();
    let get =
        |key: &str| log.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    assert_eq!((log.service.as_str(), log.severity), ("front-door", 9));
    assert!(get("user").is_some_and(|user| !user.contains("alice")), "{log:?}");
    assert!(get("request_id").is_some() && get("session").is_some(), "{log:?}");

    // One that refuses costs the events that it refuses, which are counted; what comes last is sent at the end.
    collector.answer_with([Reply::new(400, "text/plain", "")]);
    assert_eq!(served.send(&browser, "GET", "/api/x", &LINK).await.status, 403);
    let line = "cloakroom_audit_dropped_total{reason=\"WriteFailed\"} 1";
    let url = format!("{}/metrics", served.admin);
    while !Browser::new().get(&url).await.body.contains(line) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    served.rewrite(&more, &format!("{more}[[routes]]\npath = \"/half\"\n"));
    served.signal("HUP");
    until(|| arrived("reload_refused").is_some_and(|log| log.severity == 17)).await;
    assert_eq!(served.send(&browser, "POST", "/logout", &FETCH).await.status, 200);
    served.signal("TERM");
    until(|| arrived("logged_out").is_some()).await;
    let all = collector.authorizations();
    assert!(all.iter().all(|one| one.as_deref() == Some("Bearer marked-collector")), "{all:?}");
    let (log, _) = served.logs();
    assert!(!log.contains("marked-collector") && !log.contains("\"event\":\"login_succeeded\""));
}
