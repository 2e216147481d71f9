//! Whether a login may use a route, which upstream its claims choose, and what the upstream is told of them.
//! Deny by default: what is missing or unknown never passes as if it were there. Never says what a claim's value is.

use std::fmt::Write as _;

use serde_json::Value;

use crate::config::{ClaimRules, Otherwise};
use crate::session::Claims;

/// What the rules make of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Ruling<'a> {
    /// The value whose upstream is chosen; `None` is the route's own.
    pub upstream: Option<&'a str>,
    /// Request fields for the upstream: name in lower case, value in printable ASCII.
    pub fields: Vec<(&'a str, String)>,
}

/// What a login lacks, by name.
#[derive(Debug, PartialEq, Eq)]
pub enum Lack {
    Scopes(Vec<String>),
    Claims(Vec<String>),
    /// The claim is there, and no upstream is for its value.
    Unknown(String),
}

/// Applies `rules` to a login with the scopes `granted` and these claims.
pub fn rule<'a>(
    rules: &'a ClaimRules,
    granted: &[&str],
    claims: &Claims,
) -> Result<Ruling<'a>, Lack> {
    let scopes = rules.scopes.iter().filter(|scope| !granted.contains(&scope.as_str()));
    let scopes: Vec<String> = scopes.cloned().collect();
    if !scopes.is_empty() {
        return Err(Lack::Scopes(scopes));
    }
    let unmet = rules.claims.iter().filter(|(name, values)| !meets(claims.get(*name), values));
    let unmet: Vec<String> = unmet.map(|(name, _)| name.clone()).collect();
    if !unmet.is_empty() {
        return Err(Lack::Claims(unmet));
    }
    let fields = rules.fields.iter();
    let fields =
        fields.filter_map(|(name, claim)| Some((name.as_str(), text(claims.get(claim)?)?)));
    Ok(Ruling { upstream: chosen(rules, claims)?, fields: fields.collect() })
}

/// Whether a claim has one of the values; any value but `false` will do where none is listed.
fn meets(claim: Option<&Value>, values: &[String]) -> bool {
    let is_one = |value: &Value| plain(value).is_some_and(|value| values.contains(&value));
    match claim {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) if values.is_empty() => !items.is_empty(),
        Some(value) if values.is_empty() => *value != Value::Bool(false),
        Some(Value::Array(items)) => items.iter().any(is_one),
        Some(value) => is_one(value),
    }
}

/// The value that chooses an upstream. A list of several chooses none: nobody says which of them counts.
fn chosen<'a>(rules: &'a ClaimRules, claims: &Claims) -> Result<Option<&'a str>, Lack> {
    let Some(by) = &rules.by_claim else { return Ok(None) };
    let value = match claims.get(&by.claim) {
        None | Some(Value::Null) => {
            return match by.missing {
                Otherwise::Refuse => Err(Lack::Claims(vec![by.claim.clone()])),
                Otherwise::Upstream => Ok(None),
            };
        }
        Some(Value::Array(items)) => match items.as_slice() {
            [only] => plain(only),
            _ => None,
        },
        Some(value) => plain(value),
    };
    match value.and_then(|value| by.upstreams.get_key_value(&value)) {
        Some((known, _)) => Ok(Some(known)),
        None if by.unknown == Otherwise::Upstream => Ok(None),
        None => Err(Lack::Unknown(by.claim.clone())),
    }
}

/// A text, number or truth value as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A claim as the value of a field: printable ASCII, the rest and `%` percent-encoded in UTF-8; a list with commas, and
/// those inside its items encoded, so that nobody's name can be two groups. What has members is no value.
fn text(value: &Value) -> Option<String> {
    let Value::Array(items) = value else { return Some(encoded(&plain(value)?, b"%")) };
    let items: Option<Vec<String>> =
        items.iter().map(|item| Some(encoded(&plain(item)?, b"%,"))).collect();
    Some(items?.join(","))
}

fn encoded(text: &str, and: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !and.contains(&byte);
    let last = text.len().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        // A blank at an end would be lost on the way (RFC 9110 §5.5).
        if is_plain(byte) || (byte == b' ' && at > 0 && at < last) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
