//! What the app is told of a login that brought no session: a code of a closed list, in the query of one of its own pages. Never text of the
//! authorization server (CB-05).

use crate::edge::AuthError;
use crate::oidc::{IdTokenFault, OidcError};

/// The `auth_error` for a failure at the authorization server.
pub fn login_code(error: OidcError) -> AuthError {
    tracing::warn!(code = error.code(), "a login failed at the authorization server");
    match error {
        _ if error.is_unavailable() => AuthError::ProviderUnavailable,
        OidcError::IdToken(
            IdTokenFault::Expiry | IdTokenFault::IssuedAt | IdTokenFault::NotBefore,
        ) => AuthError::Clock,
        OidcError::IdToken(IdTokenFault::Issuer)
        | OidcError::IssuerMismatch
        | OidcError::ResponseIssMissing
        | OidcError::ResponseIssMismatch => AuthError::IssuerMismatch,
        OidcError::IdToken(IdTokenFault::Acr | IdTokenFault::AuthTime) => AuthError::StepUpFailed,
        OidcError::IdToken(_) => AuthError::IdTokenInvalid,
        OidcError::TokenRejected => AuthError::ClientRejected,
        OidcError::InvalidGrant => AuthError::CodeRejected,
        _ => AuthError::LoginFailed,
    }
}

/// The page `path` with `told` in its query, before a fragment, instead of what an earlier answer has left there under these names.
pub fn telling(path: &str, told: &[(&str, &str)]) -> String {
    let (path, fragment) = path.split_at(path.find('#').unwrap_or(path.len()));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is_other = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        !pair.is_empty() && !told.iter().any(|(known, _)| Some(*known) == name.as_deref())
    };
    let kept: String = query.split('&').filter(is_other).flat_map(|pair| [pair, "&"]).collect();
    let told = form_urlencoded::Serializer::new(String::new()).extend_pairs(told).finish();
    format!("{path}?{kept}{told}{fragment}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("/x", "/x?auth_error=e&request_id=r")]
    #[case::query("/x?a=1&b=%20", "/x?a=1&b=%20&auth_error=e&request_id=r")]
    #[case::fragment("/x#top?y", "/x?auth_error=e&request_id=r#top?y")]
    #[case::both("/x?a=1#auth_error=2", "/x?a=1&auth_error=e&request_id=r#auth_error=2")]
    #[case::again("/x?auth_error=old&a=1&request_id=old", "/x?a=1&auth_error=e&request_id=r")]
    #[case::disguised("/x?auth%5Ferror=old", "/x?auth_error=e&request_id=r")]
    #[case::empty("/x?", "/x?auth_error=e&request_id=r")]
    fn what_is_told_stands_once_in_the_query(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(telling(path, &[("auth_error", "e"), ("request_id", "r")]), expected);
    }
}
