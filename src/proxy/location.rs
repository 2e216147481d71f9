//! Translates a `Location` of the upstream into one on our own origin, if it points into the mapped prefix.
//! Never follows it, and never passes on one that leads elsewhere (PX-10).

use super::path::NormalPath;
use super::route::Route;
use crate::config::PublicUrl;

/// The public `Location` for `location`, which the upstream gave for `request_path` (as the upstream saw it).
/// `None`: it leads out of the route, or is no clean reference.
pub fn translate(
    location: &str,
    request_path: &str,
    route: &Route,
    public: &PublicUrl,
) -> Option<String> {
    // Browsers strip or turn around some of these before they resolve; nobody needs them.
    if !location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let (reference, tail) = split_tail(location);
    let public_path = match target(reference, route, public)? {
        Target::Public(path) => route.covers(path).then(|| path.to_owned())?,
        Target::Upstream(path) => route.public_path(path)?,
        Target::Relative("") => route.public_path(request_path)?,
        Target::Relative(path) => route.public_path(&resolve(request_path, path))?,
    };
    let clean = NormalPath::parse(&public_path).ok()?;
    // A relative reference may have changed the route's own path while it was resolved.
    route.covers(clean.as_str()).then(|| [clean.as_str(), tail].concat())
}

enum Target<'a> {
    /// On our own origin: the upstream believed `X-Forwarded-Host`.
    Public(&'a str),
    Upstream(&'a str),
    Relative(&'a str),
}

/// Whose path a reference (without query) names; `None` is a foreign host or scheme.
fn target<'a>(reference: &'a str, route: &Route, public: &PublicUrl) -> Option<Target<'a>> {
    let upstream = &route.config().upstream;
    let upstream_scheme = if upstream.tls { "https" } else { "http" };
    let (scheme, rest) = match scheme(reference) {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, reference),
    };
    let Some(after) = rest.strip_prefix("//") else {
        return match scheme {
            // `https:/x`, `javascript:…`
            Some(_) => None,
            None if rest.starts_with('/') => Some(Target::Upstream(rest)),
            None => Some(Target::Relative(rest)),
        };
    };
    let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
    let path = if path.is_empty() { "/" } else { path };
    let is = |wanted_scheme: &str, wanted: &str| {
        scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(wanted_scheme))
            && authority.eq_ignore_ascii_case(wanted)
    };
    let public_scheme = if public.https { "https" } else { "http" };
    if is(upstream_scheme, &upstream.authority) {
        Some(Target::Upstream(path))
    } else if is(public_scheme, &public.host) {
        Some(Target::Public(path))
    } else {
        None
    }
}

/// Parts `scheme:rest`; a colon after a slash is no scheme (RFC 3986 §4.2).
fn scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    (!scheme.contains('/')).then_some((scheme, rest))
}

fn split_tail(location: &str) -> (&str, &str) {
    location.split_at(location.find(['?', '#']).unwrap_or(location.len()))
}

/// Resolves a relative path against the path of the request (RFC 3986 §5.2.3, §5.2.4).
fn resolve(base: &str, relative: &str) -> String {
    let folder = base.rfind('/').and_then(|at| base.get(..at)).unwrap_or("");
    let joined = format!("{folder}/{relative}");
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in joined.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let slash = if ends_in_folder && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::translate;
    use crate::config::PublicUrl;
    use crate::proxy::route::tests::{route, stripped};

    fn public() -> PublicUrl {
        PublicUrl {
            origin: "https://app.example".to_owned(),
            host: "app.example".to_owned(),
            https: true,
        }
    }

    // proves: PX-10
    #[rstest]
    #[case("http://orders:8080/v1/api/orders/7?x=1#top", Some("/api/orders/7?x=1#top"))]
    #[case("HTTP://ORDERS:8080/v1/api/orders/7", Some("/api/orders/7"))]
    #[case("//orders:8080/v1/api/orders/7", Some("/api/orders/7"))]
    #[case("/v1/api/orders/7", Some("/api/orders/7"))]
    #[case("https://app.example/api/orders/7", Some("/api/orders/7"))]
    #[case("7", Some("/api/orders/7"))]
    #[case("./7/", Some("/api/orders/7/"))]
    #[case("../orders", Some("/api/orders"))]
    #[case("?page=2", Some("/api/orders/list?page=2"))]
    #[case("", Some("/api/orders/list"))]
    #[case("https://evil.example/", None)]
    #[case("//evil.example/v1/api/orders", None)]
    #[case("https://orders:8080/v1/api/orders/7", None)]
    #[case("http://orders:8080@evil.example/v1/api/orders", None)]
    #[case("http://orders:80801/v1/api/orders", None)]
    #[case("https://app.example/", None)]
    #[case("https://app.example/api/ordersx", None)]
    #[case("/v1/api/admin", None)]
    #[case("/api/orders/7", None)]
    #[case("/v1/api/orders/../admin", None)]
    #[case("/v1/api/orders/%2e%2e/admin", None)]
    #[case("../../admin", None)]
    #[case("..//evil.example", None)]
    #[case("/\\evil.example", None)]
    #[case("\\\\evil.example", None)]
    #[case("https:/v1/api/orders", None)]
    #[case("https:orders", None)]
    #[case("javascript:alert(1)", None)]
    #[case("/v1/api/orders/7\t", None)]
    fn a_location_stays_inside_the_mapped_prefix_or_is_refused(
        #[case] location: &str,
        #[case] expected: Option<&str>,
    ) {
        let seen = translate(location, "/v1/api/orders/list", &route(), &public());
        assert_eq!(seen.as_deref(), expected);
    }

    // proves: PX-10
    #[rstest]
    #[case("/v1/7", Some("/api/orders/7"))]
    #[case("/v1", Some("/api/orders"))]
    #[case("http://orders:8080/v1/7", Some("/api/orders/7"))]
    #[case("7", Some("/api/orders/7"))]
    #[case("/7", None)]
    #[case("../7", None)]
    fn a_stripped_prefix_is_put_back(#[case] location: &str, #[case] expected: Option<&str>) {
        let seen = translate(location, "/v1/list", &stripped(), &public());
        assert_eq!(seen.as_deref(), expected);
    }

    /// What confuses parsers of references, in any order.
    const PIECES: [&str; 27] = [
        "http://",
        "https:",
        "//",
        "/",
        "\\",
        "orders:8080",
        "app.example",
        "evil.example",
        "@",
        ":",
        "/v1/api/orders",
        "/v1",
        "/api/orders",
        "..",
        ".",
        "%2e",
        "%2E%2e",
        "%2f",
        "%5c",
        "?",
        "#",
        ";",
        "a",
        "\t",
        "%0d%0a",
        "%",
        "é",
    ];

    proptest! {
        // proves: PX-10
        #[test]
        fn whatever_location_passes_a_browser_stays_under_the_route(
            pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..9),
            noise in ".{0,12}",
            is_stripped in any::<bool>(),
        ) {
            let (route, base) =
                if is_stripped { (stripped(), "/v1/list") } else { (route(), "/v1/api/orders/list") };
            for location in [pieces.concat(), format!("{}{noise}", pieces.concat()), noise.clone()] {
                let Some(seen) = translate(&location, base, &route, &public()) else { continue };
                prop_assert!(seen.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{}", seen);
                let url = url::Url::parse("https://app.example/api/x").unwrap();
                let url = url::Url::options().base_url(Some(&url)).parse(&seen).unwrap();
                prop_assert_eq!(url.host_str(), Some("app.example"), "{}", seen);
                let path = url.path();
                let inside = path.strip_prefix("/api/orders").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                prop_assert!(inside, "{:?} became {:?}, which is {:?}", location, seen, path);
            }
        }
    }
}
