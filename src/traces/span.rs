//! What is noted of a request and of its calls further on: names and numbers that the configuration, the protocol and we give,
//! never a path, a query, a field or a claim of somebody's. A trace that is not kept costs its ids and nothing else.

use std::cell::RefCell;

use super::context::{Parent, traceparent};
use super::queue::Spans;

/// One stretch of a trace, finished.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace_id: [u8; 16],
    pub id: [u8; 8],
    pub parent: Option<[u8; 8]>,
    pub kind: Kind,
    pub name: String,
    /// Nanoseconds since the epoch.
    pub began: u64,
    pub ended: u64,
    pub attributes: Vec<(&'static str, Value)>,
    pub is_error: bool,
}

/// Which side of a call it is; numbers as OTLP has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Server = 2,
    Client = 3,
}

/// What an attribute holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(u64),
}

/// A request on its way through this process.
pub struct Trace {
    spans: Spans,
    id: [u8; 16],
    span_id: [u8; 8],
    parent: Option<[u8; 8]>,
    is_kept: bool,
    began: u64,
    /// The route or the own endpoint, as configured.
    route: RefCell<String>,
}

/// A call to an upstream, begun.
pub struct Call {
    span_id: [u8; 8],
    began: u64,
}

/// Methods that may stand in a name (OpenTelemetry's HTTP conventions); others are `_OTHER`.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

impl Trace {
    /// A request that came with this `traceparent`. Whether it is kept is our own decision: who sends it must not be able to
    /// flood the collector.
    pub(super) fn begin(spans: &Spans, given: Option<&[u8]>) -> Self {
        let parent = given.and_then(Parent::parse);
        Self {
            id: parent.map_or_else(|| spans.random.bytes(), |parent| parent.trace_id),
            span_id: spans.random.bytes(),
            parent: parent.map(|parent| parent.span_id),
            is_kept: spans.keeps(),
            began: spans.clock.nanoseconds(),
            route: RefCell::default(),
            spans: spans.clone(),
        }
    }

    /// The trace's id in hexadecimal, if it is kept: for log lines.
    pub fn id(&self) -> Option<String> {
        self.is_kept.then(|| super::context::hex(&self.id))
    }

    /// Whether the request was part of a trace before it came here.
    pub fn goes_on(&self) -> bool {
        self.parent.is_some()
    }

    /// Notes which route or own endpoint answers; as configured, never the path that was asked for.
    pub fn answered_by(&self, route: &str) {
        if self.is_kept {
            route.clone_into(&mut self.route.borrow_mut());
        }
    }

    /// Begins a call further on.
    pub fn call(&self) -> Call {
        let span_id = if self.is_kept { self.spans.random.bytes() } else { self.span_id };
        Call { span_id, began: self.spans.clock.nanoseconds() }
    }

    /// The `traceparent` that the other side of `call` gets.
    pub fn traceparent(&self, call: &Call) -> String {
        traceparent(self.id, call.span_id, self.is_kept)
    }

    /// The call to `host` is over: with this status, or without an answer.
    pub fn called(&self, call: &Call, method: &str, host: &str, status: Option<u16>) {
        if !self.is_kept {
            return;
        }
        let mut attributes = vec![
            ("http.request.method", Value::Text(known(method).to_owned())),
            ("server.address", Value::Text(host.to_owned())),
        ];
        attributes.extend(status.map(|status| ("http.response.status_code", number(status))));
        self.spans.push(Span {
            trace_id: self.id,
            id: call.span_id,
            parent: Some(self.span_id),
            kind: Kind::Client,
            name: known(method).to_owned(),
            began: call.began,
            ended: self.spans.clock.nanoseconds().max(call.began),
            attributes,
            is_error: status.is_none_or(|status| status >= 400),
        });
    }

    /// The head of the answer is written; `code` is that of a refusal of ours.
    pub fn end(self, method: &str, status: u16, request_id: &str, code: Option<&str>) {
        if !self.is_kept {
            return;
        }
        let (method, route) = (known(method), self.route.into_inner());
        let mut attributes = vec![
            ("http.request.method", Value::Text(method.to_owned())),
            ("http.response.status_code", number(status)),
            ("cloakroom.request_id", Value::Text(request_id.to_owned())),
        ];
        attributes.extend(code.map(|code| ("cloakroom.code", Value::Text(code.to_owned()))));
        let name = if route.is_empty() { method.to_owned() } else { format!("{method} {route}") };
        if !route.is_empty() {
            attributes.push(("http.route", Value::Text(route)));
        }
        self.spans.push(Span {
            trace_id: self.id,
            id: self.span_id,
            parent: self.parent,
            kind: Kind::Server,
            name,
            began: self.began,
            ended: self.spans.clock.nanoseconds().max(self.began),
            attributes,
            is_error: status >= 500,
        });
    }
}

fn known(method: &str) -> &str {
    if METHODS.contains(&method) { method } else { "_OTHER" }
}

fn number(status: u16) -> Value {
    Value::Number(u64::from(status))
}
