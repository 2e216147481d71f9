//! `provider.profile`: which closed list of settings holds. The FAPI 2.0 Security Profile forbids what weakens a login; each such
//! setting is an error that names the rule, never silently another one.

use super::choices::{AssertionAudience, Profile, PushedRequests, SenderConstraint};
use super::raw::RawProvider;
use super::report::At;

/// What FAPI 2.0 signs with (section 5.4.1).
const ALGORITHMS: [&str; 3] = ["PS256", "ES256", "EdDSA"];

/// What the profile forbids.
struct Rule {
    key: &'static str,
    breaks: fn(&RawProvider) -> bool,
    /// Of the profile.
    section: &'static str,
    why: &'static str,
    mend: &'static str,
}

/// All of it, but for what [`overrides`] lists.
const RULES: [Rule; 6] = [
    Rule {
        key: "auth_method",
        breaks: |raw| raw.auth_method.is_secret(),
        section: "5.3.3.1",
        why: "a client shows itself by a key or a certificate, not by a shared secret",
        mend: "write auth_method = \"private_key_jwt\", or \"tls_client_auth\"",
    },
    Rule {
        key: "sender_constraint",
        breaks: |raw| raw.sender_constraint == SenderConstraint::None,
        section: "5.3.3.1",
        why: "access tokens are bound to a key or a certificate",
        mend: "write sender_constraint = \"dpop\", or \"mtls\"",
    },
    Rule {
        key: "client_assertion_audience",
        breaks: |raw| raw.client_assertion_audience != AssertionAudience::Issuer,
        section: "5.3.3.1",
        why: "an assertion's audience is the issuer",
        mend: "remove it",
    },
    Rule {
        key: "pushed_requests",
        breaks: |raw| raw.pushed_requests != PushedRequests::Always,
        section: "5.3.3.2",
        why: "every authorization request is pushed",
        mend: "write pushed_requests = \"always\"",
    },
    Rule {
        key: "algorithms",
        breaks: |raw| !raw.algorithms.iter().all(|name| ALGORITHMS.contains(&name.as_str())),
        section: "5.4.1",
        why: "only PS256, ES256 and EdDSA sign",
        mend: "write algorithms = [\"PS256\", \"ES256\", \"EdDSA\"], or those of them that the server uses",
    },
    Rule {
        key: "client_key_rs256",
        breaks: |raw| raw.client_key_rs256,
        section: "5.4.1",
        why: "only PS256, ES256 and EdDSA sign",
        mend: "remove it",
    },
];

/// Notes everything that the profile forbids; `None` if there is anything.
pub(super) fn profile(at: &At<'_>, raw: &RawProvider) -> Option<()> {
    if raw.profile == Profile::Oidc {
        return Some(());
    }
    let forbid = |key: &str, section: &str, why: &str, mend: &str| {
        let rule = format!("FAPI 2.0 Security Profile {section}");
        at.key(key).fail::<()>(format!("is forbidden by profile = \"fapi2\": {why} ({rule})"), mend)
    };
    let broken: Vec<&Rule> = RULES.iter().filter(|rule| (rule.breaks)(raw)).collect();
    for rule in &broken {
        forbid(rule.key, rule.section, rule.why, rule.mend);
    }
    let written = overrides(raw);
    for key in &written {
        forbid(key, "5.3.3.1", "the issuer's own metadata is all that counts", "remove it");
    }
    (broken.is_empty() && written.is_empty()).then_some(())
}

/// The written ones of those settings by which endpoints come from elsewhere than the issuer's well-known address.
fn overrides(raw: &RawProvider) -> Vec<&'static str> {
    let all = [
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
    all.into_iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key).collect()
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
