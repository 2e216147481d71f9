//! Decides whether a visit to `/login` shows the user's wish to log in (AR-12).
//! Never starts a login in a frame, for a prefetch, or because another site said so.

use super::facts::{Facts, Site};
use super::{Guard, Refusal};

/// What to do with a visit to `/login`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginEntry {
    /// The user came from our own page or typed the address.
    Proceed,
    /// Somebody else sent the user here, or nothing tells: ask for a click first.
    AskFirst,
    Refused(Refusal),
}

impl Guard {
    /// Judges a `GET /login` without the CSRF header.
    pub fn login_navigation(&self, facts: &Facts<'_>) -> LoginEntry {
        if facts.sec_purpose.is_some_and(|purpose| purpose.contains("prefetch")) {
            return LoginEntry::Refused(Refusal::Prefetch);
        }
        // A frame, an image or a fetch is never a person who wants to log in.
        if facts.sec_fetch_dest.is_some_and(|dest| dest != "document")
            || facts.sec_fetch_mode.is_some_and(|mode| mode != "navigate")
        {
            return LoginEntry::Refused(Refusal::FetchDest);
        }
        match facts.site() {
            Site::SameOrigin | Site::None => LoginEntry::Proceed,
            // A browser without Fetch Metadata: only our own page as the referrer counts as ours.
            Site::Unknown if self.came_from_us(facts.referer) => LoginEntry::Proceed,
            Site::SameSite | Site::CrossSite | Site::Unknown => LoginEntry::AskFirst,
        }
    }

    fn came_from_us(&self, referer: Option<&str>) -> bool {
        referer
            .and_then(|referer| referer.strip_prefix(self.own_origin.as_str()))
            .is_some_and(|rest| rest.starts_with('/'))
    }
}
