//! What traces and logs have in common where OTLP says them in JSON (OpenTelemetry Protocol 1.x): who speaks, and attributes, whose
//! 64-bit numbers are text. Sends nothing.

use serde::Serialize;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Who speaks.
#[derive(Serialize)]
pub struct Resource<'a> {
    attributes: [Attribute<'a>; 2],
}

/// Which part of it.
#[derive(Serialize)]
pub struct Scope {
    name: &'static str,
    version: &'static str,
}

/// A name and its value.
#[derive(Serialize)]
pub struct Attribute<'a> {
    pub key: &'a str,
    pub value: AnyValue<'a>,
}

/// A value, tagged by its type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AnyValue<'a> {
    StringValue(&'a str),
    IntValue(String),
    BoolValue(bool),
}

impl<'a> Resource<'a> {
    /// This release of the service with this name.
    pub fn new(service_name: &'a str) -> Self {
        let text = |key, text| Attribute { key, value: AnyValue::StringValue(text) };
        Self { attributes: [text("service.name", service_name), text("service.version", VERSION)] }
    }
}

impl Scope {
    /// The part with this name, of this release.
    pub const fn new(name: &'static str) -> Self {
        Self { name, version: VERSION }
    }
}

/// The body of a request. Text, numbers and flags: this cannot fail.
pub fn body(request: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(request).unwrap_or_default()
}
