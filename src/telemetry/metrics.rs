//! Every metric of ours, declared once, with closed label sets: no label value ever comes from a request's text.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How a login ended.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum LoginResult {
    Started,
    Succeeded,
    Failed,
}

/// How a refresh ended.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum RefreshResult {
    Succeeded,
    Unavailable,
    Ended,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LoginLabels {
    result: LoginResult,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefreshLabels {
    result: RefreshResult,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusalLabels {
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    status: u16,
}

/// The counters of one process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    logins: Family<LoginLabels, Counter>,
    refreshes: Family<RefreshLabels, Counter>,
    logouts: Counter,
    refusals: Family<RefusalLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
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

    /// Counts a refusal by its stable problem code.
    pub fn refusal(&self, code: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { code }).inc();
    }

    /// Counts an answered request by status.
    pub fn request(&self, status: u16) {
        self.requests.get_or_create(&RequestLabels { status }).inc();
    }

    /// All metrics in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut registry = Registry::with_prefix("cloakroom");
        registry.register("logins", "Logins by result", self.logins.clone());
        registry.register("refreshes", "Token refreshes by result", self.refreshes.clone());
        registry.register("logouts", "Logouts", self.logouts.clone());
        registry.register("refusals", "Refused requests by problem code", self.refusals.clone());
        registry.register("requests", "Answered requests by status", self.requests.clone());
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
        let text = metrics.render();
        assert!(text.contains("cloakroom_logins_total{result=\"Failed\"} 1"), "{text}");
        assert!(text.contains("cloakroom_refusals_total{code=\"csrf_origin\"} 1"), "{text}");
    }
}
