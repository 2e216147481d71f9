//! The head of a request to an upstream, written as HTTP/1.1 says it (RFC 9112 §3, §5). Checks every value: what would end a line stands in
//! none, and is refused, never mended.

use std::net::IpAddr;

use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Uri};

use super::error::ProxyError;
use crate::config::Upstream;
use crate::http1::{LINE_END, is_value, put_field, put_number};

/// A value is no field value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoValue;

/// A head that fields are still added to. Holds the token, so it is never printed.
pub struct Head {
    method: Method,
    /// Request line and field lines, without the empty line at their end.
    bytes: Vec<u8>,
    /// Where the target ends in `bytes`, and the field lines begin.
    target_end: usize,
    lines: usize,
}

impl Head {
    /// Written into `bytes`, which is empty and may have room for all fields: more cost an allocation. `target` is in origin form, in pieces.
    pub fn new(mut bytes: Vec<u8>, method: &Method, target: &[&str]) -> Result<Self, NoValue> {
        bytes.extend_from_slice(method.as_str().as_bytes());
        bytes.push(b' ');
        let target_start = bytes.len();
        for piece in target {
            bytes.extend_from_slice(piece.as_bytes());
        }
        let target_end = bytes.len();
        // A blank would end it, and a line end the line.
        let target = bytes.get(target_start..).unwrap_or_default();
        let is_one = target.first() == Some(&b'/')
            && target.iter().all(|byte| matches!(byte, b'!'..=b'~' | 0x80..));
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        let lines = bytes.len();
        if is_one {
            Ok(Self { method: method.clone(), bytes, target_end, lines })
        } else {
            Err(NoValue)
        }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        let target = self.bytes.get(self.method.as_str().len() + 1..self.target_end);
        target.and_then(|target| std::str::from_utf8(target).ok()).unwrap_or_default()
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// Adds a field. `name` is a token in lower case.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), NoValue> {
        self.join(name, &[value])
    }

    /// Adds a field as it stands in the head of a request, or in our configuration: its reader has let nothing through that would end
    /// a line. Or one that we have written ourselves.
    pub fn pass(&mut self, name: &str, value: &[u8]) {
        self.pass_joined(name, &[value]);
    }

    /// The same, in pieces.
    pub fn pass_joined(&mut self, name: &str, pieces: &[&[u8]]) {
        put_field(&mut self.bytes, name, pieces);
    }

    /// Adds a field whose value is in pieces.
    pub fn join(&mut self, name: &str, pieces: &[&[u8]]) -> Result<(), NoValue> {
        if !pieces.iter().all(|piece| is_value(piece)) {
            return Err(NoValue);
        }
        self.pass_joined(name, pieces);
        Ok(())
    }

    /// Adds a field that stands in this program.
    pub fn add_own(&mut self, name: &'static str, value: &'static str) {
        self.pass(name, value.as_bytes());
    }

    /// Adds lines that stand in this program, each with its end.
    pub fn add_lines(&mut self, lines: &'static str) {
        self.bytes.extend_from_slice(lines.as_bytes());
    }

    /// Adds a field with a number.
    pub fn add_number(&mut self, name: &'static str, number: u64) {
        put_number(&mut self.bytes, name, number);
    }

    /// The whole head, as it goes over HTTP/1.1.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(LINE_END);
        self.bytes
    }

    /// The same head for HTTP/2, which has fields of its own for scheme and authority (RFC 9113 §8.3.1) and says in its frames where
    /// a body ends.
    pub fn for_http2(self, upstream: &Upstream) -> Result<Request<()>, ProxyError> {
        const UNFIT: ProxyError = ProxyError::BadRequest("the request cannot be sent over HTTP/2");
        let target = PathAndQuery::try_from(self.target()).map_err(|_| UNFIT)?;
        let uri = Uri::builder()
            .scheme(if upstream.tls { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(upstream.authority.as_str())
            .path_and_query(target);
        let mut request = Request::new(());
        *request.uri_mut() = uri.build().map_err(|_| UNFIT)?;
        for (name, value) in self.fields() {
            let (name, value) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
            let (name, mut value) = (name.map_err(|_| UNFIT)?, value.map_err(|_| UNFIT)?);
            if name == HOST || name == http::header::TRANSFER_ENCODING {
                continue;
            }
            // Not to be kept in tables that many requests share.
            value.set_sensitive(matches!(name.as_str(), "authorization" | "dpop"));
            request.headers_mut().append(name, value);
        }
        *request.method_mut() = self.method;
        Ok(request)
    }

    /// Names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.bytes.get(self.lines..).unwrap_or_default();
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\r', rest)?;
            let line = rest.get(..end)?;
            rest = rest.get(end + 2..)?;
            let colon = memchr::memchr(b':', line)?;
            Some((line.get(..colon)?, line.get(colon + 2..)?))
        })
    }
}

/// An address, written out.
pub struct Address {
    text: [u8; 45],
    length: usize,
}

impl Address {
    /// Every call writes one, and the library's way costs five times as much.
    pub fn of(address: IpAddr) -> Self {
        let mut written = Self { text: [0; 45], length: 0 };
        match address {
            IpAddr::V4(address) => {
                for (at, byte) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        written.push(b'.');
                    }
                    written.decimal(byte);
                }
            }
            IpAddr::V6(address) => address.to_string().bytes().for_each(|byte| written.push(byte)),
        }
        written
    }

    /// Its text.
    pub fn bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn decimal(&mut self, byte: u8) {
        if byte >= 100 {
            self.push(b'0' + byte / 100);
        }
        if byte >= 10 {
            self.push(b'0' + byte / 10 % 10);
        }
        self.push(b'0' + byte % 10);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> Head {
        let mut head = Head::new(Vec::new(), &Method::POST, &["/a", "/b?", "c=d"]).unwrap();
        head.add_own("host", "orders:8080");
        head.add("x-raw", b"\xe4\tb").unwrap();
        head.join("authorization", &[b"Bearer ", b"a-long-token"]).unwrap();
        head.add_number("content-length", 17);
        head.add_own("transfer-encoding", "chunked");
        head
    }

    #[test]
    fn a_head_is_written_line_by_line() {
        assert_eq!((head().target(), head().path()), ("/a/b?c=d", "/a/b"));
        assert_eq!(
            &head().finish()[..],
            b"POST /a/b?c=d HTTP/1.1\r\nhost: orders:8080\r\nx-raw: \xe4\tb\r\n\
              authorization: Bearer a-long-token\r\ncontent-length: 17\r\n\
              transfer-encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn over_http2_host_and_framing_are_no_fields() {
        let mut upstream = crate::proxy::route::tests::local(8080).upstream().as_ref().clone();
        upstream.tls = true;
        let request = head().for_http2(&upstream).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri().to_string(), format!("https://{}/a/b?c=d", upstream.authority));
        let fields: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let expected: [(&str, &[u8]); 3] = [
            ("x-raw", b"\xe4\tb"),
            ("authorization", b"Bearer a-long-token"),
            ("content-length", b"17"),
        ];
        assert_eq!(fields, expected);
        assert!(request.headers()["authorization"].is_sensitive());
    }

    // proves: PX-08
    #[test]
    fn what_would_end_a_line_is_no_value_and_no_target() {
        for split in ["a\r\nx: b", "a\nb", "a\0b", "\x7f", "a\rb"] {
            assert_eq!(head().add("x", split.as_bytes()), Err(NoValue));
            assert_eq!(head().join("x", &[b"fine", split.as_bytes()]), Err(NoValue));
            assert!(Head::new(Vec::new(), &Method::GET, &["/", split]).is_err());
        }
        for target in ["/a b", "", "a", "/\x7f", "http://x/", "*"] {
            assert!(Head::new(Vec::new(), &Method::GET, &[target]).is_err());
        }
    }

    proptest! {
        #[test]
        fn an_address_is_written_as_everybody_writes_it(address in any::<IpAddr>()) {
            let written = Address::of(address);
            prop_assert_eq!(std::str::from_utf8(written.bytes()).unwrap(), address.to_string());
        }

        #[test]
        fn any_value_is_refused_or_stays_in_its_line(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut head = head();
            let is_fine = head.add("x-any", &value).is_ok();
            prop_assert_eq!(is_fine, HeaderValue::from_bytes(&value).is_ok());
            if is_fine {
                prop_assert_eq!(head.fields().last(), Some((b"x-any".as_slice(), value.as_slice())));
                prop_assert_eq!(head.fields().count(), 6);
            }
        }
    }
}
