//! `provider.authorization_details`: what a login asks for in more detail than scopes can say (RFC 9396). It is the operator's alone: no
//! page of the app can ask for more, or for less.

use serde_json::Value;

use super::raw::RawProvider;
use super::report::At;

/// So many are a list that nobody reads any more.
const MOST: usize = 16;

/// What is asked for: objects with a `type` each, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationDetails {
    list: Vec<Value>,
    text: String,
}

impl AuthorizationDetails {
    /// One by one.
    pub fn list(&self) -> &[Value] {
        &self.list
    }

    /// All of it, as the request says it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What is written, if anything.
#[expect(clippy::option_option, reason = "a problem was noted, nothing is asked for, or this")]
pub(super) fn authorization_details(
    at: &At<'_>,
    raw: &RawProvider,
) -> Option<Option<AuthorizationDetails>> {
    const MEND: &str =
        "write a JSON list of objects, each with its \"type\", e.g. '[{\"type\":\"accounts\"}]'";
    let at = at.key("authorization_details");
    let Some(text) = &raw.authorization_details else { return Some(None) };
    let list: Vec<Value> = match serde_json::from_str(text) {
        Ok(Value::Array(list)) if !list.is_empty() => list,
        _ => return at.fail("not a list in JSON, with something in it", MEND),
    };
    if list.len() > MOST {
        return at.fail("are too many", "list 16 at the most");
    }
    let has_type = |detail: &Value| {
        detail.get("type").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty())
    };
    if !list.iter().all(has_type) {
        return at.fail("has an entry without type", MEND);
    }
    let text = Value::Array(list.clone()).to_string();
    Some(Some(AuthorizationDetails { list, text }))
}
