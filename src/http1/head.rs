//! Reads the head of a request or an answer out of what has come so far. The parser is httparse's; names with blanks, folded lines
//! and control bytes are errors there.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use httparse::{Header, Status};

use super::fields::Fields;

/// The most fields of a head.
pub const MOST_FIELDS: usize = 96;

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// More fields than are read.
    #[error("the head has too many fields")]
    TooManyFields,
    #[error("the head is not HTTP/1.x: {0}")]
    Malformed(httparse::Error),
}

/// The head of a request.
pub struct RequestHead {
    pub method: http::Method,
    /// The target as it came: visible bytes, no blanks; nothing more is known of it.
    pub target: Bytes,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: http::Version,
    pub fields: Fields,
}

/// The head of an answer.
#[derive(Debug)]
pub struct ResponseHead {
    pub status: http::StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: http::Version,
    pub fields: Fields,
}

type Room<'a> = [MaybeUninit<Header<'a>>; MOST_FIELDS];

const fn room<'a>() -> Room<'a> {
    [const { MaybeUninit::uninit() }; MOST_FIELDS]
}

/// Takes the head of a request from the beginning of `buffer`; `None` while it is not complete.
pub fn read_request(buffer: &mut BytesMut) -> Result<Option<RequestHead>, HeadFault> {
    let mut room = room();
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(buffer, &mut room).map_err(fault)?;
    let Status::Complete(length) = status else { return Ok(None) };
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let method = http::Method::from_bytes(method.as_bytes())
        .map_err(|_| HeadFault::Malformed(httparse::Error::Token))?;
    let target = place(buffer, target.as_bytes());
    let version = version(parsed.version);
    let fields = fields(buffer, parsed.headers);
    let head = buffer.split_to(length).freeze();
    let target = head.slice(target.0..target.1);
    Ok(Some(RequestHead { method, target, version, fields: fields.in_bytes(head) }))
}

/// Takes the head of an answer from the beginning of `buffer`; `None` while it is not complete. Interim answers (1xx) are answers.
pub fn read_response(buffer: &mut BytesMut) -> Result<Option<ResponseHead>, HeadFault> {
    let mut room = room();
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut room);
    let Status::Complete(length) = status.map_err(fault)? else { return Ok(None) };
    let status = http::StatusCode::from_u16(parsed.code.unwrap_or_default())
        .map_err(|_| HeadFault::Malformed(httparse::Error::Status))?;
    let version = version(parsed.version);
    let fields = fields(buffer, parsed.headers);
    let head = buffer.split_to(length).freeze();
    Ok(Some(ResponseHead { status, version, fields: fields.in_bytes(head) }))
}

fn fault(error: httparse::Error) -> HeadFault {
    match error {
        httparse::Error::TooManyHeaders => HeadFault::TooManyFields,
        error => HeadFault::Malformed(error),
    }
}

fn version(minor: Option<u8>) -> http::Version {
    if minor == Some(0) { http::Version::HTTP_10 } else { http::Version::HTTP_11 }
}

/// Begin and end in a buffer.
type Place = (usize, usize);

/// The fields of a parsed head, their values still in `buffer`.
fn fields(buffer: &[u8], headers: &[Header<'_>]) -> Fields {
    Fields::of(headers.iter().map(|header| (header.name, place(buffer, header.value))))
}

/// Where `part`, which is a slice of `whole`, begins and ends in it.
fn place(whole: &[u8], part: &[u8]) -> Place {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if part.is_empty() || start > whole.len() { (0, 0) } else { (start, start + part.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &[u8]) -> Result<Option<RequestHead>, HeadFault> {
        read_request(&mut BytesMut::from(text))
    }

    #[test]
    fn a_head_is_taken_and_what_follows_stays() {
        let mut buffer = BytesMut::from(
            b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length:  3 \r\nEmpty:\r\n\r\nabc"
                .as_slice(),
        );
        let head = read_request(&mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..], b"abc");
        assert_eq!((head.method, &head.target[..]), (http::Method::POST, b"/a?b=c".as_slice()));
        assert_eq!(head.version, http::Version::HTTP_11);
        let fields: Vec<_> = head.fields.iter().collect();
        let expected: [(&str, &[u8]); 3] =
            [("host", b"x"), ("content-length", b"3"), ("empty", b"")];
        assert_eq!(fields, expected);
    }

    #[test]
    fn an_answer_is_read_and_half_of_one_is_waited_for() {
        let whole = b"HTTP/1.0 200 Fine\r\nX: \xe4\r\n\r\nrest";
        for end in 0..27 {
            let mut buffer = BytesMut::from(&whole[..end]);
            assert!(read_response(&mut buffer).unwrap().is_none(), "{end}");
            assert_eq!(buffer.len(), end);
        }
        let mut buffer = BytesMut::from(whole.as_slice());
        let head = read_response(&mut buffer).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.version), (200, http::Version::HTTP_10));
        assert_eq!(head.fields.get("x"), Some(b"\xe4".as_slice()));
        assert_eq!(&buffer[..], b"rest");
    }

    // proves: PX-08
    #[test]
    fn what_has_two_readings_is_no_head() {
        for head in [
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\nA\0: b\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/1.1 x\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
        ] {
            assert!(matches!(request(head.as_bytes()), Err(HeadFault::Malformed(_))), "{head:?}");
        }
        let many = "a: b\r\n".repeat(MOST_FIELDS + 1);
        let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(request(many.as_bytes()).err(), Some(HeadFault::TooManyFields));
    }
}
