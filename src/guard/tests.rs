//! The guard's tables: one line per case, a browser's or an attacker's.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const APP: &str = "https://app.example.com";
const SIBLING: &str = "https://spa.example.com";

fn guard() -> Guard {
    let config = GuardConfig {
        csrf_header: "x-csrf".to_owned(),
        origins: vec![APP.to_owned(), SIBLING.to_owned()],
    };
    let public =
        PublicUrl { origin: APP.to_owned(), host: "app.example.com".to_owned(), https: true };
    Guard::new(&config, &public)
}

fn call<'a>(
    method: &'a str,
    csrf: &'a [&'a str],
    origin: &'a [&'a str],
    site: Option<&'a str>,
) -> Facts<'a> {
    Facts { method, csrf, origin, sec_fetch_site: site, ..Facts::default() }
}

// proves: CS-01, CS-02, CS-04, CS-05
#[rstest]
#[case::own_page("GET", &["1"], &[], Some("same-origin"), Ok(()))]
#[case::own_page_post("POST", &["1"], &[APP], Some("same-origin"), Ok(()))]
#[case::listed_sibling("POST", &["1"], &[SIBLING], Some("same-site"), Ok(()))]
#[case::old_browser_get("GET", &["1"], &[], None, Ok(()))]
#[case::old_browser_head("HEAD", &["1"], &[], None, Ok(()))]
#[case::old_browser_post("POST", &["1"], &[APP], None, Ok(()))]
#[case::garbage_is_no_signal("GET", &["1"], &[], Some("same-origin, none"), Ok(()))]
#[case::no_header("GET", &[], &[], Some("same-origin"), Err(Refusal::CsrfHeaderMissing))]
#[case::no_header_head("HEAD", &[], &[], Some("same-origin"), Err(Refusal::CsrfHeaderMissing))]
#[case::no_header_delete("DELETE", &[], &[APP], Some("same-origin"), Err(Refusal::CsrfHeaderMissing))]
#[case::wrong_value("POST", &["0"], &[APP], Some("same-origin"), Err(Refusal::CsrfHeaderInvalid))]
#[case::two_headers("POST", &["1", "1"], &[APP], Some("same-origin"), Err(Refusal::CsrfHeaderInvalid))]
#[case::list_value("POST", &["1, 1"], &[APP], Some("same-origin"), Err(Refusal::CsrfHeaderInvalid))]
#[case::unlisted_sibling("POST", &["1"], &["https://evil.example.com"], Some("same-site"), Err(Refusal::Origin))]
#[case::sibling_without_origin("GET", &["1"], &[], Some("same-site"), Err(Refusal::FetchSite))]
#[case::cross_site("GET", &["1"], &[], Some("cross-site"), Err(Refusal::FetchSite))]
#[case::cross_site_with_our_origin("GET", &["1"], &[APP], Some("cross-site"), Err(Refusal::FetchSite))]
#[case::typed_address("GET", &["1"], &[], Some("none"), Err(Refusal::FetchSite))]
#[case::no_signal_post("POST", &["1"], &[], None, Err(Refusal::NoSignal))]
#[case::no_signal_options("OPTIONS", &["1"], &[], None, Err(Refusal::NoSignal))]
#[case::garbage_post("POST", &["1"], &[], Some("SAME-ORIGIN"), Err(Refusal::NoSignal))]
#[case::null_origin("POST", &["1"], &["null"], None, Err(Refusal::Origin))]
#[case::suffix("POST", &["1"], &["https://app.example.com.evil"], None, Err(Refusal::Origin))]
#[case::plain_http("POST", &["1"], &["http://app.example.com"], None, Err(Refusal::Origin))]
#[case::other_port("POST", &["1"], &["https://app.example.com:8443"], None, Err(Refusal::Origin))]
#[case::trailing_dot("POST", &["1"], &["https://app.example.com."], None, Err(Refusal::Origin))]
#[case::upper_case("POST", &["1"], &["https://APP.example.com"], None, Err(Refusal::Origin))]
#[case::two_origins("POST", &["1"], &[APP, APP], None, Err(Refusal::Origin))]
#[case::empty_origin("POST", &["1"], &[""], Some("same-origin"), Err(Refusal::Origin))]
fn header_routes(
    #[case] method: &str,
    #[case] csrf: &[&str],
    #[case] origin: &[&str],
    #[case] site: Option<&str>,
    #[case] expected: Result<(), Refusal>,
) {
    assert_eq!(guard().header_route(&call(method, csrf, origin, site)), expected);
}

// proves: CS-03
#[rstest]
#[case::own_image("GET", &[], Some("same-origin"), None, Ok(()))]
#[case::typed_download("GET", &[], Some("none"), Some("navigate"), Ok(()))]
#[case::typed_fetch("GET", &[], Some("none"), Some("no-cors"), Err(Refusal::FetchSite))]
#[case::sibling("GET", &[], Some("same-site"), None, Err(Refusal::FetchSite))]
#[case::listed_sibling("GET", &[SIBLING], Some("same-site"), None, Err(Refusal::FetchSite))]
#[case::cross_site("GET", &[], Some("cross-site"), None, Err(Refusal::FetchSite))]
#[case::absent("GET", &[], None, None, Err(Refusal::NoSignal))]
#[case::post("POST", &[APP], Some("same-origin"), None, Err(Refusal::UnsafeMethod))]
#[case::delete("DELETE", &[APP], Some("same-origin"), None, Err(Refusal::UnsafeMethod))]
#[case::foreign_origin("GET", &["https://evil.test"], Some("same-origin"), None, Err(Refusal::Origin))]
fn header_free_routes(
    #[case] method: &str,
    #[case] origin: &[&str],
    #[case] site: Option<&str>,
    #[case] mode: Option<&str>,
    #[case] expected: Result<(), Refusal>,
) {
    let dest = mode.map(|_| "document");
    let facts =
        Facts { sec_fetch_mode: mode, sec_fetch_dest: dest, ..call(method, &[], origin, site) };
    assert_eq!(guard().header_free_route(&facts), expected);
}

#[rstest]
#[case::fetch(Some("empty"), Ok(()))]
#[case::absent(None, Ok(()))]
#[case::listed(Some("image"), Ok(()))]
#[case::page(Some("document"), Err(Refusal::FetchDest))]
#[case::script(Some("script"), Err(Refusal::FetchDest))]
#[case::listed_worker(Some("serviceworker"), Err(Refusal::FetchDest))]
fn answers_never_become_pages_or_workers(
    #[case] dest: Option<&str>,
    #[case] expected: Result<(), Refusal>,
) {
    let facts = Facts { sec_fetch_dest: dest, ..Facts::default() };
    let listed = ["image".to_owned(), "serviceworker".to_owned()];
    assert_eq!(guard().fetch_dest(&facts, &listed), expected);
}

// proves: AR-12, FA-10
#[rstest]
#[case::own_link(
    Some("same-origin"),
    Some("navigate"),
    Some("document"),
    None,
    None,
    LoginEntry::Proceed
)]
#[case::typed(Some("none"), Some("navigate"), Some("document"), None, None, LoginEntry::Proceed)]
#[case::other_site(
    Some("cross-site"),
    Some("navigate"),
    Some("document"),
    None,
    None,
    LoginEntry::AskFirst
)]
#[case::sibling(
    Some("same-site"),
    Some("navigate"),
    Some("document"),
    None,
    None,
    LoginEntry::AskFirst
)]
#[case::image(
    Some("cross-site"),
    Some("no-cors"),
    Some("image"),
    None,
    None,
    LoginEntry::Refused(Refusal::FetchDest)
)]
#[case::frame(
    Some("same-origin"),
    Some("navigate"),
    Some("iframe"),
    None,
    None,
    LoginEntry::Refused(Refusal::FetchDest)
)]
#[case::fetch(
    Some("same-origin"),
    Some("cors"),
    Some("empty"),
    None,
    None,
    LoginEntry::Refused(Refusal::FetchDest)
)]
#[case::prefetch(
    Some("same-origin"),
    Some("navigate"),
    Some("document"),
    Some("prefetch;prerender"),
    None,
    LoginEntry::Refused(Refusal::Prefetch)
)]
#[case::old_browser(None, None, None, None, None, LoginEntry::AskFirst)]
#[case::old_browser_own_page(
    None,
    None,
    None,
    None,
    Some("https://app.example.com/x"),
    LoginEntry::Proceed
)]
#[case::old_browser_look_alike(
    None,
    None,
    None,
    None,
    Some("https://app.example.com.evil/"),
    LoginEntry::AskFirst
)]
fn login_needs_the_users_wish(
    #[case] site: Option<&str>,
    #[case] mode: Option<&str>,
    #[case] dest: Option<&str>,
    #[case] purpose: Option<&str>,
    #[case] referer: Option<&str>,
    #[case] expected: LoginEntry,
) {
    let facts = Facts {
        method: "GET",
        sec_fetch_site: site,
        sec_fetch_mode: mode,
        sec_fetch_dest: dest,
        sec_purpose: purpose,
        referer,
        ..Facts::default()
    };
    assert_eq!(guard().login_navigation(&facts), expected);
}

// proves: CS-07
#[test]
fn cors_names_listed_origins_exactly_and_reflects_nothing() {
    let guard = guard();
    let from = |origin| guard.cors(&Facts { origin, ..Facts::default() });
    assert_eq!(from(&[SIBLING]), Cors::Allowed { origin: SIBLING });
    for none in [&[APP][..], &[], &["null"], &["https://evil.test"], &[SIBLING, SIBLING]] {
        assert_eq!(from(none), Cors::None, "{none:?}");
    }
}

// proves: CS-07
#[rstest]
#[case::csrf_header(SIBLING, "POST", Some("x-csrf, content-type"), true)]
#[case::no_headers(SIBLING, "DELETE", None, true)]
#[case::unlisted_header(SIBLING, "POST", Some("x-csrf, x-forwarded-for"), false)]
#[case::authorization(SIBLING, "POST", Some("authorization"), false)]
#[case::unlisted_method(SIBLING, "TRACE", None, false)]
#[case::unlisted_origin("https://evil.test", "GET", None, false)]
#[case::null("null", "GET", None, false)]
fn preflights_are_answered_from_lists(
    #[case] origin: &str,
    #[case] method: &str,
    #[case] headers: Option<&str>,
    #[case] allowed: bool,
) {
    let origin = [origin];
    let facts = Facts { method: "OPTIONS", origin: &origin, ..Facts::default() };
    let answer = guard().preflight(&facts, method, headers);
    assert_eq!(answer.is_some(), allowed);
    let values: Vec<_> = answer.into_iter().flatten().map(|(_, value)| value).collect();
    assert!(values.iter().all(|value| !value.contains('*') && !value.contains("x-forwarded-for")));
}

// proves: AR-14, FA-04
#[rstest]
#[case("/", true)]
#[case("/orders?page=2#row-7", true)]
#[case("/a/b%20c", true)]
#[case("/search?q=https://example.org//x", true)]
#[case("/#//evil.test", true)]
#[case("", false)]
#[case("orders", false)]
#[case("//evil.test", false)]
#[case("/\\evil.test", false)]
#[case("\\\\evil.test", false)]
#[case("/%2f%2fevil.test", false)]
#[case("/%252f%252fevil.test", false)]
#[case("/%5cevil.test", false)]
#[case("https:evil.test", false)]
#[case("https://evil.test/", false)]
#[case("javascript:alert(1)", false)]
#[case("/..//evil.test", false)]
#[case("/a/../../evil", false)]
#[case("/%2e%2e/x", false)]
#[case("/a\r\nSet-Cookie: x=1", false)]
#[case("/\t/evil.test", false)]
#[case("/%09/evil.test", false)]
#[case("/%0d%0aSet-Cookie:x", false)]
#[case("/bücher", false)]
#[case("/%ff", false)]
#[case("@evil.test", false)]
#[case("/@evil.test", true)]
fn return_targets_stay_on_the_app(#[case] wanted: &str, #[case] allowed: bool) {
    assert_eq!(return_target(wanted).is_some(), allowed);
}

// proves: AR-14
#[test]
fn a_long_return_target_is_refused() {
    assert_eq!(return_target(&format!("/{}", "a".repeat(4_096))), None);
}

// proves: AR-14
proptest! {
    #[test]
    fn whatever_return_target_passes_a_browser_stays_on_the_origin(wanted in ".{0,40}|[/\\\\.%2f5c:@?#a\t]{0,30}") {
        if let Some(target) = return_target(&wanted) {
            let base = url::Url::parse("https://app.example.com").unwrap();
            let joined = url::Url::options().base_url(Some(&base)).parse(&target).unwrap();
            prop_assert_eq!(joined.origin(), base.origin());
            let absolute = url::Url::parse(&format!("https://app.example.com{target}")).unwrap();
            prop_assert_eq!(absolute.origin(), base.origin());
            prop_assert_eq!(absolute.username(), "");
        }
    }
}

// proves: CS-03, CS-11
#[rstest]
#[case::chromium(&[APP], None, None, Ok(()))]
#[case::firefox(&[APP], Some("same-origin"), Some("websocket"), Ok(()))]
#[case::newer(&[APP], Some("same-origin"), Some("empty"), Ok(()))]
#[case::listed_sibling(&[SIBLING], Some("same-site"), None, Ok(()))]
#[case::no_origin(&[], None, None, Err(Refusal::Origin))]
#[case::no_origin_but_ours(&[], Some("same-origin"), None, Err(Refusal::Origin))]
#[case::null(&["null"], None, None, Err(Refusal::Origin))]
#[case::unlisted_sibling(&["https://evil.example.com"], Some("same-site"), None, Err(Refusal::Origin))]
#[case::plain_http(&["http://app.example.com"], None, None, Err(Refusal::Origin))]
#[case::websocket_scheme(&["wss://app.example.com"], None, None, Err(Refusal::Origin))]
#[case::twice(&[APP, APP], None, None, Err(Refusal::Origin))]
#[case::two(&[APP, SIBLING], None, None, Err(Refusal::Origin))]
#[case::cross_site(&[APP], Some("cross-site"), None, Err(Refusal::FetchSite))]
#[case::typed(&[APP], Some("none"), None, Err(Refusal::FetchSite))]
#[case::frame(&[APP], Some("same-origin"), Some("iframe"), Err(Refusal::FetchDest))]
fn websockets_need_a_listed_origin_and_nothing_that_speaks_against_it(
    #[case] origin: &[&str],
    #[case] site: Option<&str>,
    #[case] dest: Option<&str>,
    #[case] expected: Result<(), Refusal>,
) {
    // The CSRF header changes nothing: no browser sends it with a handshake.
    for csrf in [&[][..], &["1"]] {
        let facts = Facts { sec_fetch_dest: dest, ..call("GET", csrf, origin, site) };
        assert_eq!(guard().websocket(&facts), expected);
    }
}
