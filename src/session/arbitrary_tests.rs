//! The short-lived cookies with arbitrary bytes in them: as a browser sends them, and as a broken release might have
//! sealed them. Neither opens as anything, and neither ends the process.

use proptest::prelude::*;

use super::key_ring::Purpose;
use super::tests::{NOW, cookies, limits, ours};
use super::*;

/// What the four kinds of cookies in `jar` open as.
fn opens(jar: &str, state: &str) -> [bool; 4] {
    let (cookies, jar) = (cookies(), [jar]);
    [
        cookies.open_login(&jar, state, &limits(), NOW).is_ok(),
        cookies.logout_hint(&jar, &SessionId::new([9; 16])).is_some(),
        cookies.open_logout_ticket(&jar, NOW).is_some(),
        cookies.open_trail(&jar).is_some(),
    ]
}

/// The four cookies with the values that `value` gives.
fn planted(state: &str, mut value: impl FnMut(Purpose, &str) -> String) -> String {
    let cookies = cookies();
    let login = cookies.clear_login(state);
    let login = login.split('=').next().unwrap();
    [
        (Purpose::Login, login),
        (Purpose::LogoutHint, &cookies.names.logout_hint),
        (Purpose::LogoutTicket, &cookies.names.logout_ticket),
        (Purpose::LoginTrail, &cookies.names.login_trail),
    ]
    .map(|(purpose, name)| format!("{name}={}", value(purpose, name)))
    .join("; ")
}

proptest! {
    // proves: CK-05
    #[test]
    fn values_that_we_did_not_seal_open_as_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        text in ".{0,100}",
        state in "[A-Za-z0-9_-]{0,50}|.{0,20}",
    ) {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        // Behind the version and the name of the key, so that it gets as far as it can.
        let sealed = cookies().seal_logout_ticket(ours(), None, NOW);
        let ticket = sealed.split_once('=').unwrap().1.split(';').next().unwrap();
        let head = URL_SAFE_NO_PAD.decode(ticket).unwrap();
        for value in [
            URL_SAFE_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode([&head[..5], &bytes].concat()),
            URL_SAFE_NO_PAD.encode([&head[..head.len() / 2], &bytes].concat()),
            text.clone(),
        ] {
            let jar = planted(&state, |_, _| value.clone());
            prop_assert_eq!(opens(&jar, &state), [false; 4]);
        }
        prop_assert_eq!(opens(&text, &state), [false; 4]);
    }

    #[test]
    fn sealed_nonsense_is_read_without_panic_and_is_no_login(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        state in "[A-Za-z0-9_-]{0,50}",
    ) {
        let cookies = cookies();
        let id = SessionId::new([9; 16]);
        let jar = planted(&state, |purpose, name| {
            let bound_to: Option<&[u8]> = match purpose {
                Purpose::Login => Some(name.as_bytes()),
                Purpose::LogoutHint => Some(id.as_bytes()),
                _ => None,
            };
            cookies.seal_for(ours(), purpose, &bytes, bound_to).unwrap()
        });
        prop_assert!(!opens(&jar, &state)[0], "state and shape are checked behind the seal too");
    }
}
