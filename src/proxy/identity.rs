//! What an upstream learns about the caller and about us: the address, the public host, that we were in between, and the
//! claims that the route tells.
//! Always made here, from what we know; never taken from the request (PX-06, PX-13).

use http::Version;

use super::Outgoing;
use super::error::ProxyError;
use super::head::{Address, Head, NoValue};

const NO_TEXT: ProxyError = ProxyError::BadRequest("a field of ours is no text");

/// Names the upstream's host, whatever the browser called ours.
pub fn host(head: &mut Head, outgoing: &Outgoing<'_>) {
    head.pass("host", outgoing.route.upstream().authority.as_bytes());
}

/// Adds the other fields; `version` is that of the message received, which `Via` reports (RFC 9110 §7.6.3).
pub fn set(head: &mut Head, outgoing: &Outgoing<'_>, version: Version) -> Result<(), ProxyError> {
    add(head, outgoing, version).map_err(|NoValue| NO_TEXT)
}

fn add(head: &mut Head, outgoing: &Outgoing<'_>, version: Version) -> Result<(), NoValue> {
    let public = outgoing.public;
    let (scheme, scheme_line) = if public.https {
        ("https", "x-forwarded-proto: https\r\n")
    } else {
        ("http", "x-forwarded-proto: http\r\n")
    };
    let client = Address::of(outgoing.client_ip);
    let is_v6 = outgoing.client_ip.is_ipv6();
    head.add_lines(via(version));
    let forwarded = forwarded(client.bytes(), is_v6, public.host.as_bytes(), scheme);
    head.pass_joined("forwarded", &forwarded);
    head.pass("x-forwarded-for", client.bytes());
    head.pass("x-forwarded-host", public.host.as_bytes());
    head.add_lines(scheme_line);
    head.pass("x-request-id", outgoing.request_id.as_bytes());
    for (name, value) in outgoing.told {
        head.add(name, value.as_bytes())?;
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
        Version::HTTP_10 => "via: 1.0 cloakroom\r\n",
        Version::HTTP_2 => "via: 2 cloakroom\r\n",
        _ => "via: 1.1 cloakroom\r\n",
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
