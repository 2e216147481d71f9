//! Brings the rules of a route and the record of a session together. The scopes are those that the latest tokens were
//! granted; the claims are those of the login.

use crate::config::ClaimRules;
use crate::edge::{Code, Problem};
use crate::guard::{self, Lack, Ruling};
use crate::session::SessionRecord;

/// What `rules` make of a call with the session of `record`. A session of an older release, which did not keep what was
/// granted where the authorization server was silent, has no scope.
pub fn rule<'a>(rules: &'a ClaimRules, record: &SessionRecord) -> Result<Ruling<'a>, Problem> {
    let granted: Vec<&str> = record.scope.iter().flat_map(|scope| scope.split(' ')).collect();
    guard::rule(rules, &granted, &record.ruled()).map_err(|lack| match lack {
        Lack::Scopes(names) => Problem::new(Code::ScopeMissing).with_missing(names),
        Lack::Claims(names) => Problem::new(Code::ClaimMissing).with_missing(names),
        Lack::Unknown(name) => Problem::new(Code::ClaimUnknown).with_missing(vec![name]),
    })
}
