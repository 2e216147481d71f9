//! What operators watch: the metrics of a running process, the rules and the dashboard over them, and an entry in the runbook for
//! each alert. `promtool` is Debian's.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cloakroom::telemetry::{
    ApiTokenResult, BackchannelResult, DropReason, LoginResult, Metrics, RefreshResult,
    ReloadResult, RevocationResult, SessionEnd,
};
use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::stack::{Setup, Stack};

const RULES: &str = "deploy/prometheus/alerts.yml";
const DASHBOARD: &str = "deploy/grafana/cloakroom.json";

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Runs promtool; it must be there, and be content.
fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool is missing: apt-get install prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}

/// The metric names in a text, without what a histogram or counter adds.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("cloakroom_"));
    let ends = ["_total", "_bucket", "_sum", "_count"];
    let base =
        |word: &str| ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned();
    words.map(base).collect()
}

/// Every metric, counted once: those of which nothing was counted are not shown.
fn everything() -> String {
    let metrics = Metrics::default();
    metrics.login(LoginResult::Started);
    metrics.login_failure("clock");
    metrics.refresh(RefreshResult::Succeeded);
    metrics.logout();
    metrics.backchannel_logout(BackchannelResult::Ended);
    metrics.ended_by_operator("user");
    metrics.key_seals("app", "one").inc();
    metrics.reload(ReloadResult::Applied);
    metrics.session_ended(SessionEnd::Logout);
    metrics.answers("app", "/api");
    metrics.revocation(RevocationResult::Done);
    metrics.api_token(ApiTokenResult::Ok);
    metrics.refusal("csrf_origin");
    metrics.request(200);
    metrics.provider_degraded("app", "default", false);
    metrics.deny_file_broken("app", false);
    metrics.in_flight("http://api");
    metrics.ejected("http://api", "10.0.0.7:8080");
    metrics.audit_drops().count(DropReason::QueueFull, 1);
    metrics.span_drops().count(DropReason::QueueFull, 1);
    metrics.tunnel_opened();
    metrics.tunnel_closed("session_ended");
    metrics.stream_ended("session_ended");
    metrics.render()
}

/// What promtool reads: there the help of a counter stands under the name of its samples.
fn in_the_older_format(text: &str) -> String {
    let types =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"));
    let counters: BTreeSet<&str> = types.collect();
    let older = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        ["#", what, name, ..] if counters.contains(name) => {
            line.replacen(&format!("# {what} {name} "), &format!("# {what} {name}_total "), 1)
        }
        _ => line.to_owned(),
    };
    text.lines().map(older).collect::<Vec<_>>().join("\n") + "\n"
}

/// The metrics of a process that has seen a login, a call and a logout.
async fn exposition() -> String {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    stack.fetch(&browser, "GET", "/api/echo").await;
    stack.fetch(&browser, "POST", "/logout").await;
    let page = Browser::new().get(&format!("{}/metrics", stack.admin)).await;
    stack.stop().await;
    page.body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exposition_is_one_and_says_what_has_happened() {
    let text = exposition().await;
    assert!(text.ends_with("# EOF\n"));
    for line in [
        "cloakroom_build_info{version=\"",
        "cloakroom_sessions_ended_total{cause=\"Logout\"} 1",
        "cloakroom_upstream_answers_total{app=\"app\",route=\"/api\",answered=\"Good\"} 1",
        "cloakroom_session_cookie_bytes_count 1",
        "cloakroom_refresh_seconds_count 0",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    promtool(&["check", "metrics"], &in_the_older_format(&text));
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    promtool(&["check", "rules", RULES], "");
    let there = metrics(&everything());
    for path in [RULES, DASHBOARD] {
        let asked = metrics(&text(path));
        assert!(asked.len() > 10, "{asked:?}");
        let missing: Vec<_> = asked.difference(&there).collect();
        assert!(missing.is_empty(), "{path} asks for {missing:?}");
    }
    let shown = metrics(&text(DASHBOARD));
    let hidden: Vec<_> = there.difference(&shown).collect();
    assert!(hidden.is_empty(), "nothing shows {hidden:?}");
}

#[test]
fn the_dashboard_is_one_and_its_panels_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
        assert!(!panel["targets"].as_array().unwrap().is_empty());
    }
}

#[test]
fn every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() {
    let (rules, runbook) = (text(RULES), text("docs/runbook.md"));
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let entries: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>(), entries.iter().collect::<BTreeSet<_>>());
    for alert in alerts {
        let link = format!("docs/runbook.md#{}", alert.to_ascii_lowercase());
        assert!(rules.contains(&format!("runbook: {link}\n")), "{alert}");
    }
}
