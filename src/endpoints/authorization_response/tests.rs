//! Authorization responses as strangers write them.

use proptest::prelude::*;

use super::{Outcome, Reply, Said};
use crate::edge::AuthError;

const NAMES: [&str; 9] =
    ["state", "iss", "code", "error", "error_description", "session_state", "State", "code ", ""];
const KNOWN: [&str; 4] = ["state", "iss", "code", "error"];

type Read = (String, Option<String>, Result<String, AuthError>);

fn read(query: &[(String, String)]) -> Option<Read> {
    let reply = Reply::parse(query.to_vec(), None)?;
    let Said::Plain { iss, outcome } = reply.said else { panic!("none was asked to sign") };
    let outcome = match outcome {
        Outcome::Code(code) => Ok(code),
        Outcome::Error(error) => Err(error),
    };
    Some((reply.state, iss, outcome))
}

proptest! {
    // proves: CB-02, CB-04
    #[test]
    fn a_response_is_read_only_when_each_parameter_comes_once_and_code_excludes_error(
        query in proptest::collection::vec(
            (proptest::sample::select(&NAMES[..]), "access_denied|login_required|server_error|.{0,8}"),
            0..7,
        ),
    ) {
        let query: Vec<(String, String)> =
            query.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let all = |name: &str| {
            query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let [state, iss, code, error] = KNOWN.map(all);
        let once = [&state, &iss, &code, &error].iter().all(|values| values.len() < 2);
        let has_code = code.first().is_some_and(|code| !code.is_empty());
        let one_outcome = (has_code && error.is_empty()) || (code.is_empty() && !error.is_empty());
        let found = read(&query);
        prop_assert_eq!(found.is_some(), once && !state.is_empty() && one_outcome);
        if let Some((found_state, found_iss, outcome)) = &found {
            prop_assert_eq!((Some(found_state), found_iss.as_ref()), (state.first(), iss.first()));
            match outcome {
                Ok(found_code) => prop_assert_eq!(Some(found_code), code.first()),
                Err(code) => {
                    prop_assert_eq!(*code == AuthError::LoginDenied, error[0] == "access_denied");
                }
            }
        }
        let known: Vec<(String, String)> =
            query.into_iter().filter(|(name, _)| KNOWN.contains(&name.as_str())).collect();
        prop_assert_eq!(read(&known), found, "unknown parameters are ignored");
    }

    #[test]
    fn any_query_is_read_without_panic(query in ".{0,200}") {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let _ = read(&pairs);
    }
}
