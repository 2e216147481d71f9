//! Builds the head of the upstream request. Order matters: first everything that must not pass is left out, hop-by-hop
//! fields and whatever `Connection` names among it, then our own fields are added (RFC 9110 §7.6.1).
//! Never changes the query: it goes on byte for byte, or the request is refused.

use http::Method;
use percent_encoding::percent_decode;

use super::Outgoing;
use super::error::ProxyError;
use super::head::{Head, NoValue};
use super::route::Route;
use super::upload::Framing;
use super::{fields, identity, proof, upgrade};
use crate::config::TokenSource;
use crate::edge::Request;

/// Room for the fields of most heads and for ours, beside the token. More is fine, and costs an allocation.
const MOST_FIELDS: usize = 2048;

/// Refuses what cannot be forwarded at all: a WebSocket handshake, a method in disguise, a second token in the query.
pub fn refuse(request: &Request, route: &Route) -> Result<(), ProxyError> {
    if upgrade::asks_for_websocket(request) {
        return Err(ProxyError::Upgrade);
    }
    refuse_any(request, route)
}

/// The same, for a WebSocket handshake.
pub fn refuse_any(request: &Request, route: &Route) -> Result<(), ProxyError> {
    refuse_disguise(request, route)?;
    // RFC 6750 §2.3 lets a token travel in the query; beside ours it would confuse upstream and logs alike (PX-04).
    if request.uri().query().is_some_and(holds_a_token) {
        return Err(ProxyError::BadRequest("an access token must not be in the query"));
    }
    Ok(())
}

/// Frameworks take the method from such a field, past the route's list and past the guard, which has let a GET in without
/// the CSRF header. So only a POST may carry one, and only for a method that the route serves (PX-02).
fn refuse_disguise(request: &Request, route: &Route) -> Result<(), ProxyError> {
    for (_, value) in request.fields().iter().filter(|(name, _)| fields::names_a_method(name)) {
        if request.method() != Method::POST {
            return Err(ProxyError::BadRequest("only POST may carry another method in a field"));
        }
        route.admit(&String::from_utf8_lossy(value).trim().to_ascii_uppercase())?;
    }
    Ok(())
}

/// Whether an OPTIONS request is to be answered here: its `Max-Forwards` is used up (RFC 9110 §7.6.2).
pub fn ends_here(request: &Request) -> bool {
    request.method() == Method::OPTIONS && max_forwards(request) == Some(0)
}

/// The head for the upstream, written into `room`, which is empty.
pub fn head(
    request: &Request,
    outgoing: &Outgoing<'_>,
    framing: Framing,
    room: Vec<u8>,
) -> Result<Head, ProxyError> {
    let token = match (outgoing.route.config().token, outgoing.access_token) {
        (TokenSource::None, _) => None,
        (_, token) => token,
    };
    let mut head = begin(request, outgoing, room, token.map_or(0, |token| token.expose().len()))?;
    identity::host(&mut head, outgoing);
    pass_fields(request, outgoing, &mut head)?;
    forward_cookies(request, outgoing, &mut head)?;
    identity::set(&mut head, outgoing, request.version())?;
    frame(&mut head, framing);
    if let Some((trace, call)) = &outgoing.trace {
        let added = head.add("traceparent", trace.traceparent(call).as_bytes());
        added.map_err(|NoValue| ProxyError::BadRequest("a field of ours is no text"))?;
    }
    if request.method() == Method::OPTIONS
        && let Some(left) = max_forwards(request)
    {
        head.add_number("max-forwards", u64::from(left.saturating_sub(1)));
    }
    if let Some(token) = token {
        let scheme: &[u8] = if outgoing.dpop.is_some() { b"DPoP " } else { b"Bearer " };
        // The one copy of the token that a call makes.
        head.join("authorization", &[scheme, token.expose().as_bytes()])
            .map_err(|NoValue| ProxyError::Invalid("the access token is no field value"))?;
        if let Some(dpop) = outgoing.dpop {
            proof::add(dpop, outgoing.route.upstream(), &mut head, token)?;
        }
    }
    Ok(head)
}

/// Method, prefix, path, and the raw query; with room for all that follows, a token of so many bytes among it.
fn begin(
    request: &Request,
    outgoing: &Outgoing<'_>,
    mut room: Vec<u8>,
    token: usize,
) -> Result<Head, ProxyError> {
    room.reserve(MOST_FIELDS + token);
    let target = outgoing.route.upstream_target(outgoing.path, request.uri().query());
    Head::new(room, request.method(), &target)
        .map_err(|NoValue| ProxyError::BadRequest("the request target cannot be forwarded"))
}

fn pass_fields(
    request: &Request,
    outgoing: &Outgoing<'_>,
    head: &mut Head,
) -> Result<(), ProxyError> {
    let named = fields::connection_options(request.fields().get_all("connection"))
        .ok_or(ProxyError::BadRequest("too many connection options"))?;
    for (name, value) in request.fields().iter() {
        if !fields::goes_up(name)
            || name == outgoing.csrf_header
            || !outgoing.route.forwards(name)
            || named.iter().any(|option| option == name)
            || is_replaced(name, outgoing)
            || outgoing.claim_fields.iter().any(|ours| fields::spells(name, ours))
        {
            continue;
        }
        head.pass(name, value);
    }
    Ok(())
}

/// Where traces are made, the field that says so is ours; what belongs to a `traceparent` that was none goes with it
/// (W3C Trace Context §3.3).
fn is_replaced(name: &str, outgoing: &Outgoing<'_>) -> bool {
    outgoing.trace.as_ref().is_some_and(|(trace, _)| {
        name == "traceparent" || (name == "tracestate" && !trace.goes_on())
    })
}

/// The cookies that the route lists, in one line; ours never (PX-03).
fn forward_cookies(
    request: &Request,
    outgoing: &Outgoing<'_>,
    head: &mut Head,
) -> Result<(), ProxyError> {
    let listed = &outgoing.route.config().forward_cookies;
    if listed.is_empty() {
        return Ok(());
    }
    let mut line = Vec::new();
    let pairs = request
        .fields()
        .get_all("cookie")
        .flat_map(|value| value.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii);
    for pair in pairs {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        let passes = std::str::from_utf8(name).is_ok_and(|name| {
            !(outgoing.is_ours)(name) && listed.iter().any(|listed| listed == name)
        });
        if passes {
            if !line.is_empty() {
                line.extend_from_slice(b"; ");
            }
            line.extend_from_slice(pair);
        }
    }
    if !line.is_empty() {
        head.add("cookie", &line)
            .map_err(|NoValue| ProxyError::BadRequest("a cookie cannot be forwarded"))?;
    }
    Ok(())
}

/// Fresh framing, from how the body was framed on its way in.
fn frame(head: &mut Head, framing: Framing) {
    match framing {
        Framing::None => {}
        Framing::Sized(length) => head.add_number("content-length", length),
        Framing::Chunked => head.add_own("transfer-encoding", "chunked"),
    }
}

fn max_forwards(request: &Request) -> Option<u32> {
    request.fields().text("max-forwards")?.trim().parse().ok()
}

/// Whether a parameter is called `access_token` for whatever reader: decoded, without case, and with the characters
/// that PHP turns into an underscore.
fn holds_a_token(query: &str) -> bool {
    query.as_bytes().split(|byte| matches!(byte, b'&' | b';')).any(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let mut decoded = percent_decode(name).map(|byte| match byte {
            b'.' | b'+' | b' ' | b'[' => b'_',
            other => other.to_ascii_lowercase(),
        });
        let mut expected = b"access_token".iter().copied();
        expected.all(|byte| decoded.next() == Some(byte))
            && matches!(decoded.next(), None | Some(b'_'))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::holds_a_token;

    // proves: PX-04
    #[rstest]
    #[case("access_token=x", true)]
    #[case("a=1&access_token=x", true)]
    #[case("a=1;access_token", true)]
    #[case("%61ccess%5ftoken=x", true)]
    #[case("Access_Token=x", true)]
    #[case("access.token=x", true)]
    #[case("access_token[]=x", true)]
    #[case("access_token_hash=x", true)]
    #[case("access_tokens=x", false)]
    #[case("q=access_token", false)]
    #[case("my_access_token=x", false)]
    #[case("", false)]
    fn a_token_in_the_query_is_found_however_it_is_written(
        #[case] query: &str,
        #[case] found: bool,
    ) {
        assert_eq!(holds_a_token(query), found);
    }
}
