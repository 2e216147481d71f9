//! Builds the browser's answer from the upstream's: its fields without what steers the origin, then our own.
//! Never lets an upstream set our cookies, speak for Cloakroom, or become a page of the SPA's origin.

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_SECURITY_POLICY,
    CROSS_ORIGIN_RESOURCE_POLICY, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::Response;
use http_body::Body as _;
use hyper::body::Incoming;

use super::download::Download;
use super::error::ProxyError;
use super::location::translate;
use super::pool::Link;
use super::route::Route;
use super::values::Values;
use super::{Outgoing, caching, disposition, fields};
use crate::edge::Request;

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");
/// Browsers give these a meaning; an upstream's cookie never has it, listed or not.
const COOKIE_PREFIXES: [&str; 4] = ["__host-", "__secure-", "__http-", "__host-http-"];

/// The answer for the browser. `link` goes back to the pool when the last byte was read, or closes.
pub fn build(
    answer: Response<Incoming>,
    link: Link,
    request: &Request,
    outgoing: &Outgoing<'_>,
) -> Result<HttpResponse, ProxyError> {
    let (head, body) = answer.into_parts();
    let status = status(head.status)?;
    check_framing(&head.headers)?;
    let mut response = HttpResponse::with_body(status, BoxBody::new(()));
    let headers = response.headers_mut();
    headers.reserve(head.headers.len());
    pass_fields(&head.headers, headers, outgoing.route)?;
    pass_cookies(&head.headers, headers, outgoing);
    pass_locations(&head.headers, status, headers, outgoing)?;
    for (name, value) in outgoing.route.set_fields() {
        if name == VARY {
            // What the answer varies by already, it still varies by (PX-12).
            headers.append(VARY, value.clone());
        } else {
            headers.insert(name.clone(), value.clone());
        }
    }
    caching::decide(headers, outgoing.route.config().cache_private);
    if status.is_success() || status.is_client_error() || status.is_server_error() {
        let dest = request.fields().get("sec-fetch-dest");
        disposition::decide(headers, dest, &outgoing.route.config().inline_types);
    }
    contain(headers, outgoing.sibling_spa);
    let is_head = request.method() == http::Method::HEAD;
    Ok(with_body(response, &head.headers, body, link, is_head))
}

/// The answer to an OPTIONS request whose way ends here.
pub fn own_options(allow: &str) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response.insert_header((CACHE_CONTROL, "no-store"));
    response.insert_header((ALLOW, allow));
    response.finish()
}

/// Only finished answers pass; 101 would end HTTP here, and 407 is about a proxy that the browser does not have.
fn status(status: http::StatusCode) -> Result<StatusCode, ProxyError> {
    match status.as_u16() {
        407 => None,
        code @ 200..=599 => StatusCode::from_u16(code).ok(),
        _ => None,
    }
    .ok_or(ProxyError::Invalid("the upstream's status cannot be passed on"))
}

/// Two framings are an attack or a broken server (RFC 9112 §6.3), and we understand no coding but `chunked`.
fn check_framing(headers: &http::HeaderMap) -> Result<(), ProxyError> {
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let is_plain = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
        && codings.next().is_none()
        && !headers.contains_key(http::header::CONTENT_LENGTH);
    if is_plain {
        Ok(())
    } else {
        Err(ProxyError::Invalid("the upstream's answer is framed twice"))
    }
}

fn pass_fields(
    from: &http::HeaderMap,
    to: &mut HeaderMap,
    route: &Route,
) -> Result<(), ProxyError> {
    let lines = from.get_all(http::header::CONNECTION).iter().map(http::HeaderValue::as_bytes);
    let named = fields::connection_options(lines)
        .ok_or(ProxyError::Invalid("the upstream names too many connection options"))?;
    let mut values = Values::with_room(from.values().map(http::HeaderValue::len).sum());
    for (name, value) in from {
        let name = name.as_str();
        if fields::is_hop_by_hop(name)
            || fields::stops_downstream(name)
            || matches!(name, "location" | "content-location")
            || route.drops(name)
            || named.iter().any(|option| option == name)
        {
            continue;
        }
        // Both crates accept the same bytes; what one refuses is not worth a broken answer.
        if let (Ok(name), Some(value)) =
            (HeaderName::from_bytes(name.as_bytes()), values.browser(value.as_bytes()))
        {
            to.append(name, value);
        }
    }
    Ok(())
}

/// The cookies that the route lists, bound to our host; never ours, never one with a prefix (PX-11).
fn pass_cookies(from: &http::HeaderMap, to: &mut HeaderMap, outgoing: &Outgoing<'_>) {
    let listed = &outgoing.route.config().response_cookies;
    if listed.is_empty() || outgoing.route.drops("set-cookie") {
        return;
    }
    for line in from.get_all(http::header::SET_COOKIE) {
        let Ok(line) = line.to_str() else { continue };
        let Some((name, _)) = line.split(';').next().and_then(|pair| pair.split_once('=')) else {
            continue;
        };
        let name = name.trim();
        // Without a name (`=x`, `x`) browsers disagree about what the name is; such a line never passes.
        let has_prefix = COOKIE_PREFIXES.iter().any(|prefix| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        });
        if name.is_empty()
            || has_prefix
            || (outgoing.is_ours)(name)
            || !listed.iter().any(|listed| listed == name)
        {
            continue;
        }
        if let Ok(line) = HeaderValue::try_from(without_domain(line)) {
            to.append(SET_COOKIE, line);
        }
    }
}

/// The line without `Domain`: the upstream's domain is not ours, and a wider one would reach sibling hosts.
fn without_domain(line: &str) -> String {
    let kept = line.split(';').filter(|attribute| {
        let name = attribute.split('=').next().unwrap_or("").trim();
        !name.eq_ignore_ascii_case("domain")
    });
    kept.collect::<Vec<_>>().join(";")
}

/// A redirect that leads out of the route is an error; elsewhere (201) the field alone is dropped.
fn pass_locations(
    from: &http::HeaderMap,
    status: StatusCode,
    to: &mut HeaderMap,
    outgoing: &Outgoing<'_>,
) -> Result<(), ProxyError> {
    let request_path = || outgoing.route.upstream_path(outgoing.path);
    let translated = |name: http::HeaderName| {
        let mut lines = from.get_all(name).iter();
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let path = request_path();
        let location = translate(line.to_str().ok()?, &path, outgoing.route, outgoing.public)?;
        HeaderValue::try_from(location).ok()
    };
    if from.contains_key(http::header::LOCATION) && !outgoing.route.drops("location") {
        match translated(http::header::LOCATION) {
            Some(location) => {
                to.insert(LOCATION, location);
            }
            None if status.is_redirection() => {
                return Err(ProxyError::Invalid("the upstream redirects out of its route"));
            }
            None => {}
        }
    }
    if from.contains_key(http::header::CONTENT_LOCATION)
        && !outgoing.route.drops("content-location")
        && let Some(location) = translated(http::header::CONTENT_LOCATION)
    {
        to.insert(CONTENT_LOCATION, location);
    }
    Ok(())
}

/// Keeps the answer from being a page, a script or a frame of the origin it comes from.
fn contain(headers: &mut HeaderMap, sibling_spa: bool) {
    let readers = if sibling_spa { "same-site" } else { "same-origin" };
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(CONTENT_SECURITY_POLICY, SANDBOX);
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static(readers));
}

fn with_body(
    mut response: HttpResponse,
    from: &http::HeaderMap,
    body: Incoming,
    link: Link,
    is_head: bool,
) -> HttpResponse {
    let length = || from.get(http::header::CONTENT_LENGTH).map(http::HeaderValue::as_bytes);
    // An HTTP/2 stream may end after the head, and then one does not know yet.
    let may_have_one =
        !is_head && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if may_have_one && !body.is_end_stream() {
        return response.set_body(BoxBody::new(Download::streaming(body, link)));
    }
    link.release();
    let size = match response.status() {
        StatusCode::NO_CONTENT => BodySize::None,
        StatusCode::NOT_MODIFIED => {
            // The length of what was not sent again; the server leaves it alone under 304.
            if let Some(length) = length().and_then(|value| HeaderValue::from_bytes(value).ok()) {
                response.headers_mut().insert(CONTENT_LENGTH, length);
            }
            BodySize::None
        }
        _ if is_head => length()
            .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
            .map_or(BodySize::None, BodySize::Sized),
        _ => BodySize::Sized(0),
    };
    response.set_body(BoxBody::new(Download::empty(size)))
}
