//! The issuer in an authorization response (RFC 9207 §2.4): a defence against answers of another server, on errors too.

use super::error::OidcError;
use super::issuer::Issuer;

/// `iss` as it came, form-decoded; `promised` when the metadata says that the server always sends it.
pub(super) fn check(issuer: &Issuer, promised: bool, iss: Option<&str>) -> Result<(), OidcError> {
    match iss {
        Some(iss) if issuer.is(iss, None) => Ok(()),
        Some(_) => Err(OidcError::ResponseIssMismatch),
        None if promised => Err(OidcError::ResponseIssMissing),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // proves: CB-03
    #[rstest]
    #[case::right(Some("https://op.example.com"), Ok(()), Ok(()))]
    #[case::absent(None, Ok(()), Err(OidcError::ResponseIssMissing))]
    #[case::other(
        Some("https://evil.example.com"),
        Err(OidcError::ResponseIssMismatch),
        Err(OidcError::ResponseIssMismatch)
    )]
    #[case::slash(
        Some("https://op.example.com/"),
        Err(OidcError::ResponseIssMismatch),
        Err(OidcError::ResponseIssMismatch)
    )]
    #[case::other_case(
        Some("https://op.Example.com"),
        Err(OidcError::ResponseIssMismatch),
        Err(OidcError::ResponseIssMismatch)
    )]
    #[case::not_decoded(
        Some("https%3A%2F%2Fop.example.com"),
        Err(OidcError::ResponseIssMismatch),
        Err(OidcError::ResponseIssMismatch)
    )]
    #[case::empty(
        Some(""),
        Err(OidcError::ResponseIssMismatch),
        Err(OidcError::ResponseIssMismatch)
    )]
    fn an_issuer_is_compared_exactly_and_missed_when_promised(
        #[case] iss: Option<&str>,
        #[case] optional: Result<(), OidcError>,
        #[case] promised: Result<(), OidcError>,
    ) {
        let issuer = Issuer::new("https://op.example.com", None, &[]).unwrap();
        assert_eq!(check(&issuer, false, iss), optional);
        assert_eq!(check(&issuer, true, iss), promised);
    }
}
