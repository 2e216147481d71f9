//! One request of a browser, its head as it came: what handlers decide by. Decides nothing, and changes nothing of it.

use std::net::IpAddr;

use http::{Method, Uri, Version};

use crate::http1::{Fields, RequestHead};

/// A request without its body.
pub struct Request {
    method: Method,
    uri: Uri,
    version: Version,
    fields: Fields,
    peer: Option<IpAddr>,
}

impl Request {
    /// From what was read on a connection with `peer`, which has an address unless it is a Unix socket. `None` if the target is none
    /// (RFC 9112 §3.2), or holds bytes that stand in no URI (RFC 3986 §2): what they mean is everybody's guess.
    pub fn new(head: RequestHead, peer: Option<IpAddr>) -> Option<Self> {
        let RequestHead { method, target, version, fields } = head;
        if !target.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let uri = Uri::from_maybe_shared(target).ok()?;
        Some(Self { method, uri, version, fields, peer })
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The target. It names a host only if the request line does.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The path of the target; empty if it has none.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The query as it came, without its mark; empty if there is none.
    pub fn query_string(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        self.version
    }

    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Who is on the other end of the connection.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// A request of a test.
    #[cfg(test)]
    pub fn test(method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let head = RequestHead {
            method: method.parse().unwrap(),
            target: target.to_owned().into(),
            version: Version::HTTP_11,
            fields: Fields::copied(fields),
        };
        Self::new(head, None).unwrap()
    }

    /// The same over another version of HTTP.
    #[cfg(test)]
    pub fn over(mut self, version: Version) -> Self {
        self.version = version;
        self
    }
}
