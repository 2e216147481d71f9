//! Mix-up attacks (RFC 9700 section 4.4) with two authorization servers of one app, one of them the attacker's: no code and no token
//! ever reaches the wrong one, and no word of one counts for the other.

use serde_json::json;

use super::problem_code;
use super::providers::Place;
use super::setup::{callback, error_of};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, set};

/// The attacker is `partner`.
async fn refused(place: &Place, browser: &Browser, url: &str, code: &str) {
    let page = browser.get_from_elsewhere(url).await;
    assert_eq!(error_of(&page).as_deref(), Some(code), "{url}");
    assert_eq!(place.token_calls(), (0, 0), "no code goes anywhere");
    assert_eq!(place.session(browser).await["authenticated"], false);
}

/// Servers that do not name themselves in their answers: only where an answer comes to tells them apart.
fn nameless(place: &Place) {
    for op in [&place.home, &place.partner] {
        op.turn(|knobs| {
            knobs.discovery = set("authorization_response_iss_parameter_supported", None);
            knobs.authorization_response = Some(std::sync::Arc::new(|params| {
                params.retain(|(name, _)| name != "iss");
            }));
        });
    }
}

// proves: AR-09
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_the_attackers_server_sends_on_to_the_honest_one_brings_no_code_back() {
    for names_itself in [true, false] {
        let place = Place::start().await;
        if !names_itself {
            nameless(&place);
        }
        // The honest server sends the browser back to where it knows the client: its own callback.
        let browser = Browser::new();
        let at_attacker = place.begin(&browser, "partner").await;
        let swapped = at_attacker
            .replacen(&place.partner.issuer, &place.home.issuer, 1)
            .replace("callback%2Fpartner", "callback%2Fhome");
        assert_ne!(swapped, at_attacker);
        let back = callback(&place.home, &swapped, &place.url("/callback/home"));
        refused(&place, &browser, &back, "provider_mismatch").await;
        place.running.stop().await;
    }
}

// proves: AR-09
#[tokio::test(flavor = "multi_thread")]
async fn an_honest_server_that_lets_the_attackers_callback_pass_still_names_itself() {
    let place = Place::start().await;
    let browser = Browser::new();
    let at_attacker = place.begin(&browser, "partner").await;
    let swapped = at_attacker.replacen(&place.partner.issuer, &place.home.issuer, 1);
    let back = callback(&place.home, &swapped, &place.url("/callback/partner"));
    refused(&place, &browser, &back, "issuer_mismatch").await;
    // An error is no better than a code.
    let browser = Browser::new();
    let state = state_of(&place.begin(&browser, "partner").await);
    let iss: String = form_urlencoded::byte_serialize(place.home.issuer.as_bytes()).collect();
    let query = format!("state={state}&error=access_denied&iss={iss}");
    let back = place.url(&format!("/callback/partner?{query}"));
    refused(&place, &browser, &back, "issuer_mismatch").await;
    place.running.stop().await;
}

// proves: AR-10
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_another_providers_callback_is_refused_and_its_login_is_over() {
    let place = Place::start().await;
    nameless(&place);
    for (asked, other) in [("partner", "home"), ("home", "partner")] {
        for wrong in [&format!("/callback/{other}"), "/callback", "/callback/nobody", "/callback/"]
        {
            let browser = Browser::new();
            let authorize = place.begin(&browser, asked).await;
            let path = format!("/callback/{asked}");
            let right = callback(place.server(asked), &authorize, &place.url(&path));
            let before = browser.copy();
            let sent = right.replacen(&path, wrong, 1);
            if wrong == "/callback/" {
                // Not in the one form of a path, so nobody's at all.
                let page = browser.get_from_elsewhere(&sent).await;
                assert_ne!(page.status, 200);
                assert_eq!(place.token_calls(), (0, 0));
                continue;
            }
            refused(&place, &browser, &sent, "provider_mismatch").await;
            refused(&place, &browser, &right, "login_cookie_missing").await;
            refused(&place, &before, &right, "login_used").await;
        }
    }
    assert!(place.api.requests().is_empty());
    place.running.stop().await;
}

// proves: AR-09, ID-18
#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_of_the_other_issuer_is_no_login_and_no_refresh() {
    let place = Place::start().await;
    let honest = json!(place.home.issuer);
    place.partner.turn(|knobs| knobs.claims = set("iss", Some(honest.clone())));
    let browser = Browser::new();
    let authorize = place.begin(&browser, "partner").await;
    let back = callback(&place.partner, &authorize, &place.url("/callback/partner"));
    let page = browser.get_from_elsewhere(&back).await;
    assert_eq!(error_of(&page).as_deref(), Some("issuer_mismatch"));
    assert_eq!(place.token_calls(), (0, 1), "its own code went to it alone");
    assert_eq!(place.session(&browser).await["authenticated"], false);

    place.partner.turn(|knobs| knobs.claims = set("x", None));
    place.log_in(&browser, "partner").await;
    place.partner.turn(|knobs| knobs.refreshed_claims = set("iss", Some(honest)));
    place.clock.advance(std::time::Duration::from_secs(301));
    let page = place.fetch(&browser, "POST", "/refresh").await;
    assert_eq!((page.status.as_u16(), &*problem_code(&page)), (401, "session_expired"));
    place.running.stop().await;
}

// proves: AR-09, LO-13
#[tokio::test(flavor = "multi_thread")]
async fn a_servers_logout_tokens_count_at_its_own_endpoint_and_for_its_own_sessions_only() {
    let place = Place::start().await;
    let (one, two) = (Browser::new(), Browser::new());
    for op in [&place.home, &place.partner] {
        op.turn(|knobs| knobs.claims = set("sid", Some(json!("s1"))));
    }
    place.log_in(&one, "home").await;
    place.log_in(&two, "partner").await;
    let is_in = async |browser: &Browser| place.session(browser).await["authenticated"] == true;
    // Another's endpoint, nobody's, and one that speaks for another.
    let of_home = place.home.logout_token(|_, _| {});
    let issuer = place.home.issuer.clone();
    let forged = place.partner.logout_token(|_, claims| claims["iss"] = json!(issuer));
    for (token, to) in [
        (&of_home, "/partner"),
        (&of_home, ""),
        (&of_home, "/nobody"),
        (&forged, "/partner"),
        (&place.partner.logout_token(|_, _| {}), "/home"),
    ] {
        let page = tell(&place, to, token).await;
        assert_eq!((page.status.as_u16(), &*problem_code(&page)), (400, "logout_token_refused"));
        assert!(is_in(&one).await && is_in(&two).await, "{to}");
    }
    // Same sid, same sub, two servers.
    assert_eq!(tell(&place, "/partner", &place.partner.logout_token(|_, _| {})).await.status, 200);
    assert!(is_in(&one).await && !is_in(&two).await);
    let by_sub =
        |claims: &mut serde_json::Value| drop(claims.as_object_mut().unwrap().remove("sid"));
    place.partner.turn(|knobs| knobs.claims = set("sid", Some(json!("s2"))));
    place.log_in(&two, "partner").await;
    let token = place.home.logout_token(|_, claims| by_sub(claims));
    assert_eq!(tell(&place, "/home", &token).await.status, 200);
    assert!(!is_in(&one).await && is_in(&two).await);
    place.running.stop().await;
}

// proves: AR-10
#[tokio::test(flavor = "multi_thread")]
async fn a_login_cookie_of_one_provider_helps_no_answer_of_the_other() {
    let place = Place::start().await;
    let browser = Browser::new();
    let at_home = place.begin(&browser, "home").await;
    let at_partner = place.begin(&browser, "partner").await;
    // The attacker knows the state of a login at the honest server, and has a code of its own.
    let own = callback(&place.partner, &at_partner, &place.url("/callback/partner"));
    let (mine, theirs) = (state_of(&at_partner), state_of(&at_home));
    let swapped = own.replacen(&mine, &theirs, 1);
    refused(&place, &browser, &swapped, "provider_mismatch").await;
    // Its own login goes on.
    let page = browser.get_from_elsewhere(&own).await;
    assert_eq!(page.headers["location"], place.url("/there"));
    assert_eq!(place.token_calls(), (0, 1));
    assert_eq!(place.home.calls(Endpoint::Token), 0);
    place.running.stop().await;
}

fn state_of(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state");
    state.unwrap().1.into_owned()
}

async fn tell(place: &Place, to: &str, token: &str) -> Page {
    let url = place.url(&format!("/backchannel-logout{to}"));
    let form = ("content-type", "application/x-www-form-urlencoded");
    Browser::new().send("POST", &url, &[form], &format!("logout_token={token}")).await
}
