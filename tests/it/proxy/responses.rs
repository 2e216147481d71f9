//! What the browser gets of an upstream's answer.

use rstest::rstest;

use super::front::{Front, TOKEN, route};
use crate::support::hostile_upstream::{HostileUpstream, ok};

const CSP: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// A 200 with these field lines.
fn with_fields(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{fields}\r\nhi")
}

// proves: CK-16, PX-05, PX-11
#[tokio::test]
async fn fields_that_steer_the_browser_stop_here() {
    let evil = "Set-Cookie: __Host-Http-app-t.0=evil; Path=/\r\nset-cookie: other=evil\r\n\
                Access-Control-Allow-Origin: evil\r\nAccess-Control-Allow-Credentials: evil\r\n\
                Clear-Site-Data: \"evil\"\r\nStrict-Transport-Security: max-age=0, evil\r\n\
                Alt-Svc: h3=\"evil:443\"\r\nService-Worker-Allowed: /evil\r\n\
                Cloakroom-Error: evil\r\nWWW-Authenticate: Basic realm=evil\r\n\
                Content-Security-Policy: script-src evil\r\nX-Content-Type-Options: evil\r\n\
                Cross-Origin-Resource-Policy: evil\r\nRefresh: 0; url=https://evil\r\n\
                X-Accel-Redirect: /evil\r\nServer: evil\r\n\
                Connection: keep-alive, X-Evil, Content-Language\r\nX-Evil: evil\r\n\
                Content-Language: evil\r\nKeep-Alive: evil\r\nProxy-Authenticate: evil\r\n";
    let good = "Content-Type: application/json\r\nX-Total: 7\r\nVary: Accept\r\nETag: \"1\"\r\n";
    let upstream = HostileUpstream::answering(with_fields(&format!("{evil}{good}"))).await;
    let front = Front::start(route(upstream.address));
    let answer = front.call("GET /api/x", "").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
    assert!(!answer.head.contains("evil"), "{}", answer.head);
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-total", "7"),
        ("vary", "Accept"),
        ("etag", "\"1\""),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", CSP),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("content-length", "2"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{name}");
    }
    front.stop().await;
}

// proves: CK-16, PX-11
#[tokio::test]
async fn listed_cookies_pass_without_domain_and_prefixed_ones_never() {
    let cookies = "Set-Cookie: theme=dark; Domain=example; Path=/api; Secure\r\n\
                   Set-Cookie: __Secure-x=evil; Secure\r\nSet-Cookie: __HOST-y=evil\r\n\
                   Set-Cookie: =theme=evil\r\nSet-Cookie: theme\r\n\
                   Set-Cookie: THEME=evil\r\nSet-Cookie: other=evil\r\n";
    let upstream = HostileUpstream::answering(with_fields(cookies)).await;
    let mut listed = route(upstream.address);
    listed.response_cookies =
        ["theme", "", "__Secure-x", "__HOST-y"].into_iter().map(str::to_owned).collect();
    let front = Front::start(listed);
    let answer = front.call("GET /api/x", "").await;
    assert_eq!(answer.all("set-cookie"), ["theme=dark; Path=/api; Secure"]);
    front.stop().await;
}

// proves: PX-15
#[tokio::test]
async fn a_range_is_asked_for_and_comes_back_as_such() {
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/10\r\nAccept-Ranges: bytes\r\n\
                ETag: \"v1\"\r\nContent-Length: 3\r\n\r\ncde";
    let upstream = HostileUpstream::answering(part).await;
    let front = Front::start(route(upstream.address));
    let answer = front.call("GET /api/x", "Range: bytes=2-4\r\nIf-Range: \"v1\"\r\n").await;
    let request = upstream.request();
    assert!(request.contains("range: bytes=2-4\r\n"), "{request}");
    assert!(request.contains("if-range: \"v1\"\r\n"), "{request}");
    assert_eq!((answer.status, answer.body.as_slice()), (206, b"cde".as_slice()));
    assert_eq!(answer.field("content-range"), Some("bytes 2-4/10"));
    assert_eq!(answer.field("etag"), Some("\"v1\""));
    front.stop().await;
}

// proves: PX-11
#[tokio::test]
async fn a_route_drops_and_sets_fields_but_weakens_nothing() {
    let fields = "X-Internal: a\r\nX-Kept: b\r\nX-Own: theirs\r\nX-Own: twice\r\n";
    let upstream = HostileUpstream::answering(with_fields(fields)).await;
    let mut ruled = route(upstream.address);
    ruled.drop_response_headers = vec!["x-internal".to_owned()];
    let set = [("x-own", "ours"), ("cache-control", "public, max-age=60")];
    ruled.set_response_headers = set.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    let front = Front::start(ruled);
    let answer = front.call("GET /api/x", "").await;
    assert_eq!(answer.field("x-internal"), None);
    assert_eq!(answer.field("x-kept"), Some("b"));
    assert_eq!(answer.all("x-own"), ["ours"]);
    assert_eq!(answer.field("cache-control"), Some("no-store"), "no rule lets caches in");
    front.stop().await;
}

// proves: PX-12
#[rstest]
#[case("", "no-store")]
#[case("Cache-Control: public, max-age=3600\r\n", "no-store")]
#[case("Cache-Control: private, max-age=60\r\n", "private, max-age=60")]
#[case("Cache-Control: private\r\nCDN-Cache-Control: max-age=60\r\n", "private")]
#[case("Cache-Control: private\r\nConnection: cache-control\r\n", "no-store")]
#[tokio::test]
async fn no_shared_cache_may_store_an_answer(#[case] fields: &str, #[case] expected: &str) {
    let upstream = HostileUpstream::answering(with_fields(fields)).await;
    let front = Front::start(route(upstream.address));
    let answer = front.call("GET /api/me/x.css", "").await;
    assert_eq!(answer.field("cache-control"), Some(expected));
    assert_eq!(answer.field("cdn-cache-control"), None);
    front.stop().await;
}

// proves: PX-12
#[tokio::test]
async fn what_the_browser_does_not_get_decides_nothing() {
    let fields = "Cache-Control: private\r\nContent-Type: application/pdf\r\n\
                  Content-Disposition: inline; filename=\"a.pdf\"\r\nConnection: content-type\r\n";
    let upstream = HostileUpstream::answering(with_fields(fields)).await;
    let mut ruled = route(upstream.address);
    ruled.inline_types = vec!["application/pdf".to_owned()];
    ruled.drop_response_headers =
        ["cache-control", "content-disposition"].map(str::to_owned).into();
    let front = Front::start(ruled);
    let answer = front.call("GET /api/x", "sec-fetch-dest: document\r\n").await;
    assert_eq!(answer.all("cache-control"), ["no-store"]);
    assert_eq!(answer.field("content-type"), None);
    assert_eq!(answer.all("content-disposition"), ["attachment"]);
    front.stop().await;
}

// proves: PX-10
#[tokio::test]
async fn redirects_are_never_followed_and_leave_only_inside_the_route() {
    let elsewhere = HostileUpstream::answering(ok("stolen")).await;
    for (location, expected) in [
        (format!("http://{}/api/x", elsewhere.address), None),
        (format!("//{}/api/x", elsewhere.address), None),
        ("/admin".to_owned(), None),
        ("next?page=2".to_owned(), Some("/api/next?page=2")),
        ("/api/other#top".to_owned(), Some("/api/other#top")),
        ("https://app.example/api/other".to_owned(), Some("/api/other")),
    ] {
        let answer =
            format!("HTTP/1.1 307 X\r\nlocation: {location}\r\ncontent-length: 4\r\n\r\nevil");
        let upstream = HostileUpstream::answering(answer).await;
        let front = Front::start(route(upstream.address));
        let answer = front.call("GET /api/x", "").await;
        assert_eq!(answer.field("location"), expected, "{location}");
        match expected {
            Some(_) => assert_eq!(answer.status, 307),
            None => assert_eq!(answer.problem(), (502, "upstream_invalid"), "{location}"),
        }
        assert_eq!(upstream.requests().len(), 1);
        front.stop().await;
    }
    assert_eq!(elsewhere.connections(), 0, "somebody followed the redirect with {TOKEN}");
}

#[tokio::test]
async fn a_created_answer_loses_a_foreign_location_but_stays() {
    let created = "HTTP/1.1 201 Created\r\nlocation: http://evil.example/1\r\n\
                   content-location: /api/1\r\ncontent-length: 0\r\n\r\n";
    let upstream = HostileUpstream::answering(created).await;
    let front = Front::start(route(upstream.address));
    let answer = front.call("POST /api", "content-length: 0\r\n").await;
    assert_eq!((answer.status, answer.field("location")), (201, None));
    assert_eq!(answer.field("content-location"), Some("/api/1"));
    assert!(upstream.request().contains("\r\ncontent-length: 0\r\n"));
    front.stop().await;
}

#[rstest]
#[case("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n", 200, Some("1234"))]
#[case("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200, None)]
#[case("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, None)]
#[case(
    "GET",
    "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncontent-length: 9\r\n\r\n",
    304,
    Some("9")
)]
#[case("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, Some("0"))]
#[tokio::test]
async fn answers_without_body_end_with_their_head_and_free_the_connection(
    #[case] method: &str,
    #[case] given: &'static str,
    #[case] status: u16,
    #[case] length: Option<&str>,
) {
    let upstream = HostileUpstream::answering(given).await;
    let front = Front::start(route(upstream.address));
    for _ in 0..3 {
        let answer = front.call(&format!("{method} /api/x"), "").await;
        assert_eq!((answer.status, answer.field("content-length")), (status, length));
        assert_eq!(answer.text(), "");
    }
    assert_eq!(upstream.connections(), 1);
    front.stop().await;
}

#[rstest]
#[case("document", "text/html", Some("attachment"))]
#[case("document", "application/pdf", None)]
#[case("empty", "text/html", None)]
#[tokio::test]
async fn a_page_becomes_a_download_unless_its_type_is_listed(
    #[case] dest: &str,
    #[case] media_type: &str,
    #[case] expected: Option<&str>,
) {
    let answer = with_fields(&format!("content-type: {media_type}\r\n"));
    let upstream = HostileUpstream::answering(answer).await;
    let mut inline = route(upstream.address);
    inline.inline_types = vec!["application/pdf".to_owned()];
    let front = Front::with(vec![inline], 1, true);
    let answer = front.call("GET /api/x", &format!("sec-fetch-dest: {dest}\r\n")).await;
    assert_eq!(answer.field("content-disposition"), expected);
    assert_eq!(answer.field("cross-origin-resource-policy"), Some("same-site"));
    front.stop().await;
}

#[rstest]
#[case(401, "Unauthorized")]
#[case(404, "Not Found")]
#[case(500, "Oops")]
#[tokio::test]
async fn an_error_of_the_api_stays_the_apis_own(#[case] status: u16, #[case] reason: &str) {
    let given = format!("HTTP/1.1 {status} {reason}\r\ncontent-length: 3\r\n\r\nsad");
    let upstream = HostileUpstream::answering(given).await;
    let front = Front::start(route(upstream.address));
    let answer = front.call("GET /api/x", "").await;
    assert_eq!((answer.status, answer.text().as_str()), (status, "sad"));
    assert_eq!(answer.field("cloakroom-error"), None);
    front.stop().await;
}
