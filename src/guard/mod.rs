//! Decides who may call: Origin, Fetch Metadata, CSRF header, CORS, and the scopes and claims of the login. Pure decisions over the facts of a request;
//! never does I/O, never changes anything, and refuses whatever it does not know to be ours.

mod claim_rules;
mod cors;
mod facts;
mod header_route;
mod login_entry;
mod return_target;
mod websocket;

#[cfg(test)]
mod tests;

pub use claim_rules::{Lack, Ruling, rule};
pub use cors::Cors;
pub use facts::{Facts, Site};
pub use login_entry::LoginEntry;
pub use return_target::return_target;

use crate::config::{GuardConfig, PublicUrl};

/// The rules of one app.
#[derive(Debug)]
pub struct Guard {
    /// Exact strings, as browsers send them in `Origin`.
    origins: Vec<String>,
    /// Our own origin: what `Sec-Fetch-Site: same-origin` stands for.
    own_origin: String,
    csrf_header: String,
}

/// Why a request may not be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The CSRF header is not there.
    CsrfHeaderMissing,
    /// The CSRF header is there twice, or with another value.
    CsrfHeaderInvalid,
    /// `Origin` is not listed, is `null`, or is there twice.
    Origin,
    /// Fetch Metadata says that another site, or a sibling host that is not listed, made the request.
    FetchSite,
    /// Neither `Origin` nor Fetch Metadata tells where a request that changes something came from.
    NoSignal,
    /// The answer would become a page, script, image or frame where none is served.
    FetchDest,
    /// A route without the CSRF header takes only GET and HEAD.
    UnsafeMethod,
    /// A prefetch or prerender of a page that starts something.
    Prefetch,
}

impl Refusal {
    /// The stable code of the problem document.
    pub fn code(self) -> &'static str {
        match self {
            Self::CsrfHeaderMissing => "csrf_header_missing",
            Self::CsrfHeaderInvalid => "csrf_header_invalid",
            Self::Origin => "csrf_origin",
            Self::FetchSite => "csrf_fetch_site",
            Self::NoSignal => "csrf_no_signal",
            Self::FetchDest => "forbidden_fetch_dest",
            Self::UnsafeMethod => "forbidden_method",
            Self::Prefetch => "forbidden_prefetch",
        }
    }
}

impl Guard {
    /// `config.origins` lists who may call; our own origin and the SPA's are among them.
    pub fn new(config: &GuardConfig, public: &PublicUrl) -> Self {
        Self {
            origins: config.origins.clone(),
            own_origin: public.origin.clone(),
            csrf_header: config.csrf_header.clone(),
        }
    }

    /// Refuses a request whose answer the browser would not hand to `fetch` (CS-13): a proxied answer or a JSON body
    /// must not become a page, a frame or a script of the SPA's origin. `listed` is what the route serves beside `fetch`.
    pub fn fetch_dest(&self, facts: &Facts<'_>, listed: &[String]) -> Result<(), Refusal> {
        match facts.sec_fetch_dest {
            None | Some("empty") => Ok(()),
            // Worker scripts act for the whole origin, whatever a route lists.
            Some("serviceworker" | "sharedworker" | "worker") => Err(Refusal::FetchDest),
            Some(dest) if listed.iter().any(|name| name == dest) => Ok(()),
            Some(_) => Err(Refusal::FetchDest),
        }
    }

    /// Whether `origin` may call; exact comparison, so no look-alike, other port or upper case passes (CS-04).
    fn lists(&self, origin: &str) -> bool {
        self.origins.iter().any(|listed| listed == origin)
    }
}
