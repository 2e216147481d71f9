//! What the head of a request says of its message: where the body ends, what becomes of the connection. Pure. Never mends what two
//! readers could read in two ways: it is refused (RFC 9112 §6.3, §11.2).

use http::{Method, Version};

use super::Refusal;
use crate::http1::{Decoder, RequestHead, length, lists};

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    KeepAlive,
    Close,
    /// The client offers to speak something else.
    Upgrade,
}

/// What holds for one request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub persistence: Persistence,
    /// The answer has no body, whatever its head says.
    pub is_head: bool,
    /// No chunks, and no connection that is kept unsaid.
    pub is_http10: bool,
    pub expects_continue: bool,
}

/// Reads the terms of a request, and the framing of its body if it has one.
pub(super) fn judge(head: &RequestHead) -> Result<(Terms, Option<Decoder>), Refusal> {
    let is_http10 = head.version == Version::HTTP_10;
    let mut said = Said::default();
    for (name, value) in head.fields.iter() {
        match name {
            "content-length" => said.length(value)?,
            // RFC 9112 §6.1: a coding in HTTP/1.0 is a sign of somebody in between who did not understand it.
            "transfer-encoding" if is_http10 => return Err(Refusal::Malformed),
            "transfer-encoding" => said.coding(value)?,
            // RFC 9112 §3.2.
            "host" if said.host => return Err(Refusal::Malformed),
            "host" => said.host = true,
            "connection" => said.options(value),
            "upgrade" => said.websocket |= value.eq_ignore_ascii_case(b"websocket"),
            "expect" if !is_http10 => said.expects |= lists(value, b"100-continue"),
            _ => {}
        }
    }
    if !said.host && !is_http10 || said.chunked && said.length.is_some() {
        return Err(Refusal::Malformed);
    }
    let terms = Terms {
        persistence: said.persistence(is_http10),
        is_head: head.method == Method::HEAD,
        is_http10,
        expects_continue: said.expects,
    };
    Ok((terms, said.body(&head.method, is_http10)?))
}

/// What fields said so far.
#[derive(Default)]
struct Said {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    websocket: bool,
    expects: bool,
    close: bool,
    upgrade: bool,
    keep_alive: bool,
}

impl Said {
    /// Digits, once (RFC 9112 §6.3: a list, even of the same number, is an error that may be mended, and is not).
    fn length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let length = length(value).filter(|_| self.length.is_none());
        self.length = Some(length.ok_or(Refusal::Malformed)?);
        Ok(())
    }

    /// `chunked` and nothing else, once: no other coding is understood, and two would have to be undone in order.
    fn coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::Malformed);
        }
        self.chunked = true;
        Ok(())
    }

    fn options(&mut self, value: &[u8]) {
        self.close |= lists(value, b"close");
        self.upgrade |= lists(value, b"upgrade");
        self.keep_alive |= lists(value, b"keep-alive");
    }

    fn persistence(&self, is_http10: bool) -> Persistence {
        if self.close {
            Persistence::Close
        } else if self.upgrade {
            Persistence::Upgrade
        } else if is_http10 && !self.keep_alive {
            Persistence::Close
        } else {
            Persistence::KeepAlive
        }
    }

    fn body(&self, method: &Method, is_http10: bool) -> Result<Option<Decoder>, Refusal> {
        Ok(match self.length {
            _ if self.chunked => Some(Decoder::CHUNKED),
            // What follows may be frames already, and none of it may be taken for a request: raw bytes, whatever else is said.
            _ if self.websocket || method == Method::CONNECT => Some(Decoder::UntilClose),
            Some(0) => None,
            Some(length) => Some(Decoder::Length(length)),
            // RFC 1945 §7.2.2: it has a body, and nobody knows which.
            None if is_http10 && method == Method::POST => return Err(Refusal::Malformed),
            None => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use rstest::rstest;

    use super::*;
    use crate::http1::read_request;

    fn read(text: &str) -> Result<(Terms, Option<Decoder>), Refusal> {
        let text = text.replace('\n', "\r\n") + "\r\n\r\n";
        judge(&read_request(&mut BytesMut::from(text.as_str())).unwrap().unwrap())
    }

    // proves: PX-07
    #[rstest]
    #[case("Content-Length: +1")]
    #[case("Content-Length: -1")]
    #[case("Content-Length: 1, 1")]
    #[case("Content-Length: 0x1")]
    #[case("Content-Length:")]
    #[case("Content-Length: 18446744073709551616")]
    #[case("Content-Length: 1\nContent-Length: 1")]
    #[case("Content-Length: 0\nContent-Length: 0")]
    #[case("Content-Length: 1\nTransfer-Encoding: chunked")]
    #[case("Transfer-Encoding: chunked\nContent-Length: 0")]
    #[case("Transfer-Encoding: identity")]
    #[case("Transfer-Encoding: gzip, chunked")]
    #[case("Transfer-Encoding: chunked, chunked")]
    #[case("Transfer-Encoding: chunked\nTransfer-Encoding: chunked")]
    #[case("Transfer-Encoding: xchunked")]
    #[case("Transfer-Encoding:")]
    #[case("Host: b")]
    fn what_has_two_readings_is_refused(#[case] fields: &str) {
        assert_eq!(
            read(&format!("POST / HTTP/1.1\nHost: a\n{fields}")).err(),
            Some(Refusal::Malformed)
        );
    }

    #[rstest]
    #[case("GET / HTTP/1.1")]
    #[case("POST / HTTP/1.0")]
    #[case("POST / HTTP/1.0\nTransfer-Encoding: chunked")]
    fn what_lacks_something_is_refused(#[case] head: &str) {
        assert_eq!(read(head).err(), Some(Refusal::Malformed));
    }

    #[rstest]
    #[case("GET / HTTP/1.1\nHost: a", None)]
    #[case("POST / HTTP/1.1\nHost: a\nContent-Length: 0", None)]
    #[case("POST / HTTP/1.1\nHost: a\nContent-Length: 007", Some(Decoder::Length(7)))]
    #[case("GET / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked", Some(Decoder::CHUNKED))]
    #[case("POST / HTTP/1.0\nContent-Length: 7", Some(Decoder::Length(7)))]
    #[case("GET / HTTP/1.1\nHost: a\nUpgrade: WebSocket", Some(Decoder::UntilClose))]
    #[case(
        "POST / HTTP/1.1\nHost: a\nUpgrade: websocket\nContent-Length: 7",
        Some(Decoder::UntilClose)
    )]
    #[case("GET / HTTP/1.1\nHost: a\nUpgrade: h2c", None)]
    #[case("CONNECT a:1 HTTP/1.1\nHost: a", Some(Decoder::UntilClose))]
    fn a_body_is_framed_in_one_way(#[case] head: &str, #[case] body: Option<Decoder>) {
        assert_eq!(read(head).unwrap().1, body);
    }

    #[rstest]
    #[case("GET / HTTP/1.1\nHost: a", Persistence::KeepAlive)]
    #[case("GET / HTTP/1.1\nHost: a\nConnection: x, Close", Persistence::Close)]
    #[case("GET / HTTP/1.1\nHost: a\nConnection: upgrade, close", Persistence::Close)]
    #[case("GET / HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade", Persistence::Upgrade)]
    #[case("GET / HTTP/1.0", Persistence::Close)]
    #[case("GET / HTTP/1.0\nConnection: Keep-Alive", Persistence::KeepAlive)]
    fn a_connection_is_kept_as_the_client_says(#[case] head: &str, #[case] then: Persistence) {
        assert_eq!(read(head).unwrap().0.persistence, then);
    }

    #[test]
    fn only_http_1_1_knows_interim_answers() {
        let expects = |head: &str| read(head).unwrap().0.expects_continue;
        assert!(expects("GET / HTTP/1.1\nHost: a\nExpect: x, 100-Continue"));
        assert!(!expects("GET / HTTP/1.1\nHost: a\nExpect: 100"));
        assert!(!expects("GET / HTTP/1.0\nExpect: 100-continue"));
    }
}
