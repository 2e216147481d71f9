//! An answer on its way to the wire: one of ours, in the framework's types, or one that an upstream gave, whose head is bytes already.
//! Decides nothing: what may be in it was decided by whoever made it.

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use super::problem::ERROR_HEADER;
use crate::http1::{is_value, put_field};

const CACHE_CONTROL: &str = "cache-control";

/// An answer with its body.
pub enum Reply {
    Own(HttpResponse),
    Passed(Passed, BoxBody),
}

/// A head without its body.
pub enum ReplyHead {
    Own(HttpResponse<()>),
    Passed(Passed),
}

impl ReplyHead {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Own(head) => head.status(),
            Self::Passed(head) => head.status,
        }
    }

    /// The answer with this body.
    pub fn with_body(self, body: BoxBody) -> Reply {
        match self {
            Self::Own(head) => Reply::Own(head.set_body(body)),
            Self::Passed(head) => Reply::Passed(head, body),
        }
    }
}

/// The head of an upstream's answer, as the browser gets it.
pub struct Passed {
    status: StatusCode,
    /// Whole lines, each with its end.
    lines: Vec<u8>,
    caching: Caching,
    has_date: bool,
}

/// What is said of caching, which may still be overruled.
enum Caching {
    /// Nothing.
    Silent,
    /// Whole lines, as they came.
    Said(Vec<u8>),
    Set(&'static str),
}

impl Caching {
    fn say(&mut self, value: &[u8]) {
        if matches!(self, Self::Silent) {
            *self = Self::Said(Vec::with_capacity(CACHE_CONTROL.len() + value.len() + 4));
        }
        if let Self::Said(lines) = self {
            put_field(lines, CACHE_CONTROL, &[value]);
        }
    }
}

impl Passed {
    /// Without fields; `room` in bytes for all of them. More is fine, and costs an allocation.
    pub fn new(status: StatusCode, room: usize) -> Self {
        let (lines, caching) = (Vec::with_capacity(room), Caching::Silent);
        Self { status, lines, caching, has_date: false }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds a field. The name is a token in lower case; a value that would end its line is left out.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        if is_value(value) {
            self.pass(name, value);
        }
    }

    /// Adds a field as it stands in a head that was read: nothing in it ends a line. What it says of caching counts unless it is overruled.
    pub fn pass(&mut self, name: &str, value: &[u8]) {
        if name == CACHE_CONTROL {
            return self.caching.say(value);
        }
        self.has_date |= name == "date";
        put_field(&mut self.lines, name, &[value]);
    }

    /// Adds lines that stand in this program, each with its end; none is of caching or a date.
    pub fn add_lines(&mut self, lines: &'static str) {
        self.lines.extend_from_slice(lines.as_bytes());
    }

    /// Overrules what is said of caching.
    pub fn set_caching(&mut self, value: &'static str) {
        self.caching = Caching::Set(value);
    }

    /// Whether it says when it was made.
    pub fn has_date(&self) -> bool {
        self.has_date
    }

    /// Writes all field lines.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lines);
        match &self.caching {
            Caching::Said(lines) => out.extend_from_slice(lines),
            Caching::Set(value) => put_field(out, CACHE_CONTROL, &[value.as_bytes()]),
            // Whoever decides it has done so. An answer to a cookie that says nothing may be stored by anybody (PX-12).
            Caching::Silent => out.extend_from_slice(b"cache-control: no-store\r\n"),
        }
    }
}

impl From<HttpResponse> for Reply {
    fn from(response: HttpResponse) -> Self {
        Self::Own(response)
    }
}

impl Reply {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Own(response) => response.status(),
            Self::Passed(head, _) => head.status,
        }
    }

    /// The stable code of a refusal of ours.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Own(response) => response.headers().get(ERROR_HEADER)?.to_str().ok(),
            Self::Passed(..) => None,
        }
    }

    /// Adds a field beside others of its name.
    pub fn add(&mut self, name: HeaderName, value: &'static str) {
        match self {
            Self::Own(response) => {
                response.headers_mut().append(name, HeaderValue::from_static(value));
            }
            Self::Passed(head, _) => head.pass(name.as_str(), value.as_bytes()),
        }
    }

    /// Adds a field of ours, which no upstream can set: no other of its name is there, or it is replaced (not so in a head that is passed).
    pub fn set(&mut self, name: HeaderName, value: &str) {
        match self {
            Self::Own(response) => {
                if let Ok(value) = HeaderValue::from_str(value) {
                    response.headers_mut().insert(name, value);
                }
            }
            Self::Passed(head, _) => head.add(name.as_str(), value.as_bytes()),
        }
    }

    /// Adds `Set-Cookie` lines, as [`set_cookies`].
    pub fn set_cookies(&mut self, lines: Vec<String>) {
        match self {
            Self::Own(response) => set_cookies(response, lines),
            Self::Passed(head, _) => {
                for line in lines {
                    head.add("set-cookie", line.as_bytes());
                    head.set_caching("no-store");
                }
            }
        }
    }

    /// How long its body is.
    pub fn size(&self) -> BodySize {
        match self {
            Self::Own(response) => response.body().size(),
            Self::Passed(_, body) => body.size(),
        }
    }

    /// The same answer with another body.
    pub fn map_body(self, with: impl FnOnce(BoxBody) -> BoxBody) -> Self {
        match self {
            Self::Own(response) => Self::Own(response.map_body(|_, body| with(body))),
            Self::Passed(head, body) => Self::Passed(head, with(body)),
        }
    }

    /// Head and body.
    pub fn into_parts(self) -> (ReplyHead, BoxBody) {
        match self {
            Self::Own(response) => {
                let (head, body) = response.into_parts();
                (ReplyHead::Own(head), body)
            }
            Self::Passed(head, body) => (ReplyHead::Passed(head), body),
        }
    }
}

/// Adds `Set-Cookie` lines; an answer that sets cookies is never stored.
pub fn set_cookies(response: &mut HttpResponse, lines: Vec<String>) {
    for line in lines {
        if let Ok(value) = HeaderValue::try_from(line) {
            response.headers_mut().append(header::SET_COOKIE, value);
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed() -> Passed {
        let mut head = Passed::new(StatusCode::OK, 0);
        head.pass("cache-control", b"private");
        head.pass("cache-control", b"max-age=3");
        head.pass("x-one", b"\xe4");
        head
    }

    fn text(head: &Passed) -> Vec<u8> {
        let mut out = Vec::new();
        head.write(&mut out);
        out
    }

    #[test]
    fn lines_are_written_in_order_and_what_was_said_of_caching_can_be_overruled() {
        let mut head = passed();
        assert_eq!(
            text(&head),
            b"x-one: \xe4\r\ncache-control: private\r\ncache-control: max-age=3\r\n"
        );
        head.set_caching("no-store");
        head.pass("cache-control", b"public");
        assert_eq!(text(&head), b"x-one: \xe4\r\ncache-control: no-store\r\n");
        assert!(!head.has_date());
        head.pass("date", b"now");
        assert!(head.has_date());
    }

    // proves: PX-08
    #[test]
    fn nothing_that_is_added_ends_its_line() {
        let mut head = passed();
        let before = text(&head);
        for split in [b"a\r\nx: b".as_slice(), b"a\nb", b"a\0b", b"a\rb", b"\x7f"] {
            head.add("x-two", split);
        }
        assert_eq!(text(&head), before);
    }

    #[test]
    fn both_kinds_take_cookies_and_are_not_stored_then() {
        let lines = || vec!["a=b".to_owned(), "c=d\r\nx: y".to_owned()];
        let mut own =
            Reply::from(HttpResponse::Ok().insert_header(("cache-control", "private")).finish());
        own.set_cookies(lines());
        let Reply::Own(own) = own else { panic!("another kind") };
        let all: Vec<_> = own.headers().get_all("set-cookie").collect();
        assert_eq!(all, ["a=b"]);
        assert_eq!(own.headers().get("cache-control").unwrap(), "no-store");
        let mut reply = Reply::Passed(passed(), BoxBody::new(()));
        reply.set_cookies(lines());
        let Reply::Passed(head, _) = reply else { panic!("another kind") };
        assert_eq!(text(&head), b"x-one: \xe4\r\nset-cookie: a=b\r\ncache-control: no-store\r\n");
    }
}
