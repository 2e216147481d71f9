//! Routes: whole segments, the longest wins, methods, and the way to the upstream and back.

use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;

use super::{Route, RouteTable};
use crate::config::{ClaimRules, CloseAt, Retry, RouteConfig, TokenSource, TokenTarget, Upstream};
use crate::proxy::{NormalPath, ProxyError};

fn config(path: &str) -> RouteConfig {
    RouteConfig {
        path: path.to_owned(),
        upstream: Upstream {
            tls: false,
            authority: "orders:8080".to_owned(),
            host: "orders".to_owned(),
            port: 8080,
            prefix: String::new(),
            addresses: Vec::new(),
            trust: None,
            http2: false,
        },
        token: TokenSource::Login,
        target: TokenTarget::default(),
        session_rate: None,
        rules: ClaimRules::default(),
        methods: Vec::new(),
        strip_prefix: false,
        header_free: false,
        websocket: false,
        close_at: CloseAt::SessionEnd,
        fetch_dest: Vec::new(),
        inline_types: Vec::new(),
        forward_headers: Vec::new(),
        drop_response_headers: Vec::new(),
        set_response_headers: Vec::new(),
        forward_cookies: Vec::new(),
        response_cookies: Vec::new(),
        cache_private: false,
        body_limit: 1024,
        connect_timeout: Duration::from_secs(1),
        response_timeout: Duration::from_secs(1),
        idle_timeout: Some(Duration::from_secs(300)),
        total_timeout: None,
        keepalive_timeout: Duration::from_secs(30),
        retry: Retry::NeverSent,
        audit: false,
        max_in_flight: 10_000,
    }
}

/// `/api` on `http://127.0.0.1:port`, one call at a time.
pub(in crate::proxy) fn local(port: u16) -> Route {
    let mut config = config("/api");
    config.upstream.authority = format!("127.0.0.1:{port}");
    config.max_in_flight = 1;
    config.upstream.host = "127.0.0.1".to_owned();
    config.upstream.port = port;
    Route::new(config)
}

/// `/api/orders` on `http://orders:8080/v1`.
pub(in crate::proxy) fn route() -> Route {
    let mut config = config("/api/orders");
    config.upstream.prefix = "/v1".to_owned();
    Route::new(config)
}

/// The same with its own path taken off.
pub(in crate::proxy) fn stripped() -> Route {
    let mut config = config("/api/orders");
    config.upstream.prefix = "/v1".to_owned();
    config.strip_prefix = true;
    Route::new(config)
}

fn path(raw: &str) -> NormalPath {
    NormalPath::parse(raw).expect("a clean path")
}

// proves: PX-01
#[rstest]
#[case("/api/orders", Some("/api/orders"))]
#[case("/api/orders/7", Some("/api/orders"))]
#[case("/api/orders/", Some("/api/orders"))]
#[case("/api/ordersx", Some("/api"))]
#[case("/api/%6frders/7", Some("/api/orders"))]
#[case("/api", Some("/api"))]
#[case("/apix", None)]
#[case("/", None)]
#[case("/API", None)]
fn the_longest_route_of_whole_segments_wins(#[case] raw: &str, #[case] found: Option<&str>) {
    let table = RouteTable::new(vec![config("/api"), config("/api/orders")]);
    assert_eq!(table.find(&path(raw)).map(|route| route.config().path.as_str()), found);
}

#[test]
fn a_route_at_the_root_takes_what_no_other_takes() {
    for root in ["/", ""] {
        let table = RouteTable::new(vec![config(root), config("/api")]);
        assert_eq!(table.find(&path("/x/y")).map(|route| route.config().path.as_str()), Some(root));
        assert_eq!(table.find(&path("/api/y")).map(|r| r.config().path.as_str()), Some("/api"));
    }
}

// proves: PX-02
#[test]
fn methods_are_admitted_by_list_and_trace_and_connect_never() {
    let plain = Route::new(config("/api"));
    let mut own = config("/api");
    own.methods = vec!["GET".to_owned(), "PROPFIND".to_owned(), "TRACE".to_owned()];
    let own = Route::new(own);
    for method in ["TRACE", "CONNECT", "trace", "FOO", "get", ""] {
        assert!(plain.admit(method).is_err(), "{method}");
        assert!(own.admit(method).is_err(), "{method}");
    }
    assert_eq!(plain.admit("PATCH"), Ok(()));
    assert_eq!(own.admit("PROPFIND"), Ok(()));
    let allow = "GET, PROPFIND".into();
    assert_eq!(own.admit("POST"), Err(ProxyError::MethodNotAllowed { allow }));
}

#[rstest]
#[case(route(), "/api/orders/7/", "/v1/api/orders/7/")]
#[case(stripped(), "/api/orders/7/", "/v1/7/")]
#[case(stripped(), "/api/orders", "/v1")]
#[case(Route::new(config("/api")), "/api", "/api")]
fn a_path_maps_onto_the_upstream_and_back(
    #[case] route: Route,
    #[case] public: &str,
    #[case] upstream: &str,
) {
    assert_eq!(route.upstream_path(&path(public)), upstream);
    assert_eq!(route.public_path(upstream).as_deref(), Some(public));
}

#[test]
fn an_upstream_without_prefix_sees_at_least_a_slash() {
    let mut config = config("/api");
    config.strip_prefix = true;
    assert_eq!(Route::new(config).upstream_path(&path("/api")), "/");
}

proptest! {
    // proves: PX-01
    #[test]
    fn the_table_finds_what_a_look_at_every_route_finds(
        routes in proptest::collection::vec("(/[ab]{1,2}){0,4}/?", 0..12),
        asked in "(/[ab]{1,2}){0,6}/?",
    ) {
        let asked = path(if asked.is_empty() { "/" } else { &asked });
        let table = RouteTable::new(routes.iter().map(|route| config(route)).collect());
        let covering = routes.iter().filter(|route| Route::new(config(route)).covers(asked.as_str()));
        let longest = covering.map(|route| route.trim_end_matches('/')).max_by_key(|route| route.len());
        let found = table.find(&asked).map(|route| route.config().path.trim_end_matches('/'));
        prop_assert_eq!(found, longest);
    }
}
