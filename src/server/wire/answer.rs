//! The head of an answer: how its body is framed, what it says of the connection, and its lines (RFC 9112 §4, §6.3, §9). Never sends
//! the fields of a handler that are the wire's own.

use actix_web::body::BodySize;
use actix_web::dev::ResponseHead;
use actix_web::http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use actix_web::http::{ConnectionType, StatusCode};

use super::Refusal;
use super::date;
use super::framing::{Persistence, Terms};
use crate::edge::ReplyHead;
use crate::http1::{LINE_END, put_field, put_number};

/// Room for the head of an ordinary answer, bytes.
const ORDINARY: usize = 1024;

/// How the body of an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
    /// Until the connection closes, because the client knows no chunks.
    UntilClose,
    /// No HTTP any more.
    Raw,
}

/// What was decided of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub framing: Framing,
    pub persistence: Persistence,
}

impl Plan {
    /// For an answer with this head and body; `must_close`: the connection cannot be kept, whatever they say.
    pub fn of(head: &ReplyHead, size: BodySize, terms: Terms, must_close: bool) -> Self {
        let status = head.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let persistence = Persistence::Upgrade;
            return Self { framing: Framing::Raw, persistence };
        }
        let framing = match (status, size) {
            (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED, _) => Framing::None,
            (status, _) if status.is_informational() => Framing::None,
            (_, BodySize::Stream) if terms.is_http10 => Framing::UntilClose,
            (_, BodySize::Stream) => Framing::Chunked,
            (_, BodySize::Sized(length)) => Framing::Length(length),
            // Whoever asked for a head only is not told a length that nobody knows.
            (_, BodySize::None) if terms.is_head => Framing::None,
            (_, BodySize::None) => Framing::Length(0),
        };
        let said = match head {
            ReplyHead::Own(head) if head.head().connection_type() == ConnectionType::Close => {
                Persistence::Close
            }
            _ => terms.persistence,
        };
        let ends_by_close = framing == Framing::UntilClose && !terms.is_head;
        let keeps = said == Persistence::KeepAlive && !must_close && !ends_by_close;
        // What is offered and not taken up ends with the answer: nobody knows what follows.
        let persistence = if keeps { Persistence::KeepAlive } else { Persistence::Close };
        Self { framing, persistence }
    }

    /// Writes the head.
    pub fn write(&self, head: &ReplyHead, terms: Terms, out: &mut Vec<u8>) {
        out.reserve(ORDINARY);
        let status = head.status();
        status_line(status, terms.is_http10, out);
        match self.framing {
            Framing::Length(length) => put_number(out, "content-length", length),
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::None | Framing::UntilClose | Framing::Raw => {}
        }
        let has_upgrade =
            matches!(head, ReplyHead::Own(head) if head.headers().contains_key(UPGRADE));
        out.extend_from_slice(match (self.persistence, has_upgrade) {
            (Persistence::Close, true) => b"connection: close, upgrade\r\n",
            (Persistence::Close, false) => b"connection: close\r\n",
            (Persistence::KeepAlive, true) if terms.is_http10 => {
                b"connection: keep-alive, upgrade\r\n"
            }
            (Persistence::KeepAlive, false) if terms.is_http10 => b"connection: keep-alive\r\n",
            (Persistence::Upgrade, _) | (Persistence::KeepAlive, true) => {
                b"connection: upgrade\r\n"
            }
            (Persistence::KeepAlive, false) => b"".as_slice(),
        });
        let has_date = match head {
            ReplyHead::Own(head) => write_fields(head.head(), out),
            ReplyHead::Passed(head) => {
                head.write(out);
                head.has_date()
            }
        };
        if !has_date {
            date::write(out);
        }
        out.extend_from_slice(LINE_END);
    }
}

/// Whether the date was among them.
fn write_fields(head: &ResponseHead, out: &mut Vec<u8>) -> bool {
    let mut has_date = false;
    for (name, value) in head.headers() {
        if is_ours(name, head.status) {
            continue;
        }
        has_date |= *name == DATE;
        put_field(out, name.as_str(), &[value.as_bytes()]);
    }
    has_date
}

/// The wire's own fields. What was not sent again may have had a length, and only its handler knows it (RFC 9110 §8.6).
fn is_ours(name: &HeaderName, status: StatusCode) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == CONTENT_LENGTH && status != StatusCode::NOT_MODIFIED
}

/// An answer of the wire itself, all of it.
pub(super) fn write_refusal(refusal: Refusal, out: &mut Vec<u8>) {
    status_line(refusal.status(), false, out);
    out.extend_from_slice(b"content-length: 0\r\nconnection: close\r\n");
    date::write(out);
    out.extend_from_slice(LINE_END);
}

fn status_line(status: StatusCode, is_http10: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if is_http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(LINE_END);
}
