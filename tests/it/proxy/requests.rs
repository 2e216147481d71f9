//! What the upstream sees of a request, and what is refused before it sees anything.

use cloakroom::config::TokenSource;
use rstest::rstest;

use super::front::{Front, TOKEN, route};
use crate::support::hostile_upstream::{HostileUpstream, ok};

/// The lines of a recorded request that carry this field.
fn lines<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("{name}: ");
    request.lines().filter_map(|line| line.strip_prefix(start.as_str())).collect()
}

// proves: PX-01
#[rstest]
#[case("/api/..%2f..%2fadmin")]
#[case("/api/%2e%2e/admin")]
#[case("/api/%252e%252e/admin")]
#[case("/api/../admin")]
#[case("/api/..;/admin")]
#[case("/api/..\\admin")]
#[case("/api\\..\\admin")]
#[case("/api/%00")]
#[case("/api/%c0%ae%c0%ae/admin")]
#[case("/api/a%2fb")]
#[case("//evil.example/api/x")]
#[case("/api//evil.example/x")]
#[case("*")]
#[case("http://evil.example/api/../admin")]
#[tokio::test]
async fn an_evil_target_is_refused_and_the_upstream_hears_nothing(#[case] target: &str) {
    let upstream = HostileUpstream::answering(ok("hello")).await;
    let front = Front::start(route(upstream.address));
    let answer = front.call(&format!("OPTIONS {target}"), "").await;
    assert_eq!(answer.problem(), (400, "bad_path"), "{}", answer.head);
    assert_eq!(upstream.connections(), 0);
    front.stop().await;
}

// proves: PX-01
#[rstest]
#[case("/api/o%72ders?a=%2e%2e&&b=1;c=%252f", "/v1/api/orders?a=%2e%2e&&b=1;c=%252f")]
#[case("http://evil.example/api/x", "/v1/api/x")]
#[case("http://user@evil.example/api/x?", "/v1/api/x?")]
#[case("/api/@evil.example/x", "/v1/api/@evil.example/x")]
#[case("/api/x#/../admin", "/v1/api/x")]
#[tokio::test]
async fn the_upstream_sees_its_own_host_and_prefix_whatever_the_target_says(
    #[case] target: &str,
    #[case] seen: &str,
) {
    let upstream = HostileUpstream::answering(ok("hello")).await;
    let mut route = route(upstream.address);
    route.upstream.prefix = "/v1".to_owned();
    let front = Front::start(route);
    let head = format!("GET {target} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
    assert_eq!(front.raw(head).await.status, 200);
    let request = upstream.request();
    assert_eq!(request.lines().next(), Some(format!("GET {seen} HTTP/1.1").as_str()));
    assert_eq!(lines(&request, "host"), [upstream.address.to_string()]);
    assert!(!request.to_lowercase().contains("host: evil"), "{request}");
    front.stop().await;
}

// proves: PX-02
#[tokio::test]
async fn methods_off_the_list_are_refused_with_the_list() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let mut own = route(upstream.address);
    own.methods = vec!["GET".to_owned(), "POST".to_owned()];
    let front = Front::start(own);
    for method in ["TRACE", "DELETE", "HEAD", "PROPFIND", "get", "X"] {
        let answer = front.call(&format!("{method} /api/x"), "").await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("allow"), Some("GET, POST"), "{method}");
    }
    // CONNECT names a host, not a path.
    let answer = front.call("CONNECT evil.example:443", "").await;
    assert!((400..500).contains(&answer.status), "{}", answer.head);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(front.call("GET /api/x", "").await.status, 200);
    front.stop().await;
}

// proves: PX-02
#[tokio::test]
async fn a_method_in_disguise_passes_only_from_post_and_only_if_the_route_serves_it() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let mut own = route(upstream.address);
    own.methods = vec!["GET".to_owned(), "POST".to_owned(), "PUT".to_owned()];
    let front = Front::start(own);
    for (method, field, status) in [
        ("POST", "x-http-method-override: DELETE\r\n", 405),
        ("POST", "X_HTTP_Method_Override: TRACE\r\n", 405),
        ("GET", "x-method-override: POST\r\n", 400),
        ("GET", "x-http-method: PUT\r\n", 400),
    ] {
        let fields = format!("content-length: 0\r\n{field}");
        assert_eq!(
            front.call(&format!("{method} /api/x"), &fields).await.status,
            status,
            "{field}"
        );
    }
    assert_eq!(upstream.connections(), 0);
    let fields = "content-length: 0\r\nx-http-method-override: put\r\n";
    assert_eq!(front.call("POST /api/x", fields).await.status, 200);
    assert_eq!(lines(&upstream.request(), "x-http-method-override"), ["put"]);
    front.stop().await;
}

// proves: PX-03
#[tokio::test]
async fn cookies_go_upstream_by_list_only_and_ours_never() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let mut listed = route(upstream.address);
    listed.path = "/api/listed".to_owned();
    listed.forward_cookies = vec!["theme".to_owned(), "__Host-Http-app-t.0".to_owned()];
    let front = Front::with(vec![listed, route(upstream.address)], 1, false);
    let cookies = "Cookie: a=1; theme=dark; __Host-Http-app-t.0=sealed\r\n\
                   cOOkie: __host-http-app-a=sealed;theme=light\r\n\
                   Cookie2: x=y\r\n";
    assert_eq!(front.call("GET /api/x", cookies).await.status, 200);
    assert_eq!(front.call("GET /api/listed", cookies).await.status, 200);
    let requests = upstream.requests();
    assert!(!requests[0].to_lowercase().contains("cookie"), "{}", requests[0]);
    assert_eq!(lines(&requests[1], "cookie"), ["theme=dark; theme=light"]);
    assert!(!requests[1].contains("sealed"), "{}", requests[1]);
    front.stop().await;
}

// proves: PX-04
#[tokio::test]
async fn the_upstream_gets_our_token_once_and_in_authorization_only() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let front = Front::start(route(upstream.address));
    let fields = "Authorization: Bearer forged\r\nauthorization: Basic Zm9yZ2Vk\r\nDPoP: forged\r\n\
                  Proxy-Authorization: Basic Zm9yZ2Vk\r\n";
    assert_eq!(front.call("GET /api/x?q=1", fields).await.status, 200);
    let request = upstream.request();
    assert_eq!(lines(&request, "authorization"), [format!("Bearer {TOKEN}")]);
    assert_eq!(request.matches(TOKEN).count(), 1);
    assert!(!request.contains("forged") && !request.contains("Zm9yZ2Vk"), "{request}");
    assert!(request.starts_with("GET /api/x?q=1 HTTP/1.1\r\n"));
    for query in ["access_token=x", "a=1&%61ccess_token=x"] {
        let answer = front.call(&format!("GET /api/x?{query}"), "").await;
        assert_eq!(answer.problem(), (400, "bad_request"));
    }
    assert_eq!(upstream.requests().len(), 1);
    front.stop().await;
}

// proves: PX-25
#[tokio::test]
async fn a_public_route_gets_no_token_and_no_cookie() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let mut public = route(upstream.address);
    public.token = TokenSource::None;
    let front = Front::start(public);
    let fields = "Cookie: __Host-Http-app-t.0=sealed\r\nAuthorization: Bearer forged\r\n";
    let answer = front.call("GET /api/x", fields).await;
    assert_eq!(answer.status, 200);
    assert!(answer.all("set-cookie").is_empty());
    let request = upstream.request().to_lowercase();
    for secret in [TOKEN, "authorization", "cookie", "sealed", "forged"] {
        assert!(!request.contains(secret), "{secret}: {request}");
    }
    front.stop().await;
}

// proves: PX-05
#[tokio::test]
async fn connection_names_fields_away_but_never_ours() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let front = Front::start(route(upstream.address));
    let head = "GET /api/x HTTP/1.1\r\nhost: app.example\r\n\
                connection: close, authorization, cookie, x-forwarded-for, host, via, X-Gone\r\n\
                x-gone: 1\r\nx-stays: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n\
                trailer: x-t\r\nproxy-connection: keep-alive\r\nupgrade: h2c\r\n\
                http2-settings: AAMAAABk\r\ncookie: a=1\r\n\r\n";
    assert_eq!(front.raw(head).await.status, 200);
    let request = upstream.request();
    assert_eq!(lines(&request, "authorization"), [format!("Bearer {TOKEN}")]);
    assert_eq!(lines(&request, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(lines(&request, "via"), ["1.1 cloakroom"]);
    assert_eq!(lines(&request, "host"), [upstream.address.to_string()]);
    assert_eq!(lines(&request, "x-stays"), ["1"]);
    let gone = ["connection", "keep-alive", "te", "trailer", "upgrade", "http2-settings", "cookie"];
    for name in gone.into_iter().chain(["proxy-connection", "x-gone"]) {
        assert!(lines(&request, name).is_empty(), "{name}: {request}");
    }
    front.stop().await;
}

// proves: PX-06, PX-13
#[tokio::test]
async fn identity_fields_are_ours_alone() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let front = Front::start(route(upstream.address));
    let fields = "X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 203.0.113.9\r\n\
                  X_Forwarded_For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n\
                  X-Forwarded-Proto: 203.0.113.9\r\nX-Forwarded-Host: 203.0.113.9\r\n\
                  X-Real-IP: 203.0.113.9\r\nX_Real_IP: 203.0.113.9\r\n\
                  X-Client-Cert: 203.0.113.9\r\nClient-Cert: 203.0.113.9\r\n\
                  X-User: 203.0.113.9\r\nx_user_id: 203.0.113.9\r\nX-Forwarded-User: 203.0.113.9\r\n\
                  Via: 1.1 203.0.113.9\r\nX-Request-Id: 203.0.113.9\r\n\
                  X-CSRF: 203.0.113.9\r\nOrigin: https://203.0.113.9\r\n\
                  Referer: https://203.0.113.9/\r\nSec-Fetch-Site: 203.0.113.9\r\n";
    assert_eq!(front.call("GET /api/x", fields).await.status, 200);
    let request = upstream.request();
    assert!(!request.contains("203.0.113.9"), "{request}");
    assert_eq!(lines(&request, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(lines(&request, "x-forwarded-host"), ["app.example"]);
    assert_eq!(lines(&request, "x-forwarded-proto"), ["https"]);
    assert_eq!(lines(&request, "forwarded"), ["for=192.0.2.7;host=\"app.example\";proto=https"]);
    assert_eq!(lines(&request, "via"), ["1.1 cloakroom"]);
    assert_eq!(lines(&request, "x-request-id"), ["request-1"]);
    front.stop().await;
}

// proves: PX-13
#[tokio::test]
async fn max_forwards_of_options_counts_down_and_ends_here() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let front = Front::start(route(upstream.address));
    let ended = front.call("OPTIONS /api/x", "max-forwards: 0\r\n").await;
    assert_eq!((ended.status, upstream.connections()), (204, 0));
    assert_eq!(ended.field("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    assert_eq!(front.call("OPTIONS /api/x", "max-forwards: 7\r\n").await.status, 200);
    assert_eq!(lines(&upstream.request(), "max-forwards"), ["6"]);
    front.stop().await;
}

#[tokio::test]
async fn a_websocket_handshake_is_refused_before_the_upstream_hears_of_it() {
    let upstream = HostileUpstream::answering(ok("")).await;
    let front = Front::start(route(upstream.address));
    let head = "GET /api/ws HTTP/1.1\r\nhost: app.example\r\nconnection: upgrade\r\n\
                upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut socket = front.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut socket, &mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 400");
    assert_eq!(upstream.connections(), 0);
    front.stop().await;
}
