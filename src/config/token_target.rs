//! Which token an API gets instead of the login's, and what it is asked for with. A token for no API in particular would be
//! good at all of them: a target is asked for (AR-16, AR-20).

use std::time::Duration;

use super::choices::TokenSource;
use super::quantity::{HOUR, duration};
use super::raw::RawRoute;
use super::report::{At, Wrong, every, unique};
use super::words::{parse_plain, parse_scope};

/// What a token for one API is asked for with, and how long it is kept at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenTarget {
    /// RFC 8693 §2.1.
    pub audience: Option<String>,
    /// An absolute URI without fragment (RFC 8707 §2).
    pub resource: Option<String>,
    pub scopes: Vec<String>,
    pub most_kept: Duration,
}

/// Reads the keys of one route.
pub(super) fn token_target(at: &At<'_>, raw: &RawRoute) -> Option<TokenTarget> {
    let plain = |name: &str, text: &Option<String>| match text {
        Some(text) => at.key(name).take(parse_plain(text)).map(Some),
        None => Some(None),
    };
    let audience = plain("token_audience", &raw.token_audience);
    let resource = match &raw.token_resource {
        Some(text) => at.key("token_resource").take(parse_resource(text)).map(Some),
        None => Some(None),
    };
    let scopes_at = at.key("token_scopes");
    let scopes = every(&scopes_at, &raw.token_scopes, |at, text| at.take(parse_scope(text)));
    let scopes = unique(&scopes_at, &raw.token_scopes).and(scopes);
    let most_kept = duration(&at.key("token_cache"), &raw.token_cache, 1..=HOUR);
    let (audience, resource, scopes) = (audience?, resource?, scopes?);
    fits(at, raw)?;
    Some(TokenTarget { audience, resource, scopes, most_kept: most_kept? })
}

/// A target where one is needed, and none where it would mean nothing.
fn fits(at: &At<'_>, raw: &RawRoute) -> Option<()> {
    let written = [
        ("token_audience", raw.token_audience.is_some()),
        ("token_resource", raw.token_resource.is_some()),
        ("token_scopes", !raw.token_scopes.is_empty()),
    ];
    let first = written.into_iter().find(|(_, is_written)| *is_written);
    match (raw.token, first) {
        (TokenSource::Exchange | TokenSource::Client, None) => at.key("token").fail(
            "a token for which API?",
            "write token_audience, token_resource or token_scopes, as the authorization server knows them",
        ),
        (TokenSource::Resource, _) if raw.token_resource.is_none() => at
            .key("token_resource")
            .missing("write one of provider.resources: the API as the authorization server knows it"),
        (TokenSource::Resource, Some(("token_audience", _))) => at
            .key("token_audience")
            .fail("means nothing here", "remove it: token_resource says for which API"),
        (TokenSource::Login | TokenSource::Introspect | TokenSource::None, Some((name, _))) => {
            let mend = "remove it, or set token = \"resource\", \"exchange\" or \"client\"";
            at.key(name).fail("means nothing here", mend)
        }
        _ => Some(()),
    }
}

/// RFC 8707 §2: an absolute URI without fragment; it goes on as written.
pub(super) fn parse_resource(text: &str) -> Result<String, Wrong> {
    let is_absolute = url::Url::parse(text).is_ok() && text.bytes().all(|b| b.is_ascii_graphic());
    if is_absolute && !text.contains('#') {
        return Ok(text.to_owned());
    }
    Err(Wrong {
        problem: "not an absolute URI without fragment",
        mend: "write it like \"https://orders.example.com\"",
    })
}
