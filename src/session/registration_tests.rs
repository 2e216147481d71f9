//! Several clients of one app: what was sealed for one is that one's, wherever it stands in the list, and nobody else's.

use super::tests::{NOW, attempt, cookies_for, jar_of, key, limits, ours, record};
use super::*;
use crate::secret::{Random, Secret};

const A: (&str, &str) = ("https://op.example", "web");
const B: (&str, &str) = ("https://partner.example", "web");
const OTHER_CLIENT: (&str, &str) = ("https://partner.example", "web-2");

fn app_of(clients: &[(&str, &str)]) -> SessionCookies {
    cookies_for(&[key("k1", 7)], "app", clients)
}

fn theirs() -> Registration {
    Registration::of(B.0, B.1)
}

fn of_theirs() -> SessionRecord {
    SessionRecord { registration: theirs(), ..record("opaque") }
}

// proves: AR-09, ID-18
#[test]
fn a_session_says_whose_it_is_in_every_order_and_is_nobodys_once_that_one_is_gone() {
    let both = app_of(&[A, B]);
    for (record, of) in [(record("opaque"), ours()), (of_theirs(), theirs())] {
        let jar = jar_of(&both.seal(&record, &[], NOW).unwrap());
        for clients in [&[A, B][..], &[B, A], &[B, OTHER_CLIENT, A]] {
            let Opened::Open(session) = app_of(clients).open(&[&jar], NOW) else { panic!() };
            assert_eq!(session.record.registration, of);
        }
        let only = if of == ours() { A } else { B };
        assert!(matches!(app_of(&[only]).open(&[&jar], NOW), Opened::Open(_)));
        let rest = if of == ours() { B } else { A };
        for clients in [&[rest][..], &[rest, OTHER_CLIENT], &[]] {
            assert!(!matches!(app_of(clients).open(&[&jar], NOW), Opened::Open(_)));
        }
    }
    // Nothing is sealed for a client that the app does not have.
    let refused = app_of(&[A]).seal(&of_theirs(), &[], NOW);
    assert_eq!(refused.unwrap_err(), SessionError::UnknownClient);
}

#[test]
fn a_login_attempt_belongs_to_who_was_asked_and_remembers_whose_session_it_replaces() {
    let (both, limits) = (app_of(&[A, B]), limits());
    for (of, replaced) in [(ours(), ours()), (theirs(), ours()), (theirs(), theirs())] {
        let mut asked = LoginAttempt { registration: of, ..attempt("state", NOW) };
        asked.replaces.as_mut().unwrap().registration = replaced;
        let jar = jar_of(&both.seal_login(&asked, &[], &limits, NOW));
        let opened = app_of(&[B, A]).open_login(&[&jar], "state", &limits, NOW).unwrap();
        assert_eq!(opened.registration, of);
        assert_eq!(opened.replaces.unwrap().registration, replaced);
        assert_eq!(opened.scope, asked.scope);
        let rest = if of == ours() { B } else { A };
        let gone = app_of(&[rest]).open_login(&[&jar], "state", &limits, NOW);
        assert_eq!(gone.unwrap_err(), LoginCookieError::Invalid);
    }
}

#[test]
fn a_stored_and_a_refreshed_record_never_pass_for_another_providers() {
    let both = app_of(&[A, B]);
    let (mine, other) = (record("opaque"), of_theirs());
    let refreshed = both.seal_refreshed(&other).unwrap();
    assert!(both.open_refreshed(&refreshed, &mine).is_none());
    assert_eq!(both.open_refreshed(&refreshed, &other).unwrap().registration, theirs());
    let ticket = Ticket::new(&Random::system());
    let stored = both.seal_stored(&other, &ticket).unwrap();
    let found = both.open_stored(&stored, &ticket.digest()).unwrap();
    assert_eq!(found.registration, theirs());
    let listed = both.seal_listed("{}", &ticket.digest(), theirs()).unwrap();
    assert!(both.open_listed(&listed, &ticket.digest(), ours()).is_none());
    let line = both.seal_ticket(&ticket, &other, NOW).unwrap();
    assert!(both.open_ticket(&[&jar_of(&[line])]).is_some());
}

#[test]
fn a_logout_ticket_says_who_is_to_be_told() {
    let both = app_of(&[A, B]);
    for of in [ours(), theirs()] {
        let jar = jar_of(&[both.seal_logout_ticket(of, Some(&Secret::from("a.b.c")), NOW)]);
        assert_eq!(both.open_logout_ticket(&[&jar], NOW).unwrap().registration, of);
    }
}
