//! Paths: where a login returns to, and which route a request takes.

use std::sync::LazyLock;

use cloakroom::config::RouteConfig;
use cloakroom::guard;
use cloakroom::proxy::{NormalPath, RouteTable};
use url::Url;

/// Whatever `return_to` says: what is accepted stays on the app's origin, as a browser resolves it, and as a browser
/// resolves it once a router has decoded it.
pub fn return_target(data: &[u8]) {
    let Ok(wanted) = std::str::from_utf8(data) else { return };
    let Some(target) = guard::return_target(wanted) else { return };
    assert!(target.starts_with('/') && !target.starts_with("//"), "{target:?}");
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target:?}");
    let app = Url::parse("https://app.example.com/somewhere/else?x=1").expect("a URL");
    let lands = resolve(&app, &target);
    assert_eq!(lands.origin(), app.origin(), "{target:?}");
    assert_eq!(resolve(&app, lands.path()).origin(), app.origin(), "{target:?}");
}

/// Whatever path is asked for: the form that is forwarded is stable, holds nothing that another reader resolves, and the
/// route found is a whole-segment prefix of it.
pub fn route_matching(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Ok(path) = NormalPath::parse(raw) else { return };
    let text = path.as_str();
    assert_eq!(NormalPath::parse(text).as_ref(), Ok(&path), "not stable: {raw:?}");
    assert!(text.starts_with('/') && text.is_ascii() && !text.contains("//"), "{text:?}");
    assert!(!text.contains(['\\', '?', '#', ' ']), "{text:?}");
    assert!(text.split('/').all(|segment| segment != "." && segment != ".."), "{text:?}");
    // What WHATWG URL parsing makes of it is the same path: browsers and we agree.
    let base = Url::parse("http://api.example.com").expect("a URL");
    assert_eq!(resolve(&base, text).path(), text, "a URL parser reads it differently");
    if let Some(route) = ROUTES.find(&path) {
        let prefix = route.config().path.as_str();
        let rest = text.strip_prefix(prefix).expect("a route's path starts the path");
        assert!(
            prefix == "/" || rest.is_empty() || rest.starts_with('/'),
            "{text:?} by {prefix:?}"
        );
        let longer = PREFIXES.iter().filter(|other| other.len() > prefix.len());
        for other in longer {
            let covers = text
                .strip_prefix(other)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            assert!(!covers, "{text:?} went to {prefix:?}, not to {other:?}");
        }
    }
}

const PREFIXES: [&str; 4] = ["/api", "/api/orders", "/api/orders/archive", "/public"];

static ROUTES: LazyLock<RouteTable> =
    LazyLock::new(|| RouteTable::new(PREFIXES.iter().map(|path| route(path)).collect()));

#[expect(
    clippy::disallowed_methods,
    reason = "browsers resolve this way, and that is the question"
)]
fn resolve(base: &Url, text: &str) -> Url {
    base.join(text).expect("what is accepted resolves")
}

fn route(path: &str) -> RouteConfig {
    use std::time::Duration;

    use cloakroom::config::{CloseAt, Retry, TokenSource, TokenTarget, Upstream};
    RouteConfig {
        session_rate: None,
        rules: cloakroom::config::ClaimRules::default(),
        path: path.to_owned(),
        upstream: Upstream {
            tls: false,
            authority: "api.example.com".to_owned(),
            host: "api.example.com".to_owned(),
            port: 80,
            prefix: String::new(),
            addresses: Vec::new(),
            trust: None,
            http2: false,
        },
        token: TokenSource::Login,
        target: TokenTarget::default(),
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

/// Seeds.
pub fn return_targets() -> Vec<Vec<u8>> {
    super::owned(&[
        "/",
        "/orders?page=2#row-7",
        "//evil.example",
        "/%2fevil.example",
        "/%252f%252fevil",
        "/\\evil.example",
        "/.//evil.example",
        "/a/..//evil.example",
        "/%2e%2e//evil",
        "https://evil.example",
        "/\t/evil.example",
        "/%09/evil.example",
        "/;/evil",
        "/a%5cevil",
        "javascript:alert(1)",
        "/?next=//evil.example",
    ])
}

/// Seeds: every target that the server is tested with (its second word, still written out), which is where new tricks go.
pub fn paths() -> Vec<Vec<u8>> {
    let lines = include_str!("../../tests/corpus/paths/targets.txt").lines();
    let targets = lines.filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (_, target) = line.split_once(" => ").map_or(line, |(what, _)| what).split_once(' ')?;
        Some(target.split('?').next()?.as_bytes().to_vec())
    });
    targets.collect()
}
