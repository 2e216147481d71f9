//! The revocation endpoint's answer (RFC 7009 §2.2). A token that the server does not know is a revoked one.

use super::error::OidcError;
use super::http::Answer;
use super::json;

/// Whether the token is gone, as far as that server is concerned.
pub(super) fn parse(answer: &Answer) -> Result<(), OidcError> {
    if answer.status == 200 || is_unsupported(answer) {
        Ok(())
    } else if answer.is_outage() {
        // RFC 7009 §2.2.1: the token still lives, and the caller may try again.
        Err(OidcError::RevocationUnavailable)
    } else {
        Err(OidcError::RevocationRejected)
    }
}

/// RFC 7009 §2.2.1: the server does not revoke this type of token; asking again changes nothing.
fn is_unsupported(answer: &Answer) -> bool {
    answer.status == 400
        && json::object(&answer.body).is_ok_and(|members| {
            members.get("error").is_some_and(|e| e == "unsupported_token_type")
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // proves: LO-03
    #[rstest]
    #[case::done(200, "", Ok(()))]
    #[case::unsupported(400, r#"{"error":"unsupported_token_type"}"#, Ok(()))]
    #[case::refused(400, r#"{"error":"invalid_request"}"#, Err(OidcError::RevocationRejected))]
    #[case::client(401, "", Err(OidcError::RevocationRejected))]
    #[case::redirect(302, "", Err(OidcError::RevocationRejected))]
    #[case::lives_on(503, "", Err(OidcError::RevocationUnavailable))]
    #[case::too_many(429, "", Err(OidcError::RevocationUnavailable))]
    fn an_answer_says_whether_the_token_is_gone(
        #[case] status: u16,
        #[case] body: &str,
        #[case] expected: Result<(), OidcError>,
    ) {
        let answer = Answer::for_test(status, "application/json", body.as_bytes());
        assert_eq!(parse(&answer), expected);
    }
}
