//! `[[routes]]`: what is proxied where. No route may stand on an own endpoint, and no two on one path.

use std::time::Duration;

use super::claim_rules::rules;
use super::location::{is_own, parse_path};
use super::quantity::{DAY, HOUR, MINUTE, duration, duration_or_off, rate, size};
use super::raw::{Pairs, RawRoute};
use super::report::{At, every, unique};
use super::token_target::token_target;
use super::trust::upstream;
use super::types::{Rate, RouteConfig};
use super::words::{
    parse_choice, parse_field_name, parse_field_value, parse_foreign_cookie, parse_media_type,
    parse_method, parse_own_field,
};

/// What a proxied answer may be used as. Scripts and workers would run as the app; frames, objects and embeds are
/// shut out by the answer's own policy.
const DESTINATIONS: [&str; 9] =
    ["audio", "document", "font", "image", "json", "manifest", "style", "track", "video"];

/// Turns the list into routes, longest path first. `base_path` is the prefix of the own endpoints, if it is known.
pub(super) fn routes(
    at: &At<'_>,
    raw: &[RawRoute],
    base_path: Option<&str>,
) -> Option<Vec<RouteConfig>> {
    let routes = every(at, raw, |at, raw| route(at, raw, base_path));
    let mut fine = Some(());
    for (index, one) in raw.iter().enumerate() {
        if one.path.is_some() && raw.iter().take(index).any(|earlier| earlier.path == one.path) {
            let at = at.item(index).key("path");
            fine = at
                .fail("another route has this path", "remove one: the longest path wins, no order");
        }
    }
    fine?;
    let mut routes = routes?;
    routes.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
    Some(routes)
}

fn route(at: &At<'_>, raw: &RawRoute, base_path: Option<&str>) -> Option<RouteConfig> {
    const DEST: &str = "use audio, document, font, image, json, manifest, style, track or video; scripts and workers are never proxied";
    let path = path(at, raw, base_path);
    let upstream = upstream(at, raw);
    let list = |name, items: &[String], parse: &dyn Fn(&At<'_>, &String) -> Option<String>| {
        let at = at.key(name);
        let parsed = every(&at, items, parse);
        unique(&at, items).and(parsed)
    };
    let methods = list("methods", &raw.methods, &|at, text| at.take(parse_method(text)));
    let fetch_dest = list("fetch_dest", &raw.fetch_dest, &|at, text| {
        at.take(parse_choice(&DESTINATIONS, DEST, text))
    });
    let inline =
        list("inline_types", &raw.inline_types, &|at, text| at.take(parse_media_type(text)));
    let cookie = |at: &At<'_>, text: &String| at.take(parse_foreign_cookie(text));
    let forward_cookies = list("forward_cookies", &raw.forward_cookies, &cookie);
    let response_cookies = list("response_cookies", &raw.response_cookies, &cookie);
    let field = |at: &At<'_>, text: &String| at.take(parse_field_name(text));
    let forward_headers = list("forward_headers", &raw.forward_headers, &field);
    let drop_response_headers = list("drop_response_headers", &raw.drop_response_headers, &field);
    let set_response_headers =
        set_fields(&at.key("set_response_headers"), &raw.set_response_headers);
    let rules = rules(at, raw, upstream.as_ref());
    let session_rate = session_rate(&at.key("session_rate"), raw);
    let websocket = websocket(&at.key("websocket"), raw);
    let target = token_target(at, raw);
    let body_limit = size(&at.key("body_limit"), &raw.body_limit);
    let waits = waits(at, raw);
    let max_in_flight = in_flight(&at.key("max_in_flight"), raw.max_in_flight);
    let waits = waits?;
    Some(RouteConfig {
        path: path?,
        upstream: upstream?,
        token: raw.token,
        target: target?,
        session_rate: session_rate?,
        rules: rules?,
        methods: methods?,
        strip_prefix: raw.strip_prefix,
        header_free: raw.header_free,
        websocket: websocket?,
        audit: raw.audit,
        close_at: raw.close_at,
        fetch_dest: fetch_dest?,
        inline_types: inline?,
        forward_headers: forward_headers?,
        drop_response_headers: drop_response_headers?,
        set_response_headers: set_response_headers?,
        forward_cookies: forward_cookies?,
        response_cookies: response_cookies?,
        cache_private: raw.cache_private,
        body_limit: body_limit?,
        connect_timeout: waits.connect,
        response_timeout: waits.response,
        idle_timeout: waits.idle,
        total_timeout: waits.total,
        keepalive_timeout: waits.keepalive,
        retry: raw.retry,
        max_in_flight: max_in_flight?,
    })
}

/// The path, which is no own endpoint.
fn path(at: &At<'_>, raw: &RawRoute, base_path: Option<&str>) -> Option<String> {
    let at = at.key("path");
    let text = at.required(raw.path.as_deref(), "write it like \"/api/orders\"")?;
    let path = at.take(parse_path(text))?;
    if base_path.is_some_and(|base| is_own(&path, base)) {
        let mend = "choose another path, or move the own endpoints with app.base_path";
        return at.fail("is one of the own endpoints, or below one", mend);
    }
    Some(path)
}

fn in_flight(at: &At<'_>, most: u32) -> Option<u32> {
    if (1..=1_000_000).contains(&most) {
        return Some(most);
    }
    at.fail("out of bounds", "write 1 to 1000000")
}

#[expect(clippy::option_option, reason = "a problem was noted, no limit, or a limit")]
fn session_rate(at: &At<'_>, raw: &RawRoute) -> Option<Option<Rate>> {
    let limit = rate(at, &raw.session_rate)?;
    if limit.is_some() && !raw.token.needs_session() {
        return at.fail("needs a session", "remove it, or set token = \"login\"");
    }
    Some(limit)
}

struct Waits {
    connect: Duration,
    response: Duration,
    idle: Option<Duration>,
    total: Option<Duration>,
    keepalive: Duration,
}

fn waits(at: &At<'_>, raw: &RawRoute) -> Option<Waits> {
    let connect = duration(&at.key("connect_timeout"), &raw.connect_timeout, 1..=MINUTE);
    let response = duration(&at.key("response_timeout"), &raw.response_timeout, 1..=HOUR);
    let idle = duration_or_off(&at.key("idle_timeout"), &raw.idle_timeout, 1..=DAY);
    let total = duration_or_off(&at.key("total_timeout"), &raw.total_timeout, 1..=DAY);
    let keepalive = duration(&at.key("keepalive_timeout"), &raw.keepalive_timeout, 1..=HOUR);
    Some(Waits {
        connect: connect?,
        response: response?,
        idle: idle?,
        total: total?,
        keepalive: keepalive?,
    })
}

fn set_fields(at: &At<'_>, raw: &Pairs) -> Option<Vec<(String, String)>> {
    let fields: Vec<Option<(String, String)>> = raw
        .iter()
        .map(|(name, value)| {
            let at = at.key(name);
            let name = at.take(parse_own_field(name));
            let value = at.take(parse_field_value(value));
            Some((name?, value?))
        })
        .collect();
    each_once(at, fields.into_iter().collect::<Option<_>>()?)
}

/// Fields whose names differ: two spellings of one would be two lines, and which of them counts is anybody's guess.
pub(super) fn each_once(
    at: &At<'_>,
    fields: Vec<(String, String)>,
) -> Option<Vec<(String, String)>> {
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|two| matches!(two, [a, b] if a == b)) {
        return at.fail("names a field twice, in two spellings", "keep one of them");
    }
    Some(fields)
}

/// A WebSocket's handshake is a GET, and it needs a session, always.
fn websocket(at: &At<'_>, raw: &RawRoute) -> Option<bool> {
    if raw.websocket && !raw.token.needs_session() {
        return at.fail("needs a session", "remove it, or set token = \"login\"");
    }
    if raw.websocket && !raw.methods.is_empty() && !raw.methods.iter().any(|name| name == "GET") {
        return at.fail("needs GET", "add \"GET\" to methods: a handshake is a GET");
    }
    if raw.websocket && raw.http2 {
        let mend = "make a route of its own for the WebSocket, without http2";
        return at.fail("WebSockets go over HTTP/1.1", mend);
    }
    Some(raw.websocket)
}
