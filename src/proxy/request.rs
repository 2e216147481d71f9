//! Builds the head of the upstream request. Order matters: first everything that must not pass is left out, hop-by-hop
//! fields and whatever `Connection` names among it, then our own fields are added (RFC 9110 §7.6.1).
//! Never changes the query: it goes on byte for byte, or the request is refused.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HeaderMap, TRANSFER_ENCODING};
use http::header::{HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Uri};
use percent_encoding::percent_decode;

use super::Outgoing;
use super::error::ProxyError;
use super::route::Route;
use super::upload::Framing;
use super::values::Values;
use super::{fields, identity, proof, upgrade};
use crate::config::TokenSource;
use crate::edge::Request as Asked;
use crate::oidc::Dpop;
use crate::secret::Secret;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");
/// Room for the fields that we add, and for the values of most heads, beside the token. More is fine, and costs an allocation.
const OWN_FIELDS: usize = 10;
const MOST_VALUES: usize = 1024;

/// Refuses what cannot be forwarded at all: a WebSocket handshake, a method in disguise, a second token in the query.
pub fn refuse(request: &Asked, route: &Route) -> Result<(), ProxyError> {
    if upgrade::asks_for_websocket(request) {
        return Err(ProxyError::Upgrade);
    }
    refuse_any(request, route)
}

/// The same, for a WebSocket handshake.
pub fn refuse_any(request: &Asked, route: &Route) -> Result<(), ProxyError> {
    refuse_disguise(request, route)?;
    // RFC 6750 §2.3 lets a token travel in the query; beside ours it would confuse upstream and logs alike (PX-04).
    if request.uri().query().is_some_and(holds_a_token) {
        return Err(ProxyError::BadRequest("an access token must not be in the query"));
    }
    Ok(())
}

/// Frameworks take the method from such a field, past the route's list and past the guard, which has let a GET in without
/// the CSRF header. So only a POST may carry one, and only for a method that the route serves (PX-02).
fn refuse_disguise(request: &Asked, route: &Route) -> Result<(), ProxyError> {
    for (_, value) in request.fields().iter().filter(|(name, _)| fields::names_a_method(name)) {
        if request.method() != Method::POST {
            return Err(ProxyError::BadRequest("only POST may carry another method in a field"));
        }
        route.admit(&String::from_utf8_lossy(value).trim().to_ascii_uppercase())?;
    }
    Ok(())
}

/// Whether an OPTIONS request is to be answered here: its `Max-Forwards` is used up (RFC 9110 §7.6.2).
pub fn ends_here(request: &Asked) -> bool {
    request.method() == Method::OPTIONS && max_forwards(request) == Some(0)
}

/// The head for the upstream.
pub fn head(
    request: &Asked,
    outgoing: &Outgoing<'_>,
    framing: Framing,
) -> Result<Request<()>, ProxyError> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = target(request, outgoing)?;
    let http2 = outgoing.route.upstream().http2;
    let headers = head.headers_mut();
    headers.reserve(request.fields().len() + OWN_FIELDS);
    let token = match (outgoing.route.config().token, outgoing.access_token) {
        (TokenSource::None, _) => None,
        (_, token) => token,
    };
    let token_length = token.map_or(0, |token| token.expose().len());
    let mut values = Values::with_room(MOST_VALUES + token_length);
    pass_fields(request, outgoing, headers, &mut values)?;
    forward_cookies(request, outgoing, headers)?;
    identity::set(headers, outgoing, request.version(), &mut values)?;
    frame(headers, framing, http2);
    if let Some((trace, call)) = &outgoing.trace
        && let Some(value) = values.upstream(trace.traceparent(call).as_bytes())
    {
        headers.insert(TRACEPARENT, value);
    }
    if request.method() == Method::OPTIONS
        && let Some(left) = max_forwards(request)
    {
        headers.insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, credential(token, outgoing.dpop, &mut values)?);
        if let Some(dpop) = outgoing.dpop {
            let proof = proof::of(dpop, outgoing.route.upstream(), &head, token)?;
            head.headers_mut().insert(proof::FIELD, proof);
        }
    }
    Ok(head)
}

/// Prefix, path, and the raw query: in origin form, or with scheme and authority where HTTP/2 has fields for them
/// (RFC 9113 §8.3.1).
fn target(request: &Asked, outgoing: &Outgoing<'_>) -> Result<Uri, ProxyError> {
    const NO_TARGET: ProxyError = ProxyError::BadRequest("the request target cannot be forwarded");
    let target = outgoing.route.upstream_target(outgoing.path, request.uri().query());
    let target = PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| NO_TARGET)?;
    let upstream = outgoing.route.upstream();
    if !upstream.http2 {
        return Ok(Uri::from(target));
    }
    let whole = Uri::builder()
        .scheme(if upstream.tls { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(upstream.authority.as_str())
        .path_and_query(target);
    whole.build().map_err(|_| NO_TARGET)
}

fn pass_fields(
    request: &Asked,
    outgoing: &Outgoing<'_>,
    headers: &mut HeaderMap,
    values: &mut Values,
) -> Result<(), ProxyError> {
    let named = fields::connection_options(request.fields().get_all("connection"))
        .ok_or(ProxyError::BadRequest("too many connection options"))?;
    for (name, value) in request.fields().iter() {
        if fields::is_hop_by_hop(name)
            || fields::stops_upstream(name)
            || name == outgoing.csrf_header
            || !outgoing.route.forwards(name)
            || named.iter().any(|option| option == name)
            || is_replaced(name, outgoing)
            || outgoing.claim_fields.iter().any(|ours| fields::spells(name, ours))
        {
            continue;
        }
        let (Ok(name), Some(value)) =
            (HeaderName::from_bytes(name.as_bytes()), values.upstream(value))
        else {
            return Err(ProxyError::BadRequest("a header field cannot be forwarded"));
        };
        headers.append(name, value);
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
    request: &Asked,
    outgoing: &Outgoing<'_>,
    headers: &mut HeaderMap,
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
        let line = HeaderValue::from_maybe_shared(Bytes::from(line))
            .map_err(|_| ProxyError::BadRequest("a cookie cannot be forwarded"))?;
        headers.insert(COOKIE, line);
    }
    Ok(())
}

/// Fresh framing, from how the body was framed on its way in.
fn frame(headers: &mut HeaderMap, framing: Framing, http2: bool) {
    match framing {
        Framing::None => {}
        // Its frames say where the body ends (RFC 9113 §8.2.2).
        Framing::Chunked if http2 => {}
        Framing::Sized(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Framing::Chunked => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// The one copy of the token that a call makes.
fn credential(
    token: &Secret<String>,
    dpop: Option<&Dpop>,
    values: &mut Values,
) -> Result<HeaderValue, ProxyError> {
    let scheme: &[u8] = if dpop.is_some() { b"DPoP " } else { b"Bearer " };
    let mut value = values
        .join(&[scheme, token.expose().as_bytes()])
        .ok_or(ProxyError::Invalid("the access token is no field value"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn max_forwards(request: &Asked) -> Option<u32> {
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
