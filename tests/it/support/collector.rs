//! A collector of traces and logs: takes OTLP over HTTP as JSON, decodes it strictly, and can be slow, away, or content with a part.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tokio::net::TcpListener;

use super::hostile_op::{Reply, Request, serve};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ExportRequest {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LogsRequest {
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ResourceLogs {
    resource: Resource,
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ScopeLogs {
    scope: Scope,
    log_records: Vec<WireLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireLog {
    time_unix_nano: String,
    severity_number: u8,
    severity_text: String,
    body: AnyValue,
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<WireSpan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    name: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireSpan {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute>,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    code: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    key: String,
    value: AnyValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum AnyValue {
    #[serde(rename = "stringValue")]
    Text(String),
    /// 64 bits: a text in JSON.
    #[serde(rename = "intValue")]
    Number(String),
    #[serde(rename = "boolValue")]
    Flag(bool),
}

/// A log record, decoded and checked: its body, its attributes, and whose it is.
#[derive(Clone, Debug)]
pub struct Log {
    pub service: String,
    pub severity: u8,
    pub event: String,
    pub attributes: Vec<(String, String)>,
}

/// A span, decoded and checked.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace_id: String,
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    /// `server` or `client`.
    pub kind: &'static str,
    pub attributes: Vec<(String, String)>,
    pub is_error: bool,
}

impl Span {
    /// An attribute's value, numbers as text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    spans: Vec<Span>,
    logs: Vec<Log>,
    bodies: Vec<String>,
    authorizations: Vec<Option<String>>,
    /// What is answered next; then 200 again.
    replies: VecDeque<Reply>,
}

/// The running collector; it stops when this is dropped.
pub struct Collector {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let taken = Arc::clone(&state);
        let answer = Arc::new(move |request: Request| take(&mut taken.lock().unwrap(), &request));
        let task = tokio::spawn(serve(listener, None, answer));
        Self { address, state, task }
    }

    /// What came in, in the order in which it was sent.
    pub fn spans(&self) -> Vec<Span> {
        self.state.lock().unwrap().spans.clone()
    }

    /// The log records that came in.
    pub fn logs(&self) -> Vec<Log> {
        self.state.lock().unwrap().logs.clone()
    }

    /// The bodies of all requests, refused ones too.
    pub fn bodies(&self) -> Vec<String> {
        self.state.lock().unwrap().bodies.clone()
    }

    /// The `Authorization` of each request.
    pub fn authorizations(&self) -> Vec<Option<String>> {
        self.state.lock().unwrap().authorizations.clone()
    }

    /// Answers the next requests so.
    pub fn answer_with(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().replies.extend(replies);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn take(state: &mut State, request: &Request) -> Reply {
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), Some("application/json"));
    state.bodies.push(request.body.clone());
    state.authorizations.push(request.header("authorization").map(str::to_owned));
    let (mut spans, mut logs) = (Vec::new(), Vec::new());
    match request.path.as_str() {
        "/v1/traces" => spans = decode(&request.body),
        "/v1/logs" => logs = decode_logs(&request.body),
        other => panic!("nobody sends to {other}"),
    }
    let reply = state.replies.pop_front();
    if reply.as_ref().is_none_or(|reply| reply.status == 200) {
        state.spans.extend(spans);
        state.logs.extend(logs);
    }
    reply.unwrap_or_else(|| Reply::new(200, "application/json", "{}"))
}

fn decode_logs(body: &str) -> Vec<Log> {
    let request: LogsRequest = serde_json::from_str(body).unwrap();
    let mut logs = Vec::new();
    for ResourceLogs { resource, scope_logs } in request.resource_logs {
        let whose = pairs(resource.attributes);
        let service = &whose.iter().find(|(key, _)| key == "service.name").unwrap().1;
        for ScopeLogs { scope, log_records } in scope_logs {
            assert!(!scope.version.is_empty() && scope.name == "cloakroom.audit");
            for record in log_records {
                assert!(record.time_unix_nano.parse::<u64>().unwrap() > 1_600_000_000_000_000_000);
                let severity = (record.severity_number, record.severity_text.as_str());
                assert!(
                    matches!(severity, (9, "INFO") | (13, "WARN") | (17, "ERROR")),
                    "{severity:?}"
                );
                let AnyValue::Text(event) = record.body else { panic!("no text") };
                logs.push(Log {
                    service: service.clone(),
                    severity: record.severity_number,
                    event,
                    attributes: pairs(record.attributes),
                });
            }
        }
    }
    logs
}

/// Decodes a request as the protocol has it.
fn decode(body: &str) -> Vec<Span> {
    let request: ExportRequest = serde_json::from_str(body).unwrap();
    let mut spans = Vec::new();
    for ResourceSpans { resource, scope_spans } in request.resource_spans {
        let resource = pairs(resource.attributes);
        assert!(resource.iter().any(|(key, value)| key == "service.name" && !value.is_empty()));
        for ScopeSpans { scope, spans: wire } in scope_spans {
            assert!(!scope.version.is_empty() && scope.name == "cloakroom");
            spans.extend(wire.into_iter().map(checked));
        }
    }
    spans
}

fn checked(span: WireSpan) -> Span {
    let is_id = |id: &str, length: usize| {
        id.len() == length
            && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && id.bytes().any(|byte| byte != b'0')
    };
    assert!(is_id(&span.trace_id, 32) && is_id(&span.span_id, 16), "{}", span.trace_id);
    assert!(span.parent_span_id.as_ref().is_none_or(|parent| is_id(parent, 16)));
    let time = |text: &str| text.parse::<u64>().unwrap();
    assert!(time(&span.start_time_unix_nano) <= time(&span.end_time_unix_nano));
    assert!(matches!(span.status.code, 0 | 2) && !span.name.is_empty());
    let kind = match span.kind {
        2 => "server",
        3 => "client",
        other => panic!("kind {other}"),
    };
    Span {
        trace_id: span.trace_id,
        id: span.span_id,
        parent: span.parent_span_id,
        name: span.name,
        kind,
        attributes: pairs(span.attributes),
        is_error: span.status.code == 2,
    }
}

fn pairs(attributes: Vec<Attribute>) -> Vec<(String, String)> {
    let value = |value| match value {
        AnyValue::Text(text) => text,
        AnyValue::Number(number) => number.parse::<i64>().unwrap().to_string(),
        AnyValue::Flag(flag) => flag.to_string(),
    };
    let mut pairs: Vec<(String, String)> =
        attributes.into_iter().map(|attribute| (attribute.key, value(attribute.value))).collect();
    pairs.sort();
    let keys = pairs.iter().map(|(key, _)| key).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(keys.len(), pairs.len(), "a key came twice");
    pairs
}
