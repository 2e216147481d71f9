//! The door: Host, Origin, Fetch Metadata, CSRF header, CORS, hardening headers, on every kind of endpoint.

use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::stack::{FETCH, Setup, Stack};

// proves: CS-01, CS-02, CS-04, CS-05
#[tokio::test(flavor = "multi_thread")]
async fn every_call_needs_the_header_and_a_caller_of_ours_and_nothing_else_reaches_the_api() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let look_alike = format!("{}.evil.test", stack.app);
    for (headers, code) in [
        (vec![("sec-fetch-site", "same-origin")], "csrf_header_missing"),
        (vec![("x-csrf", "2"), ("sec-fetch-site", "same-origin")], "csrf_header_invalid"),
        (
            vec![("x-csrf", "1"), ("x-csrf", "1"), ("sec-fetch-site", "same-origin")],
            "csrf_header_invalid",
        ),
        (vec![("x-csrf", "1"), ("sec-fetch-site", "same-site")], "csrf_fetch_site"),
        (vec![("x-csrf", "1"), ("sec-fetch-site", "cross-site")], "csrf_fetch_site"),
        (vec![("x-csrf", "1"), ("sec-fetch-site", "none")], "csrf_fetch_site"),
        (
            vec![("x-csrf", "1"), ("origin", "null"), ("sec-fetch-site", "same-origin")],
            "csrf_origin",
        ),
        (vec![("x-csrf", "1"), ("origin", look_alike.as_str())], "csrf_origin"),
    ] {
        for (method, path) in [
            ("GET", "/session"),
            ("POST", "/refresh"),
            ("POST", "/logout"),
            ("GET", "/api/echo"),
            ("POST", "/api/upload"),
            ("DELETE", "/api/echo"),
        ] {
            let page = browser.send(method, &stack.url(path), &headers, "").await;
            assert_eq!(page.status, 403, "{method} {path} {headers:?}");
            assert_eq!(problem_code(&page), code, "{method} {path} {headers:?}");
            assert!(set_cookies(&page).is_empty());
        }
    }
    let headers = [("x-csrf", "1")];
    let page = browser.send("POST", &stack.url("/api/echo"), &headers, "").await;
    assert_eq!(problem_code(&page), "csrf_no_signal");
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

// proves: CS-03
#[tokio::test(flavor = "multi_thread")]
async fn a_download_works_without_the_header_from_our_own_page_only() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let url = stack.url("/api/download/report.csv");
    let own = [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    let page = browser.send("GET", &url, &own, "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("sandbox"));
    for site in ["same-site", "cross-site"] {
        let headers =
            [("sec-fetch-site", site), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        assert_eq!(browser.send("GET", &url, &headers, "").await.status, 403, "{site}");
    }
    assert_eq!(browser.send("GET", &url, &[], "").await.status, 403);
    assert_eq!(browser.send("POST", &url, &own, "").await.status, 403);
    for dest in ["script", "serviceworker", "worker", "iframe"] {
        let headers = [("sec-fetch-site", "same-origin"), ("sec-fetch-dest", dest)];
        assert_eq!(browser.send("GET", &url, &headers, "").await.status, 403, "{dest}");
    }
    stack.stop().await;
}

// proves: CS-07
#[tokio::test(flavor = "multi_thread")]
async fn only_a_listed_origin_may_read_across_origins() {
    let more = "[app]\nurl = \"http://localhost:5173\"".to_owned();
    let stack = Stack::start(Setup { more, ..Setup::default() }).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let sibling = "http://localhost:5173";
    let headers = [("x-csrf", "1"), ("origin", sibling), ("sec-fetch-site", "same-site")];
    let page = browser.send("GET", &stack.url("/api/echo"), &headers, "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.headers["access-control-allow-origin"], sibling);
    assert_eq!(page.headers["access-control-allow-credentials"], "true");
    assert_eq!(page.headers["cross-origin-resource-policy"], "same-site");
    let vary: Vec<_> = page.headers.get_all("vary").iter().collect();
    assert!(vary.iter().any(|value| value.to_str().unwrap().contains("Origin")), "{vary:?}");
    // An error, too, can be read by the SPA.
    let refused = [("origin", sibling), ("sec-fetch-site", "same-site")];
    let page = browser.send("GET", &stack.url("/session"), &refused, "").await;
    assert_eq!(
        (page.status.as_u16(), page.headers["access-control-allow-origin"].to_str().unwrap()),
        (403, sibling)
    );

    let preflight = |origin: &'static str| {
        let url = stack.url("/api/echo");
        async move {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "x-csrf,content-type"),
            ];
            Browser::new().send("OPTIONS", &url, &headers, "").await
        }
    };
    let yes = preflight(sibling).await;
    assert_eq!(yes.status, 204);
    assert_eq!(yes.headers["access-control-allow-origin"], sibling);
    for origin in ["http://evil.localhost", "null", "http://localhost:5174"] {
        let no = preflight(origin).await;
        let allowed =
            no.headers.keys().any(|name| name.as_str().starts_with("access-control-allow"));
        assert!(!allowed, "{origin}: {:?}", no.headers);
    }
    stack.stop().await;
}

// proves: CS-10, CS-13, EL-08
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_ours_is_hardened_and_tells_no_version() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    for (method, path, headers) in [
        ("GET", "/session", &FETCH[..]),
        ("GET", "/session", &[]),
        ("POST", "/refresh", &FETCH),
        (
            "GET",
            "/login",
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
        ),
        ("GET", "/login", &crate::support::stack::LINK),
        ("GET", "/callback", &[]),
        ("GET", "/nowhere", &[("accept", "text/html")]),
        ("GET", "/logged-out", &[]),
        ("GET", "/logout/continue", &[]),
        ("GET", "/api/%2Fx", &FETCH),
        ("GET", "/api/echo", &FETCH),
        ("TRACE", "/session", &FETCH),
        ("POST", "/logout", &FETCH),
    ] {
        let page = browser.send(method, &stack.url(path), headers, "").await;
        let at = format!("{method} {path} {}", page.status);
        assert_ne!(page.status.as_u16(), 500, "{at}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff", "{at}");
        assert_eq!(page.headers["referrer-policy"], "no-referrer", "{at}");
        let csp = page.headers["content-security-policy"].to_str().unwrap();
        assert!(
            csp.contains("frame-ancestors 'none'") && csp.contains("default-src 'none'"),
            "{at}: {csp}"
        );
        assert_eq!(page.headers["cross-origin-resource-policy"], "same-origin", "{at}");
        assert_eq!(page.headers["cache-control"], "no-store", "{at}");
        assert!(page.headers.contains_key("x-request-id"), "{at}");
        assert!(!page.headers.contains_key("server") && !page.headers.contains_key("x-powered-by"));
        assert!(!format!("{:?}", page.headers).contains(env!("CARGO_PKG_VERSION")), "{at}");
        if page
            .headers
            .get("content-type")
            .is_some_and(|t| t.to_str().unwrap().starts_with("text/html"))
        {
            assert_eq!(page.headers["cross-origin-opener-policy"], "same-origin", "{at}");
        }
    }
    stack.stop().await;
}

const ODD_PATHS: [&str; 23] = [
    "/",
    "/login",
    "/callback",
    "/session",
    "/refresh",
    "/logout",
    "/logout/continue",
    "/logged-out",
    "/api",
    "/api/",
    "/api/echo",
    "/api//x",
    "/api/%00",
    "/api/%zz",
    "/api/..%2f",
    "/apix",
    "/public/hello",
    "/.env",
    "/login/",
    "/callback?state=%00&code=%ff",
    "/login?return_to=%ff",
    "/session?x=%0d%0a",
    "/%f0%28%8c%28",
];
const ODD_HEADERS: [&[(&str, &str)]; 6] = [
    &[],
    &FETCH,
    &[("x-csrf", "1"), ("origin", ":::"), ("sec-fetch-site", "garbage")],
    &[("cookie", ";;=;a;"), ("x-csrf", "1")],
    &[("accept-encoding", ";;q=,"), ("if-none-match", "\"\"\"")],
    &[
        ("x-forwarded-for", "::::, 1.2.3.4"),
        ("x-csrf", "1"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
    ],
];

// proves: EL-03
#[tokio::test(flavor = "multi_thread")]
async fn no_method_path_or_header_makes_an_error_of_ours() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let long = "a".repeat(6_000);
    for path in ODD_PATHS {
        for method in
            ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "PROPFIND", "BREW"]
        {
            for headers in ODD_HEADERS {
                let page = browser.copy().send(method, &stack.url(path), headers, "").await;
                assert_ne!(page.status.as_u16(), 500, "{method} {path} {headers:?}");
            }
        }
    }
    let page =
        browser.send("GET", &stack.url(&format!("/login?return_to=/{long}")), &FETCH, "").await;
    assert!(page.status.is_client_error());
    assert_eq!(
        stack.fetch(&Browser::new(), "GET", "/public/hello").await.status,
        200,
        "still here"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_ours_gets_nothing() {
    let stack = Stack::start(Setup::default()).await;
    let tab = [("host", "127.0.0.1"), ("accept", "text/html")];
    let page = Browser::new().send("GET", &stack.url("/"), &tab, "").await;
    assert!(page.body.contains(&format!("href=\"{}/\"", stack.app)), "{}", page.body);
    for host in ["evil.test", "localhost", "127.0.0.1", "localhost:1"] {
        let page = Browser::new()
            .send("GET", &stack.url("/session"), &[("host", host), ("x-csrf", "1")], "")
            .await;
        assert_eq!(
            (page.status.as_u16(), problem_code(&page).as_str()),
            (421, "forbidden_host"),
            "{host}"
        );
    }
    stack.stop().await;
}
