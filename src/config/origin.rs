//! Origins, sites and the URLs of the authorization server. A URL is taken as written or refused, never repaired:
//! issuers and origins are compared as strings. Plain HTTP is for this machine only.

use std::net::IpAddr;

use url::{Host, Url};

use super::report::{Wrong, wrong};
use super::types::PublicUrl;

/// An origin exactly as browsers send it, e.g. `https://app.example.com`.
pub(super) fn parse_origin(text: &str) -> Result<PublicUrl, Wrong> {
    const SHAPE: Wrong = Wrong {
        problem: "not an origin as browsers write it",
        mend: "write scheme, host and, if not the scheme's own, port in lower case and nothing after them, \
               e.g. \"https://app.example.com\"",
    };
    let url = Url::parse(text).map_err(|_| SHAPE)?;
    let host = text.split_once("://").map_or("", |(_, host)| host);
    let canonical = url.origin().ascii_serialization() == text;
    if !canonical || host.contains('*') || host.ends_with('.') || host.contains(".:") {
        return Err(SHAPE);
    }
    let https = transport(&url)?;
    Ok(PublicUrl { origin: text.to_owned(), host: host.to_owned(), https })
}

/// A URL of the authorization server: absolute, no user, no fragment, plain HTTP on loopback only.
/// A query is allowed (RFC 6749 section 3.1).
pub(super) fn parse_endpoint(text: &str) -> Result<String, Wrong> {
    const SHAPE: Wrong = Wrong {
        problem: "not an absolute URL without user and fragment",
        mend: "write it like \"https://login.example.com/path\"",
    };
    let url = Url::parse(text).map_err(|_| SHAPE)?;
    transport(&url)?;
    let user = !url.username().is_empty() || url.password().is_some();
    let clean = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if user || url.fragment().is_some() || !clean || text.contains('@') {
        return Err(SHAPE);
    }
    Ok(text.to_owned())
}

/// An issuer identifier: an endpoint without query (OpenID Connect Discovery 1.0 section 2).
pub(super) fn parse_issuer(text: &str) -> Result<String, Wrong> {
    if text.contains('?') {
        return wrong(
            "an issuer has no query",
            "write it exactly as the authorization server does",
        );
    }
    parse_endpoint(text)
}

/// A forward proxy: `http` or `https`, host and port.
pub(super) fn parse_forward_proxy(text: &str) -> Result<String, Wrong> {
    let plain = text.strip_suffix('/').unwrap_or(text);
    let fine = Url::parse(plain).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && matches!(url.path(), "" | "/")
            && !plain.contains(['@', '?', '#', '\\'])
    });
    if fine {
        return Ok(text.to_owned());
    }
    wrong(
        "not the URL of a forward proxy",
        "write it like \"http://proxy.internal:3128\", without user",
    )
}

/// Whether the URL is HTTPS; refuses plain HTTP to another machine.
fn transport(url: &Url) -> Result<bool, Wrong> {
    match url.scheme() {
        "https" => Ok(true),
        "http" if is_loopback(url.host()) => Ok(false),
        "http" => {
            wrong("plain HTTP to another machine", "use https; plain HTTP is for loopback only")
        }
        _ => wrong("neither https nor http", "use https"),
    }
}

/// Whether this is our own machine, whatever DNS says.
pub(super) fn is_loopback(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether browsers hold two origins for the same site: same scheme, and same registrable domain by the Public
/// Suffix List or, where there is none, same host. Ports do not matter.
pub(super) fn same_site(a: &PublicUrl, b: &PublicUrl) -> bool {
    let (a_host, b_host) = (name(&a.host), name(&b.host));
    a.https == b.https
        && match (registrable(a_host), registrable(b_host)) {
            (Some(a), Some(b)) => a == b,
            _ => a_host == b_host,
        }
}

fn registrable(host: &str) -> Option<&str> {
    let address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    if address { None } else { psl::domain_str(host) }
}

/// The host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://app.example.com", "app.example.com", true)]
    #[case("https://app.example.com:8443", "app.example.com:8443", true)]
    #[case("http://localhost:8080", "localhost:8080", false)]
    #[case("http://app.localhost:8080", "app.localhost:8080", false)]
    #[case("http://127.0.0.1", "127.0.0.1", false)]
    #[case("http://[::1]:8080", "[::1]:8080", false)]
    #[case("https://10.0.0.5", "10.0.0.5", true)]
    fn origins_are_taken_apart(#[case] text: &str, #[case] host: &str, #[case] https: bool) {
        let expected = PublicUrl { origin: text.to_owned(), host: host.to_owned(), https };
        assert_eq!(parse_origin(text), Ok(expected));
    }

    #[rstest]
    fn what_a_browser_would_not_send_is_no_origin(
        #[values(
            "",
            "null",
            "*",
            "https://*",
            "https://*.example.com",
            "app.example.com",
            "//app.example.com",
            "https://app.example.com/",
            "https://app.example.com/app",
            "https://app.example.com?a",
            "https://app.example.com#a",
            "https://APP.example.com",
            "HTTPS://app.example.com",
            "https://app.example.com:443",
            "http://localhost:80",
            "https://user@app.example.com",
            "https://app.example.com.",
            "https://app.example.com.:444",
            "https://bücher.example",
            "https:app.example.com",
            " https://app.example.com",
            "https://app.example.com\n",
            "https://0x7f.1",
            "file:///x",
            "ftp://app.example.com",
            "data:,x"
        )]
        text: &str,
    ) {
        assert!(parse_origin(text).is_err());
    }

    // proves: CK-17
    #[rstest]
    fn plain_http_is_for_loopback_only(
        #[values(
            "http://app.example.com",
            "http://10.0.0.5",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://128.0.0.1",
            "http://[::2]",
            "http://0.0.0.0"
        )]
        text: &str,
    ) {
        let origin = parse_origin(text).unwrap_err().problem;
        let endpoint = parse_endpoint(text).unwrap_err().problem;
        assert_eq!(
            (origin, endpoint),
            ("plain HTTP to another machine", "plain HTTP to another machine")
        );
    }

    #[rstest]
    #[case("https://login.example.com", true)]
    #[case("https://login.example.com/", true)]
    #[case("https://login.example.com/tenant/v2.0", true)]
    #[case("https://login.example.com/authorize?p=b2c", true)]
    #[case("http://127.0.0.1:4000/token", true)]
    #[case("https://user:pass@login.example.com", false)]
    #[case("https://@login.example.com", false)]
    #[case("https://login.example.com/#x", false)]
    #[case("https://login.example.com/a b", false)]
    #[case("https://login.example.com\\x", false)]
    #[case("/authorize", false)]
    #[case("javascript:alert(1)", false)]
    fn endpoints_are_absolute_and_clean(#[case] text: &str, #[case] good: bool) {
        assert_eq!(parse_endpoint(text).is_ok(), good);
    }

    #[test]
    fn an_issuer_has_no_query() {
        assert!(parse_issuer("https://login.example.com?x=1").is_err());
        assert!(parse_issuer("https://login.example.com/").is_ok());
    }

    #[rstest]
    #[case("http://proxy.internal:3128", true)]
    #[case("https://proxy.internal/", true)]
    #[case("http://user:pass@proxy.internal:3128", false)]
    #[case("socks5://proxy.internal", false)]
    #[case("http://proxy.internal/path", false)]
    #[case("proxy.internal:3128", false)]
    fn forward_proxies_are_host_and_port(#[case] text: &str, #[case] good: bool) {
        assert_eq!(parse_forward_proxy(text).is_ok(), good);
    }

    #[rstest]
    #[case("https://app.example.com", "https://www.example.com:8443", true)]
    #[case("https://example.com", "https://app.example.com", true)]
    #[case("https://a.example.co.uk", "https://b.example.co.uk", true)]
    #[case("http://localhost:5173", "http://localhost:8080", true)]
    #[case("https://10.0.0.5", "https://10.0.0.5:8443", true)]
    #[case("https://app.example.com", "https://app.example.net", false)]
    #[case("https://a.co.uk", "https://b.co.uk", false)]
    #[case("https://alice.github.io", "https://bob.github.io", false)]
    #[case("https://github.io", "https://bob.github.io", false)]
    #[case("http://a.localhost", "http://b.localhost", false)]
    #[case("http://localhost", "https://localhost", false)]
    #[case("http://127.0.0.1", "http://localhost", false)]
    #[case("https://10.0.0.5", "https://10.0.0.6", false)]
    #[case("http://[::1]:1", "http://[::1]:2", true)]
    fn sites_are_schemeful_and_follow_the_public_suffix_list(
        #[case] a: &str,
        #[case] b: &str,
        #[case] same: bool,
    ) {
        let (a, b) = (parse_origin(a).unwrap(), parse_origin(b).unwrap());
        assert_eq!((same_site(&a, &b), same_site(&b, &a)), (same, same));
    }

    proptest! {
        #[test]
        fn an_origin_that_parses_is_what_a_browser_would_send(
            text in "\\PC{0,40}|https?://[a-zA-Z0-9.*:@/\\[\\]-]{0,30}"
        ) {
            if let Ok(origin) = parse_origin(&text) {
                let url = Url::parse(&text).unwrap();
                prop_assert_eq!(url.origin().ascii_serialization(), text.clone());
                let scheme = if origin.https { "https" } else { "http" };
                prop_assert_eq!(format!("{scheme}://{}", origin.host), text);
                prop_assert!(same_site(&origin, &origin));
            }
        }

        #[test]
        fn a_sibling_of_a_registrable_domain_is_same_site(a in "[a-z]{1,8}", b in "[a-z]{1,8}", port in 1..443_u16) {
            let one = parse_origin(&format!("https://{a}.example.com")).unwrap();
            let other = parse_origin(&format!("https://{b}.example.com:{port}")).unwrap();
            prop_assert!(same_site(&one, &other));
        }
    }
}
