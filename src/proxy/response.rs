//! Builds the browser's answer from the upstream's: its fields without what steers the origin, then our own.
//! Never lets an upstream set our cookies, speak for Cloakroom, or become a page of the SPA's origin.

use actix_web::body::{BodySize, BoxBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_SECURITY_POLICY,
    CROSS_ORIGIN_RESOURCE_POLICY, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};

use super::connection::{Answer, Body};
use super::download::Download;
use super::error::ProxyError;
use super::location::translate;
use super::pool::Link;
use super::route::Route;
use super::{Outgoing, caching, disposition, fields};
use crate::http1::{Fields, text};

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Browsers give these a meaning; an upstream's cookie never has it, listed or not.
const COOKIE_PREFIXES: [&str; 4] = ["__host-", "__secure-", "__http-", "__host-http-"];

/// The answer for the browser. `link` goes back to the pool when the last byte was read, or closes.
pub fn build(
    answer: Answer,
    link: Link,
    request: &HttpRequest,
    outgoing: &Outgoing<'_>,
) -> Result<HttpResponse, ProxyError> {
    let Answer { status, fields, body } = answer;
    let status = passable(status)?;
    let mut response = HttpResponse::with_body(status, BoxBody::new(()));
    let headers = response.headers_mut();
    headers.reserve(fields.len());
    pass_fields(&fields, headers, outgoing.route)?;
    pass_cookies(&fields, headers, outgoing);
    pass_locations(&fields, status, headers, outgoing)?;
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
        let dest = request.headers().get(SEC_FETCH_DEST).map(HeaderValue::as_bytes);
        disposition::decide(headers, dest, &outgoing.route.config().inline_types);
    }
    contain(headers, outgoing.sibling_spa);
    let is_head = request.method() == actix_web::http::Method::HEAD;
    Ok(with_body(response, &fields, body, link, is_head))
}

/// The answer to an OPTIONS request whose way ends here.
pub fn own_options(allow: &str) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response.insert_header((CACHE_CONTROL, "no-store"));
    response.insert_header((ALLOW, allow));
    response.finish()
}

/// Only finished answers pass; 101 would end HTTP here, and 407 is about a proxy that the browser does not have.
fn passable(status: http::StatusCode) -> Result<StatusCode, ProxyError> {
    match status.as_u16() {
        407 => None,
        code @ 200..=599 => StatusCode::from_u16(code).ok(),
        _ => None,
    }
    .ok_or(ProxyError::Invalid("the upstream's status cannot be passed on"))
}

fn pass_fields(from: &Fields, to: &mut HeaderMap, route: &Route) -> Result<(), ProxyError> {
    let named = fields::connection_options(from.get_all("connection"))
        .ok_or(ProxyError::Invalid("the upstream names too many connection options"))?;
    for (name, value) in from.iter_shared() {
        if fields::is_hop_by_hop(name)
            || fields::stops_downstream(name)
            || matches!(name, "location" | "content-location")
            || route.drops(name)
            || named.iter().any(|option| option == name)
        {
            continue;
        }
        // What is no field here is not worth a broken answer.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_maybe_shared(value))
        {
            to.append(name, value);
        }
    }
    Ok(())
}

/// The cookies that the route lists, bound to our host; never ours, never one with a prefix (PX-11).
fn pass_cookies(from: &Fields, to: &mut HeaderMap, outgoing: &Outgoing<'_>) {
    let listed = &outgoing.route.config().response_cookies;
    if listed.is_empty() || outgoing.route.drops("set-cookie") {
        return;
    }
    for line in from.get_all("set-cookie").filter_map(text) {
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
    from: &Fields,
    status: StatusCode,
    to: &mut HeaderMap,
    outgoing: &Outgoing<'_>,
) -> Result<(), ProxyError> {
    let request_path = || outgoing.route.upstream_path(outgoing.path);
    let translated = |name: &str| {
        let mut lines = from.get_all(name);
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let path = request_path();
        let location = translate(text(line)?, &path, outgoing.route, outgoing.public)?;
        HeaderValue::try_from(location).ok()
    };
    if from.has("location") && !outgoing.route.drops("location") {
        match translated("location") {
            Some(location) => {
                to.insert(LOCATION, location);
            }
            None if status.is_redirection() => {
                return Err(ProxyError::Invalid("the upstream redirects out of its route"));
            }
            None => {}
        }
    }
    if from.has("content-location")
        && !outgoing.route.drops("content-location")
        && let Some(location) = translated("content-location")
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
    from: &Fields,
    body: Body,
    link: Link,
    is_head: bool,
) -> HttpResponse {
    let length = || from.get("content-length");
    let may_have_one =
        !is_head && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if may_have_one && link.connection.left(&body) != Some(0) {
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
