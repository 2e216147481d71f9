//! `provider.profile`: which closed list of settings holds. The FAPI 2.0 Security Profile forbids what weakens a login; each such
//! setting is an error that names the rule, never silently another one.

use super::choices::{
    AssertionAudience, ClientAuthMethod, Profile, PushedRequests, SenderConstraint,
};
use super::raw::RawProvider;
use super::report::At;

/// What FAPI 2.0 signs with (section 5.4.1).
const ALGORITHMS: [&str; 3] = ["PS256", "ES256", "EdDSA"];
const CLIENTS: &str = "FAPI 2.0 Security Profile 5.3.3.1";
const CODE_FLOW: &str = "FAPI 2.0 Security Profile 5.3.3.2";
const CRYPTOGRAPHY: &str = "FAPI 2.0 Security Profile 5.4.1";

/// A setting that the profile forbids.
#[derive(Clone)]
struct Forbidden {
    key: &'static str,
    rule: &'static str,
    why: &'static str,
    mend: &'static str,
}

/// Notes everything that the profile forbids; `None` if there is anything.
pub(super) fn profile(at: &At<'_>, raw: &RawProvider) -> Option<()> {
    if raw.profile == Profile::Oidc {
        return Some(());
    }
    let forbidden = [credential(raw), messages(raw), overrides(raw)].concat();
    for Forbidden { key, rule, why, mend } in &forbidden {
        at.key(key)
            .fail::<()>(format!("is forbidden by profile = \"fapi2\": {why} ({rule})"), *mend);
    }
    forbidden.is_empty().then_some(())
}

/// How the client shows itself, and what its tokens are worth to a thief.
fn credential(raw: &RawProvider) -> Vec<Forbidden> {
    let is_secret = matches!(
        raw.auth_method,
        ClientAuthMethod::ClientSecretBasic | ClientAuthMethod::ClientSecretPost
    );
    let checks = [
        (
            is_secret,
            "auth_method",
            "a client shows itself by a key, not by a shared secret",
            "write auth_method = \"private_key_jwt\"",
        ),
        (
            raw.sender_constraint == SenderConstraint::None,
            "sender_constraint",
            "access tokens are bound to a key or a certificate",
            "write sender_constraint = \"dpop\"",
        ),
        (
            raw.client_assertion_audience != AssertionAudience::Issuer,
            "client_assertion_audience",
            "an assertion's audience is the issuer",
            "remove it",
        ),
    ];
    kept(CLIENTS, checks)
}

/// What is sent and how it is signed.
fn messages(raw: &RawProvider) -> Vec<Forbidden> {
    let weak = raw.algorithms.iter().any(|name| !ALGORITHMS.contains(&name.as_str()));
    let mut all = kept(
        CODE_FLOW,
        [(
            raw.pushed_requests != PushedRequests::Always,
            "pushed_requests",
            "every authorization request is pushed",
            "write pushed_requests = \"always\"",
        )],
    );
    all.extend(kept(CRYPTOGRAPHY, [
        (weak, "algorithms", "only PS256, ES256 and EdDSA sign",
            "write algorithms = [\"PS256\", \"ES256\", \"EdDSA\"], or those of them that the server uses"),
        (raw.client_key_rs256, "client_key_rs256", "only PS256, ES256 and EdDSA sign", "remove it"),
    ]));
    all
}

/// Endpoints come from the document at the issuer's well-known address, and from nowhere else.
fn overrides(raw: &RawProvider) -> Vec<Forbidden> {
    const WHY: &str = "the issuer's own metadata is all that counts";
    let written = [
        ("discovery_url", &raw.discovery_url),
        ("issuer_template", &raw.issuer_template),
        ("authorization_endpoint", &raw.authorization_endpoint),
        ("token_endpoint", &raw.token_endpoint),
        ("jwks_uri", &raw.jwks_uri),
        ("userinfo_endpoint", &raw.userinfo_endpoint),
        ("end_session_endpoint", &raw.end_session_endpoint),
        ("revocation_endpoint", &raw.revocation_endpoint),
        ("introspection_endpoint", &raw.introspection_endpoint),
        ("pushed_authorization_request_endpoint", &raw.pushed_authorization_request_endpoint),
    ];
    kept(CLIENTS, written.map(|(key, value)| (value.is_some(), key, WHY, "remove it")))
}

fn kept<const N: usize>(
    rule: &'static str,
    checks: [(bool, &'static str, &'static str, &'static str); N],
) -> Vec<Forbidden> {
    let broken = checks.into_iter().filter(|(is_broken, ..)| *is_broken);
    broken.map(|(_, key, why, mend)| Forbidden { key, rule, why, mend }).collect()
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
