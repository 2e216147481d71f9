//! Which claims of a login are kept for the rules of routes. What no route looks at is not kept: cookies are small.
//! Claims are those of the login; a route that begins to look at another one sees it from the next login on.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

/// Claims by name.
pub type Claims = Map<String, Value>;

/// The names of the claims that the routes of an app look at; they change with the routes.
#[derive(Default)]
pub struct RuledNames(ArcSwap<Vec<String>>);

impl RuledNames {
    /// Those of now.
    pub fn load(&self) -> Arc<Vec<String>> {
        self.0.load_full()
    }

    /// Exchanges them for every login from now on.
    pub fn replace(&self, names: Vec<String>) {
        self.0.store(Arc::new(names));
    }
}

/// `names` of `all`, under these names. A name that begins with a slash is a JSON pointer (RFC 6901), unless a claim is
/// called so. The subject is part of every record.
pub(super) fn pick(all: &Claims, names: &[String]) -> Claims {
    let kept = names.iter().filter(|name| *name != "sub");
    kept.filter_map(|name| Some((name.clone(), find(all, name)?.clone()))).collect()
}

fn find<'a>(all: &'a Claims, name: &str) -> Option<&'a Value> {
    all.get(name).or_else(|| {
        let (first, rest) = match name.strip_prefix('/')?.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name.strip_prefix('/')?, None),
        };
        let claim = all.get(&first.replace("~1", "/").replace("~0", "~"))?;
        rest.map_or(Some(claim), |rest| claim.pointer(&format!("/{rest}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_found_by_name_and_by_pointer_and_others_are_left() {
        let all = serde_json::json!({
            "sub": "alice", "region": "eu", "email": "a@example.com", "/odd": 1, "a/b": { "c~d": true },
            "realm_access": { "roles": ["sales", "support"] }, "groups": ["x", "y"],
        });
        let names = [
            "sub",
            "region",
            "/realm_access/roles",
            "/odd",
            "/a~1b/c~0d",
            "/groups/1",
            "/none/x",
            "/groups/9",
        ];
        let kept = pick(all.as_object().unwrap(), &names.map(ToOwned::to_owned));
        let expected = serde_json::json!({
            "region": "eu", "/realm_access/roles": ["sales", "support"], "/odd": 1, "/a~1b/c~0d": true, "/groups/1": "y",
        });
        assert_eq!(Value::Object(kept), expected);
    }
}
