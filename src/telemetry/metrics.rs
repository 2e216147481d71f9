//! Every metric of ours, declared once, with closed label sets: no label value ever comes from a request's text.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus_client::encoding::text::encode;
pub use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::drops::Drops;
use super::labels::{
    AddressLabels, Answered, ApiTokenLabels, ApiTokenResult, AppLabels, BackchannelLabels,
    BackchannelResult, BuildLabels, CauseLabels, EndLabels, KeyLabels, LoginLabels, LoginResult,
    ProviderLabels, RefreshLabels, RefreshResult, RefusalLabels, ReloadLabels, ReloadResult,
    RequestLabels, RevocationLabels, RevocationResult, RouteLabels, SessionEnd, UpstreamLabels,
    WhomLabels,
};

/// Statuses are three digits.
const STATUSES: usize = 600;

/// Bounds of what takes time at the authorization server, seconds.
const SECONDS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of a session's cookies: browsers keep 4096 bytes of each, front proxies take 8 KiB of all.
const BYTES: [f64; 7] = [1024.0, 2048.0, 3072.0, 4096.0, 5120.0, 6144.0, 7168.0];

/// The counters of one process; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    logins: Family<LoginLabels, Counter>,
    refreshes: Family<RefreshLabels, Counter>,
    logouts: Counter,
    backchannel: Family<BackchannelLabels, Counter>,
    revocations: Family<RevocationLabels, Counter>,
    api_tokens: Family<ApiTokenLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    /// The same counters by status, found without the family's lock once they are made.
    by_status: Arc<[OnceLock<Counter>; STATUSES]>,
    providers: Family<ProviderLabels, Gauge>,
    deny_files: Family<AppLabels, Gauge>,
    in_flight: Family<UpstreamLabels, Gauge>,
    ejections: Family<AddressLabels, Counter>,
    certificate: Gauge,
    /// The gauges of `in_flight` once more: a family cannot be added up.
    upstreams: Arc<Mutex<BTreeMap<String, Gauge>>>,
    tunnels_open: Gauge,
    tunnels_closed: Family<CauseLabels, Counter>,
    streams_ended: Family<CauseLabels, Counter>,
    event_streams: Gauge,
    audit_drops: Drops,
    span_drops: Drops,
    redis_lost: Gauge,
    redis_failures: Counter,
    operator_ends: Family<WhomLabels, Counter>,
    key_seals: Family<KeyLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    build: Family<BuildLabels, Gauge>,
    login_failures: Family<RefusalLabels, Counter>,
    ends: Family<EndLabels, Counter>,
    answers: Family<RouteLabels, Counter>,
    refresh_seconds: Histogram,
    session_bytes: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            logins: Family::default(),
            refreshes: Family::default(),
            logouts: Counter::default(),
            backchannel: Family::default(),
            revocations: Family::default(),
            api_tokens: Family::default(),
            refusals: Family::default(),
            requests: Family::default(),
            by_status: Arc::new([const { OnceLock::new() }; STATUSES]),
            providers: Family::default(),
            deny_files: Family::default(),
            in_flight: Family::default(),
            ejections: Family::default(),
            certificate: Gauge::default(),
            upstreams: Arc::default(),
            tunnels_open: Gauge::default(),
            tunnels_closed: Family::default(),
            streams_ended: Family::default(),
            event_streams: Gauge::default(),
            audit_drops: Drops::default(),
            span_drops: Drops::default(),
            redis_lost: Gauge::default(),
            redis_failures: Counter::default(),
            operator_ends: Family::default(),
            key_seals: Family::default(),
            reloads: Family::default(),
            build: Family::default(),
            login_failures: Family::default(),
            ends: Family::default(),
            answers: Family::default(),
            refresh_seconds: Histogram::new(SECONDS),
            session_bytes: Histogram::new(BYTES),
        }
    }
}

impl Metrics {
    /// Counts a login's start or end.
    pub fn login(&self, result: LoginResult) {
        self.logins.get_or_create(&LoginLabels { result }).inc();
    }

    /// Counts a refresh's end.
    pub fn refresh(&self, result: RefreshResult) {
        self.refreshes.get_or_create(&RefreshLabels { result }).inc();
    }

    /// Counts a logout.
    pub fn logout(&self) {
        self.logouts.inc();
    }

    /// Counts a logout token of the authorization server.
    pub fn backchannel_logout(&self, result: BackchannelResult) {
        self.backchannel.get_or_create(&BackchannelLabels { result }).inc();
    }

    /// Counts a word of an operator that ended sessions.
    pub fn ended_by_operator(&self, whom: &'static str) {
        self.operator_ends.get_or_create(&WhomLabels { whom }).inc();
    }

    /// What counts the seals of a cookie key; app and key are named as in the configuration.
    pub fn key_seals(&self, app: &str, key: &str) -> Counter {
        let labels = KeyLabels { app: app.to_owned(), key: key.to_owned() };
        self.key_seals.get_or_create_owned(&labels)
    }

    /// Counts an attempt to read the configuration again.
    pub fn reload(&self, result: ReloadResult) {
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
    }

    /// Counts a failed login by the code that the user was shown.
    pub fn login_failure(&self, code: &'static str) {
        self.login_failures.get_or_create(&RefusalLabels { code }).inc();
    }

    /// Counts a session that ended here.
    pub fn session_ended(&self, cause: SessionEnd) {
        self.ends.get_or_create(&EndLabels { cause }).inc();
    }

    /// Notes how long the authorization server took for a refresh.
    pub fn refresh_took(&self, seconds: f64) {
        self.refresh_seconds.observe(seconds);
    }

    /// Notes how many bytes of cookies a new session takes.
    pub fn session_bytes(&self, bytes: usize) {
        self.session_bytes.observe(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)));
    }

    /// The counters of a route's answers, in the order of [`Answered::ALL`]; app and route are named as in the configuration.
    pub fn answers(&self, app: &str, route: &str) -> [Counter; 5] {
        Answered::ALL.map(|answered| {
            let labels = RouteLabels { app: app.to_owned(), route: route.to_owned(), answered };
            self.answers.get_or_create_owned(&labels)
        })
    }

    /// Counts the end of a revocation.
    pub fn revocation(&self, result: RevocationResult) {
        self.revocations.get_or_create(&RevocationLabels { result }).inc();
    }

    /// Counts a token for an API that was asked for at the authorization server.
    pub fn api_token(&self, result: ApiTokenResult) {
        self.api_tokens.get_or_create(&ApiTokenLabels { result }).inc();
    }

    /// Counts a refusal by its stable problem code.
    pub fn refusal(&self, code: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { code }).inc();
    }

    /// Counts an answered request by status.
    pub fn request(&self, status: u16) {
        let made = || self.requests.get_or_create(&RequestLabels { status }).clone();
        match self.by_status.get(usize::from(status)) {
            Some(known) => known.get_or_init(made).inc(),
            None => made().inc(),
        };
    }

    /// Says whether the provider `name` of the app `id` (both from the configuration) is unusable at the moment.
    pub fn provider_degraded(&self, id: &str, name: &str, degraded: bool) {
        let labels = ProviderLabels { app: id.to_owned(), provider: name.to_owned() };
        self.providers.get_or_create(&labels).set(i64::from(degraded));
    }

    /// Says whether contact with Redis is lost at the moment.
    pub fn redis_lost(&self, lost: bool) {
        self.redis_lost.set(i64::from(lost));
    }

    /// Counts a command that Redis did not answer.
    pub fn redis_failure(&self) {
        self.redis_failures.inc();
    }

    /// Says whether the deny file of the app `id` cannot be written at the moment.
    pub fn deny_file_broken(&self, id: &str, broken: bool) {
        let labels = AppLabels { app: id.to_owned() };
        self.deny_files.get_or_create(&labels).set(i64::from(broken));
    }

    /// The calls in flight at the upstream `origin` (from the configuration), as one number for all workers: whoever
    /// limits them counts here.
    pub fn in_flight(&self, origin: &str) -> Gauge {
        let gauge =
            || self.in_flight.get_or_create_owned(&UpstreamLabels { upstream: origin.to_owned() });
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        upstreams.entry(origin.to_owned()).or_insert_with(gauge).clone()
    }

    /// Says when the certificate of the listener ends, seconds after 1970.
    pub fn certificate_ends(&self, ends: u64) {
        self.certificate.set(i64::try_from(ends).unwrap_or(i64::MAX));
    }

    /// Counts that an address of the upstream `origin` is left out for a while; both from the configuration.
    pub fn ejected(&self, origin: &str, address: &str) {
        let labels = AddressLabels { upstream: origin.to_owned(), address: address.to_owned() };
        self.ejections.get_or_create(&labels).inc();
    }

    /// The calls in flight at all upstreams.
    pub fn all_in_flight(&self) -> usize {
        let upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        let sum: i64 = upstreams.values().map(Gauge::get).sum();
        usize::try_from(sum).unwrap_or(0)
    }

    /// Counts a WebSocket that is open from now on.
    pub fn tunnel_opened(&self) {
        self.tunnels_open.inc();
    }

    /// Counts a WebSocket that was open until now.
    pub fn tunnel_closed(&self, cause: &'static str) {
        self.tunnels_open.dec();
        self.tunnels_closed.get_or_create(&CauseLabels { cause }).inc();
    }

    /// Counts a response that did not come to its end because its session did.
    pub fn stream_ended(&self, cause: &'static str) {
        self.streams_ended.get_or_create(&CauseLabels { cause }).inc();
    }

    /// The open streams of `GET /events`: whoever opens one counts here.
    pub fn event_streams(&self) -> &Gauge {
        &self.event_streams
    }

    /// What counts security events that were lost.
    pub fn audit_drops(&self) -> Drops {
        self.audit_drops.clone()
    }

    /// What counts the spans that were lost.
    pub fn span_drops(&self) -> Drops {
        self.span_drops.clone()
    }

    /// All metrics in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut registry = Registry::with_prefix("cloakroom");
        registry.register("logins", "Logins by result", self.logins.clone());
        registry.register("refreshes", "Token refreshes by result", self.refreshes.clone());
        registry.register("logouts", "Logouts", self.logouts.clone());
        let help = "Logout tokens of the authorization server by result";
        registry.register("backchannel_logouts", help, self.backchannel.clone());
        let help = "Times that operators have ended sessions, by whose";
        registry.register("ended_by_operator", help, self.operator_ends.clone());
        let help = "Values sealed by a cookie key in this process";
        registry.register("cookie_key_seals", help, self.key_seals.clone());
        let help = "Attempts to read the configuration again, by result";
        registry.register("reloads", help, self.reloads.clone());
        let version = env!("CARGO_PKG_VERSION");
        self.build.get_or_create(&BuildLabels { version }).set(1);
        registry.register("build_info", "1, with the version that runs", self.build.clone());
        let help = "Failed logins by the code that the user was shown";
        registry.register("login_failures", help, self.login_failures.clone());
        let help = "Sessions that ended here, by cause";
        registry.register("sessions_ended", help, self.ends.clone());
        let help = "Calls by route and by how the upstream answered";
        registry.register("upstream_answers", help, self.answers.clone());
        let help = "Time that the authorization server took for a refresh, seconds";
        registry.register("refresh_seconds", help, self.refresh_seconds.clone());
        let help = "Bytes of cookies that a new session takes";
        registry.register("session_cookie_bytes", help, self.session_bytes.clone());
        let help = "Revocations of ended sessions' tokens by result";
        registry.register("revocations", help, self.revocations.clone());
        let help = "Tokens for APIs that were asked for at the authorization server";
        registry.register("api_tokens", help, self.api_tokens.clone());
        registry.register("refusals", "Refused requests by problem code", self.refusals.clone());
        registry.register("requests", "Answered requests by status", self.requests.clone());
        let help = "1 while an app's authorization server is not usable";
        registry.register("provider_degraded", help, self.providers.clone());
        let help = "1 while an app's deny file cannot be written: a restart would forget logouts";
        registry.register("deny_file_broken", help, self.deny_files.clone());
        let help = "Calls, streams and tunnels open at an upstream";
        registry.register("upstream_in_flight", help, self.in_flight.clone());
        let help = "When the certificate of the listener ends, seconds after 1970; 0 without TLS";
        registry.register("tls_certificate_ends_seconds", help, self.certificate.clone());
        let help = "Times that an address of an upstream was left out for a while, by worker";
        registry.register("upstream_ejections", help, self.ejections.clone());
        let help = "Open WebSockets";
        registry.register("tunnels_open", help, self.tunnels_open.clone());
        let help = "Closed WebSockets by cause";
        registry.register("tunnels_closed", help, self.tunnels_closed.clone());
        let help = "Responses that ended with their session, by cause";
        registry.register("streams_ended", help, self.streams_ended.clone());
        let help = "1 while contact with Redis is lost: redis.outage says what that means";
        registry.register("redis_lost", help, self.redis_lost.clone());
        let help = "Commands that Redis did not answer";
        registry.register("redis_failures", help, self.redis_failures.clone());
        let help = "Open streams of session events";
        registry.register("event_streams_open", help, self.event_streams.clone());
        let help = "Security events that the audit stream did not take, by reason";
        registry.register("audit_dropped", help, self.audit_drops.by_reason.clone());
        let help = "Spans of traces that were lost: the collector does not take them";
        registry.register("spans_dropped", help, self.span_drops.by_reason.clone());
        let mut text = String::new();
        // Writing to a String cannot fail; an empty page would show at once.
        let _infallible = encode(&mut text, &registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::default();
        metrics.login(LoginResult::Failed);
        metrics.refusal("csrf_origin");
        for status in [200, 404, 200, 999] {
            metrics.request(status);
        }
        let text = metrics.render();
        assert!(text.contains("cloakroom_logins_total{result=\"Failed\"} 1"), "{text}");
        assert!(text.contains("cloakroom_refusals_total{code=\"csrf_origin\"} 1"), "{text}");
        for (status, count) in [(200, 2), (404, 1), (999, 1)] {
            let line = format!("cloakroom_requests_total{{status=\"{status}\"}} {count}\n");
            assert!(text.contains(&line), "{text}");
        }
    }
}
