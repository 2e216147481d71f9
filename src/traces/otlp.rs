//! Spans as OTLP says them in JSON (OpenTelemetry Protocol 1.x, `ExportTraceServiceRequest`): ids in lower-case hexadecimal,
//! 64-bit numbers as text.

use serde::Serialize;

use super::context::hex;
use super::span::{Span, Value};
use crate::telemetry::otlp::{self, AnyValue, Attribute, Resource, Scope};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Written<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'a>>,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    /// 0 unset, 2 error.
    code: u8,
}

/// The body of one request to the collector.
pub(super) fn body(service_name: &str, spans: &[Span]) -> Vec<u8> {
    let spans = spans.iter().map(written).collect();
    let scope_spans = [ScopeSpans { scope: Scope::new("cloakroom"), spans }];
    let resource = Resource::new(service_name);
    otlp::body(&Request { resource_spans: [ResourceSpans { resource, scope_spans }] })
}

fn written(span: &Span) -> Written<'_> {
    let attributes = span.attributes.iter().map(|(key, value)| Attribute {
        key,
        value: match value {
            Value::Text(text) => AnyValue::StringValue(text),
            Value::Number(number) => AnyValue::IntValue(number.to_string()),
        },
    });
    Written {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.id),
        parent_span_id: span.parent.map(|parent| hex(&parent)),
        name: &span.name,
        kind: span.kind as u8,
        start_time_unix_nano: span.began.to_string(),
        end_time_unix_nano: span.ended.to_string(),
        attributes: attributes.collect(),
        status: Status { code: if span.is_error { 2 } else { 0 } },
    }
}
