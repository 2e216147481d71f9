//! Problem documents, pages, headers and addresses as a browser or an attacker meets them.

use std::net::IpAddr;

use actix_web::body::MessageBody as _;
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;
use proptest::prelude::*;
use rstest::rstest;

use super::client_ip::client_ip;
use super::headers::{Kind, harden};
use super::*;
use crate::guard::Refusal;

fn body(response: actix_web::HttpResponse) -> String {
    let bytes = response.into_body().try_into_bytes().unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

// proves: EL-01
#[test]
fn every_problem_is_a_document_with_code_status_and_request_id() {
    for code in Code::ALL {
        let response = Problem::new(code).response("req-1", false);
        assert_eq!(response.status().as_u16(), code.status());
        let headers = response.headers();
        assert_eq!(headers.get("content-type").unwrap(), "application/problem+json");
        assert_eq!(headers.get("cloakroom-error").unwrap(), code.as_str());
        assert_eq!(headers.get("cache-control").unwrap(), "no-store");
        let document: serde_json::Value = serde_json::from_str(&body(response)).unwrap();
        assert_eq!(document["code"], code.as_str());
        assert_eq!(document["status"], code.status());
        assert_eq!(document["request_id"], "req-1");
    }
}

#[test]
fn the_codes_are_distinct_and_in_docs_errors_md() {
    let text = include_str!("../../docs/errors.md");
    let mut seen = std::collections::HashSet::new();
    for code in Code::ALL {
        assert!(seen.insert(code.as_str()), "{} stands twice", code.as_str());
        let row = format!("| `{}` | {} |", code.as_str(), code.status());
        assert!(text.contains(&row), "docs/errors.md lacks the row {row}");
    }
    for cause in AuthError::ALL {
        let row = format!("| `{}` |", cause.as_str());
        assert!(text.contains(&row), "docs/errors.md lacks the row {row}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, Code::ALL.len() + AuthError::ALL.len(), "docs/errors.md lists more");
}

#[test]
fn every_refusal_of_the_guard_has_its_own_code() {
    for refusal in [
        Refusal::CsrfHeaderMissing,
        Refusal::CsrfHeaderInvalid,
        Refusal::Origin,
        Refusal::FetchSite,
        Refusal::NoSignal,
        Refusal::FetchDest,
        Refusal::UnsafeMethod,
        Refusal::Prefetch,
    ] {
        assert_eq!(Problem::from(refusal).code(), refusal.code());
    }
}

// proves: CB-05
#[test]
fn pages_escape_what_they_show() {
    let response =
        pages::continue_page("/login", "return_to=\"><script>alert(1)</script>&x='", "id");
    let csp =
        response.headers().get("content-security-policy").unwrap().to_str().unwrap().to_owned();
    assert!(csp.starts_with("default-src 'none'"), "{csp}");
    let html = body(response);
    assert!(!html.contains("<script"), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
}

// proves: CS-13
#[test]
fn an_error_page_names_the_cause_of_a_login_loop_and_loads_nothing() {
    let problem = Problem::new(Code::LoginLoop).with_cause(AuthError::LoginCookieMissing);
    let response = problem.response("req-1", true);
    assert_eq!(response.status().as_u16(), 429);
    let csp =
        response.headers().get("content-security-policy").unwrap().to_str().unwrap().to_owned();
    assert!(csp.contains("style-src 'sha256-") && csp.contains("frame-ancestors 'none'"), "{csp}");
    let html = body(response);
    assert!(html.contains("login_cookie_missing") && html.contains("req-1"), "{html}");
    assert!(html.contains("server.public_url") && !html.contains("<script"), "{html}");
}

// proves: CS-10, CS-13
#[test]
fn hardening_adds_what_is_missing_and_keeps_what_is_there() {
    let mut headers = HeaderMap::new();
    harden(&mut headers, Kind::Own, true);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("strict-transport-security", "max-age=31536000"),
    ] {
        assert_eq!(headers.get(name).unwrap(), value);
    }
    let mut page = HeaderMap::new();
    pages::policy(&mut page);
    let own_policy = page.get("content-security-policy").unwrap().clone();
    harden(&mut page, Kind::Page, false);
    harden(&mut page, Kind::Own, false);
    assert_eq!(page.get("content-security-policy").unwrap(), own_policy);
    assert!(!page.contains_key("strict-transport-security"));
}

#[rstest]
#[case::direct("203.0.113.9", &[], "203.0.113.9")]
#[case::spoofed("203.0.113.9", &["198.51.100.1"], "203.0.113.9")]
#[case::behind_one("10.0.0.1", &["198.51.100.1"], "198.51.100.1")]
#[case::behind_two("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1")]
#[case::two_fields("10.0.0.1", &["198.51.100.1", "10.0.0.2"], "198.51.100.1")]
#[case::client_lies_in_front("10.0.0.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1")]
#[case::garbage("10.0.0.1", &["<script>"], "10.0.0.1")]
#[case::port("10.0.0.1", &["198.51.100.1:5000"], "198.51.100.1")]
#[case::mapped("::ffff:10.0.0.1", &["2001:db8::1"], "2001:db8::1")]
fn the_client_is_the_nearest_address_that_no_named_proxy_has(
    #[case] peer: &str,
    #[case] forwarded: &[&str],
    #[case] expected: &str,
) {
    let trusted: [IpNet; 1] = ["10.0.0.0/8".parse().unwrap()];
    let client = client_ip(peer.parse().unwrap(), forwarded, &trusted);
    assert_eq!(client, expected.parse::<IpAddr>().unwrap());
}

proptest! {
    #[test]
    fn nobody_but_a_named_proxy_chooses_the_client_whatever_is_in_the_field(
        lines in proptest::collection::vec("[0-9a-f.:\\[\\], %]{0,40}|.{0,40}", 0..4),
        client in any::<[u8; 4]>(),
    ) {
        let trusted: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let client = IpAddr::from(client);
        prop_assume!(!trusted[0].contains(&client));
        let said: Vec<&str> = lines.iter().map(String::as_str).collect();
        prop_assert_eq!(client_ip(client, &said, &trusted), client);

        // Behind a proxy of ours: what the client wrote stands before what the proxy added, and counts for nothing.
        let added = format!("{}, {client}", lines.join(","));
        let proxy = "10.0.0.1".parse().unwrap();
        prop_assert_eq!(client_ip(proxy, &[&added], &trusted), client);
        prop_assert_eq!(client_ip(proxy, &[&added, "10.0.0.2"], &trusted), client);

        // Otherwise it is the proxy, or an address that stands there.
        let found = client_ip(proxy, &said, &trusted);
        let stands_there = lines.iter().flat_map(|line| line.split(',')).any(|item| {
            let item = item.trim();
            let bare = item.parse().ok();
            let with_port = item.parse().ok().map(|at: std::net::SocketAddr| at.ip());
            bare.or(with_port).is_some_and(|addr: IpAddr| addr.to_canonical() == found)
        });
        prop_assert!(found == proxy || stands_there, "{}", found);
    }
}
