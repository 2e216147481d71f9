//! Builds the browser's answer from the upstream's: its fields without what steers the origin, then our own.
//! Never lets an upstream set our cookies, speak for Cloakroom, or become a page of the SPA's origin.

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL};

use super::caching::Caching;
use super::connection::{Answer, Body};
use super::download::Download;
use super::error::ProxyError;
use super::location::translate;
use super::pool::Link;
use super::{Outgoing, caching, disposition, fields};
use crate::edge::{Passed, Reply, Request, headers};
use crate::http1::{Fields, length, text};

/// Whole lines: every answer gets them.
const SANDBOXED: &str = "x-content-type-options: nosniff\r\n\
    content-security-policy: sandbox; default-src 'none'; frame-ancestors 'none'\r\n";
const OF_THE_ORIGIN: &str = "cross-origin-resource-policy: same-origin\r\n";
const OF_THE_SITE: &str = "cross-origin-resource-policy: same-site\r\n";
/// Browsers give these a meaning; an upstream's cookie never has it, listed or not.
const COOKIE_PREFIXES: [&str; 4] = ["__host-", "__secure-", "__http-", "__host-http-"];
/// Room for an ordinary head beside the upstream's own.
const OWN_FIELDS: usize = 512;

/// The answer for the browser. `link` goes back to the pool when the last byte was read, or closes.
pub fn build(
    answer: Answer,
    link: Link,
    request: &Request,
    outgoing: &Outgoing<'_>,
) -> Result<Reply, ProxyError> {
    let Answer { status, fields, body } = answer;
    let status = passable(status)?;
    let said = Said::read(&fields, outgoing)?;
    let caching =
        caching::decide(said.lines("cache-control"), outgoing.route.config().cache_private);
    let disposition = said.disposition(status, request);
    let mut head = Passed::new(status, fields.size() + OWN_FIELDS);
    said.pass_fields(&mut head, disposition.is_some());
    said.pass_cookies(&mut head);
    said.pass_locations(status, &mut head)?;
    said.set_fields(&mut head, disposition.is_some());
    if let Some(disposition) = disposition {
        head.add("content-disposition", disposition.as_bytes());
    }
    if let Caching::Set(value) = caching {
        head.set_caching(value);
    }
    said.contain(&mut head);
    let is_head = request.method() == http::Method::HEAD;
    Ok(with_body(head, &fields, body, link, is_head))
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

/// What an upstream said in its head.
struct Said<'a> {
    fields: &'a Fields,
    outgoing: &'a Outgoing<'a>,
    /// What it says of the connection alone.
    named: Vec<String>,
}

impl<'a> Said<'a> {
    fn read(fields: &'a Fields, outgoing: &'a Outgoing<'a>) -> Result<Self, ProxyError> {
        let named = fields::connection_options(fields.get_all("connection"))
            .ok_or(ProxyError::Invalid("the upstream names too many connection options"))?;
        Ok(Self { fields, outgoing, named })
    }

    /// Whether a field is kept from the browser by the route, or is about the connection.
    fn is_kept_back(&self, name: &str) -> bool {
        self.outgoing.route.drops(name) || self.named.iter().any(|option| option == name)
    }

    /// The lines of a field as the browser gets them, by what the route sets if it does: what is decided by lines is decided by these.
    fn lines(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let set = self.outgoing.route.sets(name);
        let passes = set.is_none() && !self.is_kept_back(name);
        let own = passes.then(|| self.fields.get_all(name)).into_iter().flatten();
        set.map(str::as_bytes).into_iter().chain(own)
    }

    /// What makes a download of an answer that would be a page.
    fn disposition(&self, status: StatusCode, request: &Request) -> Option<String> {
        let has_content =
            status.is_success() || status.is_client_error() || status.is_server_error();
        if !has_content || !disposition::renders(request.fields().get("sec-fetch-dest")) {
            return None;
        }
        let inline_types = &self.outgoing.route.config().inline_types;
        let given = self.lines("content-disposition").next();
        disposition::decide(self.lines("content-type"), given, inline_types)
    }

    fn pass_fields(&self, to: &mut Passed, has_disposition: bool) {
        let route = self.outgoing.route;
        for (name, value) in self.fields.iter() {
            if !fields::comes_down(name)
                || matches!(name, "location" | "content-location")
                || name == "content-disposition" && has_disposition
                || route.replaces(name)
                || self.is_kept_back(name)
            {
                continue;
            }
            to.pass(name, value);
        }
    }

    /// What the route sets, but for what is decided otherwise below.
    fn set_fields(&self, to: &mut Passed, has_disposition: bool) {
        for (name, value) in self.outgoing.route.set_fields() {
            let is_decided = is_contained(name) || has_disposition && name == "content-disposition";
            if !is_decided {
                to.add(name, value.as_bytes());
            }
        }
    }

    /// The cookies that the route lists, bound to our host; never ours, never one with a prefix (PX-11).
    fn pass_cookies(&self, to: &mut Passed) {
        let outgoing = self.outgoing;
        let listed = &outgoing.route.config().response_cookies;
        if listed.is_empty() || outgoing.route.drops("set-cookie") {
            return;
        }
        for line in self.fields.get_all("set-cookie").filter_map(text) {
            let Some((name, _)) = line.split(';').next().and_then(|pair| pair.split_once('='))
            else {
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
            to.add("set-cookie", without_domain(line).as_bytes());
        }
    }

    /// A redirect that leads out of the route is an error; elsewhere (201) the field alone is dropped.
    fn pass_locations(&self, status: StatusCode, to: &mut Passed) -> Result<(), ProxyError> {
        let route = self.outgoing.route;
        let is_there = |name| self.fields.has(name) && !route.drops(name) && !route.replaces(name);
        if is_there("location") {
            match self.translated("location") {
                Some(location) => to.add("location", location.as_bytes()),
                None if status.is_redirection() => {
                    return Err(ProxyError::Invalid("the upstream redirects out of its route"));
                }
                None => {}
            }
        }
        if is_there("content-location")
            && let Some(location) = self.translated("content-location")
        {
            to.add("content-location", location.as_bytes());
        }
        Ok(())
    }

    fn translated(&self, name: &str) -> Option<String> {
        let mut lines = self.fields.get_all(name);
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let Outgoing { route, path, public, .. } = self.outgoing;
        translate(text(line)?, &route.upstream_path(path), route, public)
    }

    /// Keeps the answer from being a page, a script or a frame of the origin it comes from, and adds what every answer of ours has.
    fn contain(&self, to: &mut Passed) {
        let Outgoing { route, public, sibling_spa, .. } = self.outgoing;
        to.add_lines(SANDBOXED);
        to.add_lines(if *sibling_spa { OF_THE_SITE } else { OF_THE_ORIGIN });
        for (name, value) in headers::of_passed(public.https) {
            if route.sets(name).is_none() {
                to.pass(name, value.as_bytes());
            }
        }
    }
}

/// Set by [`Said::contain`], whatever the route says.
fn is_contained(name: &str) -> bool {
    matches!(
        name,
        "x-content-type-options" | "content-security-policy" | "cross-origin-resource-policy"
    )
}

/// The line without `Domain`: the upstream's domain is not ours, and a wider one would reach sibling hosts.
fn without_domain(line: &str) -> String {
    let kept = line.split(';').filter(|attribute| {
        let name = attribute.split('=').next().unwrap_or("").trim();
        !name.eq_ignore_ascii_case("domain")
    });
    kept.collect::<Vec<_>>().join(";")
}

fn with_body(mut head: Passed, from: &Fields, body: Body, link: Link, is_head: bool) -> Reply {
    let status = head.status();
    let may_have_one =
        !is_head && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if may_have_one && link.connection.left(&body) != Some(0) {
        return Reply::Passed(head, BoxBody::new(Download::streaming(body, link)));
    }
    link.release();
    let size = match status {
        StatusCode::NO_CONTENT => BodySize::None,
        StatusCode::NOT_MODIFIED => {
            // The length of what was not sent again; the server leaves it alone under 304.
            if let Some(length) = from.get("content-length") {
                head.add("content-length", length);
            }
            BodySize::None
        }
        _ if is_head => {
            from.get("content-length").and_then(length).map_or(BodySize::None, BodySize::Sized)
        }
        _ => BodySize::Sized(0),
    };
    Reply::Passed(head, BoxBody::new(Download::empty(size)))
}
