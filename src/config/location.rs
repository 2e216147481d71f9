//! Paths and upstreams. A path is in its one normal form or refused, so that what a route is chosen by and what the
//! upstream sees cannot differ.

use url::Url;

use super::report::{Wrong, wrong};
use super::types::{Address, Upstream};

/// The own endpoints, those of later releases among them, below `base_path`; a route may not stand on or below one.
const OWN: [&str; 10] = [
    "/login",
    "/callback",
    "/session",
    "/sessions",
    "/refresh",
    "/logout",
    "/logged-out",
    "/backchannel-logout",
    "/events",
    "/.well-known/jwks.json",
];

/// What fits into a socket's address on Linux, bytes.
const LONGEST_SOCKET: usize = 107;

/// A path of one or more segments: `/api/orders`.
pub(super) fn parse_path(text: &str) -> Result<String, Wrong> {
    const MEND: &str = "write it like \"/api/orders\"";
    let Some(path) = text.strip_prefix('/') else {
        return wrong("does not start with /", MEND);
    };
    if path.is_empty() {
        return wrong("is the root", MEND);
    }
    if path.ends_with('/') {
        return wrong("ends with a slash", MEND);
    }
    if text.contains('%') {
        return wrong("holds a percent-encoded character", "use characters that need no encoding");
    }
    if path.split('/').any(str::is_empty) {
        return wrong("holds an empty segment", MEND);
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return wrong("holds a dot segment", MEND);
    }
    if !path.bytes().all(is_path_byte) {
        return wrong("holds a character that a path cannot have", MEND);
    }
    Ok(text.to_owned())
}

/// A path prefix that may be the root; the root is `""`.
pub(super) fn parse_prefix(text: &str) -> Result<String, Wrong> {
    if text == "/" { Ok(String::new()) } else { parse_path(text) }
}

/// The path of a page of the SPA: like [`parse_path`], but the root is fine.
pub(super) fn parse_page(text: &str) -> Result<String, Wrong> {
    if text == "/" { Ok(text.to_owned()) } else { parse_path(text) }
}

/// Whether `path` is one of the own endpoints or below one.
pub(super) fn is_own(path: &str, base_path: &str) -> bool {
    let Some(path) = path.strip_prefix(base_path) else { return false };
    OWN.iter().any(|own| {
        path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Where a route goes. Plain HTTP is fine: upstreams are on internal networks.
pub(super) fn parse_upstream(text: &str) -> Result<Upstream, Wrong> {
    const SHAPE: Wrong = Wrong {
        problem: "not an absolute http or https URL without user, query and fragment",
        mend: "write it like \"http://orders:8080\" or \"https://api.example.com/v1\"",
    };
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err(SHAPE),
    };
    let clean = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#\\*".contains(&byte));
    let url = Url::parse(text).map_err(|_| SHAPE)?;
    let host = url.host_str().unwrap_or("");
    let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(SHAPE)?;
    // The path as written: `Url` would resolve dot segments.
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // A host that the URL standard rewrites (capitals, 0x7f.1) is refused: what is written is what is dialled.
    let as_written = authority == host || authority == format!("{host}:{port}");
    if !clean || host.is_empty() || !as_written {
        return Err(SHAPE);
    }
    Ok(Upstream {
        tls,
        authority: url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port,
        prefix: parse_prefix(if path.is_empty() { "/" } else { path })?,
        addresses: Vec::new(),
        trust: None,
        http2: false,
    })
}

/// One of the addresses of an upstream: `host:port`, or `unix:` and an absolute path.
pub(super) fn parse_address(text: &str) -> Result<Address, Wrong> {
    const SHAPE: Wrong = Wrong {
        problem: "neither host and port nor a Unix socket",
        mend: "write it like \"10.0.0.7:8080\", \"orders-2:8080\", \"[2001:db8::7]:8080\" or \"unix:/run/orders.sock\"",
    };
    if let Some(path) = text.strip_prefix("unix:") {
        let is_plain = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
        return if is_plain && path.len() <= LONGEST_SOCKET {
            Ok(Address::Unix(path.into()))
        } else {
            Err(SHAPE)
        };
    }
    // The same grammar as in an upstream, which has a host and a port as well.
    let parsed = parse_upstream(&format!("http://{text}")).map_err(|_| SHAPE)?;
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    match port {
        Some(port) if port == parsed.port && parsed.prefix.is_empty() && !text.contains('/') => {
            Ok(Address::Tcp(parsed.host, port))
        }
        _ => Err(SHAPE),
    }
}

/// RFC 3986 `pchar` without percent-encoding and without `;`, which some servers cut paths at.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&byte)
}
