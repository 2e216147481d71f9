//! What an upstream learns about the caller and about us: the address, the public host, that we were in between, and the
//! claims that the route tells.
//! Always made here, from what we know; never taken from the request (PX-06, PX-13).

use http::Version;
use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, VIA};

use super::Outgoing;
use super::error::ProxyError;
use super::values::Values;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sets the fields; `version` is that of the message received, which `Via` reports (RFC 9110 §7.6.3).
pub fn set(
    headers: &mut HeaderMap,
    outgoing: &Outgoing<'_>,
    version: Version,
    values: &mut Values,
) -> Result<(), ProxyError> {
    const NO_TEXT: ProxyError = ProxyError::BadRequest("a field of ours is no text");
    let public = outgoing.public;
    let scheme = if public.https { "https" } else { "http" };
    let client = outgoing.client_ip;
    let host =
        outgoing.route.host().ok_or(ProxyError::Invalid("the upstream's host is no host"))?;
    // HTTP/2 says it in a field of its own (RFC 9113 §8.3.1).
    if !outgoing.route.upstream().http2 {
        headers.insert(HOST, host.clone());
    }
    headers.insert(VIA, HeaderValue::from_static(via(version)));
    let address = values.address(client).ok_or(NO_TEXT)?;
    let public_host = values.upstream(public.host.as_bytes()).ok_or(NO_TEXT)?;
    let forwarded = forwarded(address.as_bytes(), client.is_ipv6(), public.host.as_bytes(), scheme);
    headers.insert(FORWARDED, values.join(&forwarded).ok_or(NO_TEXT)?);
    headers.insert(X_FORWARDED_FOR, address);
    headers.insert(X_FORWARDED_HOST, public_host);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    let request_id = values.upstream(outgoing.request_id.as_bytes()).ok_or(NO_TEXT)?;
    headers.insert(X_REQUEST_ID, request_id);
    for (name, value) in outgoing.told {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NO_TEXT)?;
        headers.insert(name, values.upstream(value.as_bytes()).ok_or(NO_TEXT)?);
    }
    Ok(())
}

/// RFC 7239 §4, in pieces: IPv6 in brackets, and quotes around what is no token.
fn forwarded<'a>(address: &'a [u8], is_v6: bool, host: &'a [u8], scheme: &'a str) -> [&'a [u8]; 8] {
    let (open, close): (&[u8], &[u8]) = if is_v6 { (b"\"[", b"]\"") } else { (b"", b"") };
    [b"for=", open, address, close, b";host=\"", host, b"\";proto=", scheme.as_bytes()]
}

fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0 cloakroom",
        Version::HTTP_2 => "2 cloakroom",
        _ => "1.1 cloakroom",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_quotes_what_is_no_token() {
        let v4 = forwarded(b"192.0.2.7", false, b"localhost:8080", "http").concat();
        assert_eq!(v4, b"for=192.0.2.7;host=\"localhost:8080\";proto=http");
        let v6 = forwarded(b"2001:db8::1", true, b"app.example", "https").concat();
        assert_eq!(v6, b"for=\"[2001:db8::1]\";host=\"app.example\";proto=https");
    }
}
