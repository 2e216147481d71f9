//! Brings the rules of a route and the record of a session together. The scopes are those that the latest tokens were
//! granted; the claims are those of the login.

use crate::config::ClaimRules;
use crate::edge::{Code, Problem};
use crate::guard::{self, Lack, Ruling};
use crate::session::SessionRecord;

/// What `rules` make of a call with the session of `record`; `configured` are the scopes of a login that was granted what
/// it asked for (RFC 6749 §5.1).
pub fn rule<'a>(
    rules: &'a ClaimRules,
    record: &SessionRecord,
    configured: &[String],
) -> Result<Ruling<'a>, Problem> {
    let granted: Vec<&str> = match &record.scope {
        Some(scope) => scope.split(' ').collect(),
        None => configured.iter().map(String::as_str).collect(),
    };
    guard::rule(rules, &granted, &record.ruled()).map_err(|lack| match lack {
        Lack::Scopes(names) => Problem::new(Code::ScopeMissing).with_missing(names),
        Lack::Claims(names) => Problem::new(Code::ClaimMissing).with_missing(names),
        Lack::Unknown(name) => Problem::new(Code::ClaimUnknown).with_missing(vec![name]),
    })
}
