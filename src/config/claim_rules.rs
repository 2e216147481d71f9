//! What a route asks of the scopes and claims of a login, and what it does with them: refuse, choose an upstream, tell
//! the upstream. Only a login has claims, so a route without a session has no such rules.

use std::collections::BTreeMap;

use super::choices::Otherwise;
use super::raw::{RawRoute, RawUpstreamBy};
use super::report::{At, Wrong, every, unique, wrong};
use super::routes::each_once;
use super::trust::further_upstream;
use super::types::{RouteConfig, Upstream};
use super::words::{parse_claim_field, parse_scope};

/// Longest name of a claim, bytes.
const LONGEST_NAME: usize = 256;
/// Longest value that is compared, bytes.
const LONGEST_VALUE: usize = 1024;

/// The rules of one route; the default is none.
#[derive(Clone, Debug, Default)]
pub struct ClaimRules {
    /// All of these were granted.
    pub scopes: Vec<String>,
    /// Each claim has one of its values; no value listed is any but `false`.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Request fields that tell the upstream a claim: name in lower case, claim.
    pub fields: Vec<(String, String)>,
    pub by_claim: Option<ByClaim>,
}

/// `[routes.upstream_by]`
#[derive(Clone, Debug)]
pub struct ByClaim {
    pub claim: String,
    pub upstreams: BTreeMap<String, Upstream>,
    pub missing: Otherwise,
    pub unknown: Otherwise,
}

impl ClaimRules {
    /// Whether nothing is asked and nothing is told.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
            && self.claims.is_empty()
            && self.fields.is_empty()
            && self.by_claim.is_none()
    }

    /// The claims that these rules look at; some maybe twice.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().map(|(_, claim)| claim);
        let chosen = self.by_claim.iter().map(|by| &by.claim);
        self.claims.keys().chain(fields).chain(chosen).map(String::as_str)
    }
}

impl RouteConfig {
    /// Wherever its calls may go.
    pub fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        let chosen = self.rules.by_claim.iter().flat_map(|by| by.upstreams.values());
        std::iter::once(&self.upstream).chain(chosen)
    }
}

/// The rules of `raw`; `upstream` is the route's own, if that is fine.
pub(super) fn rules(
    at: &At<'_>,
    raw: &RawRoute,
    upstream: Option<&Upstream>,
) -> Option<ClaimRules> {
    let needs_login = needs_login(at, raw);
    let scopes_at = at.key("require_scopes");
    let scopes = every(&scopes_at, &raw.require_scopes, |at, text| at.take(parse_scope(text)));
    let scopes = unique(&scopes_at, &raw.require_scopes).and(scopes);
    let claims = required(&at.key("require_claims"), &raw.require_claims);
    let fields_at = at.key("claim_headers");
    let fields: Vec<Option<(String, String)>> = raw
        .claim_headers
        .iter()
        .map(|(name, claim)| {
            let at = fields_at.key(name);
            let name = at.take(parse_claim_field(name));
            Some((name?, at.take(parse_claim(claim))?))
        })
        .collect();
    let by_claim = match &raw.upstream_by {
        Some(raw) => by_claim(&at.key("upstream_by"), raw, upstream).map(Some),
        None => Some(None),
    };
    needs_login?;
    Some(ClaimRules {
        scopes: scopes?,
        claims: claims?,
        fields: each_once(&fields_at, fields.into_iter().collect::<Option<_>>()?)?,
        by_claim: by_claim?,
    })
}

/// Without a session nobody has claims.
fn needs_login(at: &At<'_>, raw: &RawRoute) -> Option<()> {
    if raw.token.needs_session() {
        return Some(());
    }
    let written = [
        ("require_scopes", !raw.require_scopes.is_empty()),
        ("require_claims", !raw.require_claims.is_empty()),
        ("claim_headers", !raw.claim_headers.is_empty()),
        ("upstream_by", raw.upstream_by.is_some()),
    ];
    let mut fine = Some(());
    for (name, _) in written.into_iter().filter(|(_, is_written)| *is_written) {
        let mend = "remove it, or set token = \"login\"";
        fine = at.key(name).fail("needs a session, and this route has none", mend);
    }
    fine
}

fn required(
    at: &At<'_>,
    raw: &BTreeMap<String, Vec<String>>,
) -> Option<BTreeMap<String, Vec<String>>> {
    let parsed: Vec<_> = raw
        .iter()
        .map(|(claim, values)| {
            let at = at.key(claim);
            let name = at.take(parse_claim(claim));
            let values = every(&at, values, |at, text| at.take(parse_value(text)));
            Some((name?, values?))
        })
        .collect();
    parsed.into_iter().collect()
}

fn by_claim(at: &At<'_>, raw: &RawUpstreamBy, own: Option<&Upstream>) -> Option<ByClaim> {
    let claim = at
        .key("claim")
        .required(raw.claim.as_deref(), "name the claim, e.g. \"region\"")
        .and_then(|claim| at.key("claim").take(parse_claim(claim)));
    let at_each = at.key("upstreams");
    if raw.upstreams.is_empty() {
        let mend = "write where each value leads, e.g. { eu = \"https://eu.api.example.com\" }";
        return at_each.missing(mend);
    }
    let upstreams: Vec<_> = raw
        .upstreams
        .iter()
        .map(|(value, upstream)| {
            let at = at_each.key(value);
            let value = at.take(parse_value(value));
            Some((value?, further_upstream(&at, upstream, own)?))
        })
        .collect();
    let upstreams = upstreams.into_iter().collect::<Option<_>>();
    Some(ByClaim {
        claim: claim?,
        upstreams: upstreams?,
        missing: raw.missing,
        unknown: raw.unknown,
    })
}

/// A claim's name, or a JSON pointer to one inside another.
fn parse_claim(text: &str) -> Result<String, Wrong> {
    const MEND: &str = "write the claim's name, or a JSON pointer such as \"/realm_access/roles\"";
    if text.is_empty() || text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
        return wrong("not the name of a claim", MEND);
    }
    let escapes = text.split('~').skip(1);
    if text.starts_with('/') && escapes.into_iter().any(|rest| !rest.starts_with(['0', '1'])) {
        return wrong(
            "not a JSON pointer: ~ stands for nothing by itself",
            "write ~0 for ~, ~1 for /",
        );
    }
    Ok(text.to_owned())
}

fn parse_value(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > LONGEST_VALUE || text.chars().any(char::is_control) {
        return wrong("not a value to compare with", "write text of 1 to 1024 bytes");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{LEAST, problems};

    fn of(route: &str) -> Vec<String> {
        let text =
            format!("{LEAST}\n[[routes]]\npath = \"/api\"\nupstream = \"http://api:80\"\n{route}");
        problems(&text, &[], &[])
    }

    #[test]
    fn rules_need_a_session() {
        let found = of(r#"
token = "none"
session_rate = "1/s"
require_scopes = ["a"]
require_claims = { b = [] }
claim_headers = { x-b = "b" }
upstream_by = { claim = "b", upstreams = { c = "http://c:80" } }
"#);
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found.iter().all(|problem| problem.contains("needs a session")), "{found:?}");
    }

    #[test]
    fn an_upstream_by_claim_needs_the_claim_and_upstreams_of_the_usual_form() {
        for (written, wanted) in [
            ("{}", "upstream_by.claim"),
            ("{ claim = \"b\" }", "upstream_by.upstreams"),
            ("{ claim = \"b\", upstreams = { c = \"c:80\" } }", "upstream_by.upstreams.c"),
            ("{ claim = \"b\", upstreams = { \"\" = \"http://c:80\" } }", "upstream_by.upstreams"),
        ] {
            let found = of(&format!("upstream_by = {written}"));
            assert!(found.iter().any(|problem| problem.contains(wanted)), "{written}: {found:?}");
        }
    }
}
