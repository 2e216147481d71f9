//! A request as the handlers see it: its guard facts, its cookies, its id. Decides nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::str;

use smallvec::SmallVec;

use super::loop_watch::Browser;
use crate::clock::Timestamp;
use crate::edge::{Code, Problem, Request};
use crate::guard::Facts;
use crate::http1::text;
use crate::store::Link;
use crate::traces::Trace;

/// The header fields of a request that handlers decide by, gathered in one pass so that [`Facts`] can borrow them.
pub struct Seen<'a> {
    method: &'a str,
    origin: SmallVec<[&'a str; 2]>,
    csrf: SmallVec<[&'a str; 2]>,
    jar: SmallVec<[&'a str; 4]>,
    sec_fetch_site: Option<&'a str>,
    sec_fetch_mode: Option<&'a str>,
    sec_fetch_dest: Option<&'a str>,
    sec_purpose: Option<&'a str>,
    purpose: Option<&'a str>,
    referer: Option<&'a str>,
    upgrade: bool,
}

impl<'a> Seen<'a> {
    /// Gathers the fields; `csrf_header` is the configured name, lower case.
    pub fn of(request: &'a Request, csrf_header: &str) -> Self {
        let mut seen = Self::without_fields(request.method().as_str());
        for (name, value) in request.fields().iter() {
            // A value that is no text counts as present and unlisted, never as absent.
            let text = || text(value).unwrap_or("");
            // Of repeated fields the first counts, but for those where repetition itself is a sign.
            let first = |slot: &mut Option<&'a str>| *slot = slot.or_else(|| Some(text()));
            match name {
                "cookie" => seen.jar.extend(text_of(value)),
                "origin" => seen.origin.push(text()),
                "sec-fetch-site" => first(&mut seen.sec_fetch_site),
                "sec-fetch-mode" => first(&mut seen.sec_fetch_mode),
                "sec-fetch-dest" => first(&mut seen.sec_fetch_dest),
                "sec-purpose" => first(&mut seen.sec_purpose),
                "purpose" => first(&mut seen.purpose),
                "referer" => first(&mut seen.referer),
                "upgrade" => seen.upgrade = true,
                name if name == csrf_header => seen.csrf.push(text()),
                _ => {}
            }
        }
        seen
    }

    fn without_fields(method: &'a str) -> Self {
        Self {
            method,
            origin: SmallVec::new(),
            csrf: SmallVec::new(),
            jar: SmallVec::new(),
            sec_fetch_site: None,
            sec_fetch_mode: None,
            sec_fetch_dest: None,
            sec_purpose: None,
            purpose: None,
            referer: None,
            upgrade: false,
        }
    }

    /// What the guard decides by.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            method: self.method,
            origin: &self.origin,
            csrf: &self.csrf,
            sec_fetch_site: self.sec_fetch_site,
            sec_fetch_mode: self.sec_fetch_mode,
            sec_fetch_dest: self.sec_fetch_dest,
            sec_purpose: self.sec_purpose.or(self.purpose),
            referer: self.referer,
            upgrade: self.upgrade,
        }
    }

    /// The cookies of all `Cookie` lines.
    pub fn jar(&self) -> &[&'a str] {
        &self.jar
    }
}

/// A `Cookie` line, whole if it is text. A cookie that is none (old sites of the same domain set such) must not hide the
/// others: such a line comes in its pairs, without it.
fn text_of(line: &[u8]) -> SmallVec<[&str; 1]> {
    // Most of a request is this line.
    if let Ok(line) = simdutf8::basic::from_utf8(line) {
        return SmallVec::from([line]);
    }
    let pairs = line.split(|byte| *byte == b';');
    pairs.filter_map(|pair| str::from_utf8(pair).ok()).collect()
}

/// One request on its way through a handler.
pub struct Call<'a> {
    pub request: &'a Request,
    pub facts: Facts<'a>,
    /// The cookies of all `Cookie` lines.
    pub jar: &'a [&'a str],
    pub request_id: &'a str,
    pub client_ip: IpAddr,
    /// This worker's connection to the store, where there is one.
    pub link: Option<&'a Link>,
    pub now: Timestamp,
    /// Where traces are made.
    pub trace: Option<&'a Trace>,
}

impl Call<'_> {
    /// The query parameters, decoded, in order, repeats kept.
    pub fn query(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.request.query_string().as_bytes()).into_owned().collect()
    }

    /// Who the browser is, as far as can be told without cookies.
    pub fn browser(&self) -> Browser<'_> {
        let user_agent = self.request.fields().text("user-agent").unwrap_or("");
        Browser { address: self.client_ip, user_agent }
    }

    /// Whether a browser shows the answer as a page: refusals are then HTML.
    pub fn is_navigation(&self) -> bool {
        wants_page(self.request)
    }

    /// Refuses the body types that a form of another site can send (CS-06).
    pub fn refuse_forms(&self) -> Result<(), Problem> {
        let media_type = self.request.fields().get("content-type");
        let media_type = media_type.map(|value| text(value).unwrap_or("text/plain"));
        let essence = media_type.map(|value| value.split(';').next().unwrap_or("").trim());
        match essence {
            None => Ok(()),
            Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
            Some(_) => Err(Problem::new(Code::UnsupportedMediaType)),
        }
    }

    /// Whether `Accept` names the media type literally.
    pub fn accepts(&self, media_type: &str) -> bool {
        accepts(self.request, media_type)
    }
}

/// Whether a browser shows the answer as a page.
pub fn wants_page(request: &Request) -> bool {
    match request.fields().get("sec-fetch-mode") {
        Some(mode) => mode == b"navigate",
        None => accepts(request, "text/html"),
    }
}

fn accepts(request: &Request, media_type: &str) -> bool {
    request
        .fields()
        .get_all("accept")
        .filter_map(text)
        .flat_map(|value| value.split(','))
        .any(|item| item.split(';').next().is_some_and(|name| name.trim() == media_type))
}

/// The peer of a connection; loopback where there is no socket address (Unix sockets, tests).
pub fn peer(request: &Request) -> IpAddr {
    request.peer().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
