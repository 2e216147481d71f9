//! The response headers that keep an answer from becoming anything else in the browser (CS-10, CS-13).
//! Adds what is missing, never weakens what is there.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CROSS_ORIGIN_OPENER_POLICY,
    CROSS_ORIGIN_RESOURCE_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON, redirects, problems: nothing that a browser shows as a page.
    Own,
    /// A page of ours; it brings its own policy for its style.
    Page,
}

/// One header line, ready to insert: every answer passes here, so nothing is read as text again.
type Line = (HeaderName, HeaderValue);

const EVERY: [Line; 2] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static(NO_REFERRER)),
];
const OWN: [Line; 3] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];
const PAGE: [Line; 3] = [
    (CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
    (CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];
const HSTS: Line = (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(A_YEAR));
const A_YEAR: &str = "max-age=31536000";
const NO_REFERRER: &str = "no-referrer";

/// Completes the headers of an answer; `https` adds HSTS, which browsers ignore on plain HTTP.
pub fn harden(headers: &mut HeaderMap, kind: Kind, https: bool) {
    add_all(headers, EVERY);
    match kind {
        Kind::Own => add_all(headers, OWN),
        Kind::Page => add_all(headers, PAGE),
    }
    if https {
        add(headers, HSTS);
    }
}

/// What an answer of an upstream gets beside the policy of its own: it is contained more strictly than ours.
pub fn of_passed(https: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let hsts = https.then_some(("strict-transport-security", A_YEAR));
    [("referrer-policy", NO_REFERRER)].into_iter().chain(hsts)
}

fn add_all<const N: usize>(headers: &mut HeaderMap, lines: [Line; N]) {
    for line in lines {
        add(headers, line);
    }
}

fn add(headers: &mut HeaderMap, (name, value): Line) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
    }
}
