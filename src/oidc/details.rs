//! What the server says that it granted, compared with what was asked for in detail (RFC 9396 §7). It may name more than was asked for: what
//! the user chose. More than that is never taken in silence.

use serde_json::Value;

use super::error::OidcError;
use super::token_response::Granted;
use crate::config::AuthorizationDetails;

/// The largest answer that a session keeps, bytes.
const LARGEST: usize = 4096;

/// What was granted, to be kept and shown: `null` where what was kept before does not hold any more, `None` where the server does not
/// say.
pub(super) fn granted(
    asked: &AuthorizationDetails,
    said: Option<Value>,
) -> Result<Option<Value>, OidcError> {
    let Some(said) = said else { return Ok(None) };
    let is_detail = |one: &Value| one.get("type").is_some_and(Value::is_string);
    let list = said.as_array().filter(|list| list.iter().all(is_detail));
    let list = list.ok_or(OidcError::TokenResponseInvalid)?;
    match compared(asked.list(), list) {
        Granted::AsAsked => {}
        Granted::Narrower => {
            tracing::debug!(code = "details_narrower", "less was granted in detail than asked for");
        }
        Granted::Wider => {
            tracing::warn!(code = "details_wider", "details were granted that nobody asked for");
        }
    }
    if said.to_string().len() > LARGEST {
        tracing::warn!(code = "details_too_large", "what was granted in detail is not kept");
        return Ok(Some(Value::Null));
    }
    Ok(Some(said))
}

fn compared(asked: &[Value], granted: &[Value]) -> Granted {
    if !granted.iter().all(|one| asked.iter().any(|asked| is_within(one, asked))) {
        Granted::Wider
    } else if asked.iter().all(|asked| granted.iter().any(|one| has_all(one, asked))) {
        Granted::AsAsked
    } else {
        Granted::Narrower
    }
}

/// Whether `granted` is no more than `asked`: what is asked for bounds it, what is not asked for may say more of it (§7.1).
fn is_within(granted: &Value, asked: &Value) -> bool {
    match (granted, asked) {
        (Value::Object(granted), Value::Object(asked)) => asked
            .iter()
            .all(|(name, asked)| granted.get(name).is_some_and(|one| is_within(one, asked))),
        (Value::Array(granted), Value::Array(asked)) => {
            granted.iter().all(|one| asked.iter().any(|asked| is_within(one, asked)))
        }
        (granted, asked) => granted == asked,
    }
}

/// Whether nothing of `asked` is missing in `granted`.
fn has_all(granted: &Value, asked: &Value) -> bool {
    match (granted, asked) {
        (Value::Object(granted), Value::Object(asked)) => asked
            .iter()
            .all(|(name, asked)| granted.get(name).is_some_and(|one| has_all(one, asked))),
        (Value::Array(granted), Value::Array(asked)) => {
            asked.iter().all(|asked| granted.iter().any(|one| has_all(one, asked)))
        }
        (granted, asked) => granted == asked,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    // proves: AR-19
    #[rstest]
    #[case::as_asked(json!([{"type": "a", "actions": ["read", "list"], "at": "https://x"}]), Granted::AsAsked)]
    #[case::another_order(json!([{"at": "https://x", "actions": ["list", "read"], "type": "a"}]), Granted::AsAsked)]
    #[case::with_what_the_user_chose(json!([{"type": "a", "actions": ["read", "list"], "at": "https://x", "accounts": ["1"]}]), Granted::AsAsked)]
    #[case::fewer_actions(json!([{"type": "a", "actions": ["read"], "at": "https://x"}]), Granted::Narrower)]
    #[case::nothing(json!([]), Granted::Narrower)]
    #[case::more_actions(json!([{"type": "a", "actions": ["read", "list", "pay"], "at": "https://x"}]), Granted::Wider)]
    #[case::any_action(json!([{"type": "a", "at": "https://x"}]), Granted::Wider)]
    #[case::elsewhere(json!([{"type": "a", "actions": ["read"], "at": "https://y"}]), Granted::Wider)]
    #[case::another_type(json!([{"type": "b", "actions": ["read"], "at": "https://x"}]), Granted::Wider)]
    #[case::one_more(json!([{"type": "a", "actions": ["read"], "at": "https://x"}, {"type": "b"}]), Granted::Wider)]
    #[case::no_list_any_more(json!([{"type": "a", "actions": "read", "at": "https://x"}]), Granted::Wider)]
    fn what_is_granted_is_compared_with_what_is_asked_for(
        #[case] granted: Value,
        #[case] expected: Granted,
    ) {
        let asked = json!([{"type": "a", "actions": ["read", "list"], "at": "https://x"}]);
        let list = |value: &Value| value.as_array().unwrap().clone();
        assert_eq!(compared(&list(&asked), &list(&granted)), expected);
    }
}
