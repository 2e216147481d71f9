//! The two rules for calls: with the CSRF header (session endpoints, APIs) and without it (downloads, images).

use super::facts::{Facts, Site};
use super::{Guard, Refusal};

impl Guard {
    /// A route that `fetch` calls: the CSRF header exactly once with value `1`, GET included (CS-02), a listed `Origin`
    /// if there is one (CS-04), and Fetch Metadata that names us or a listed sibling (CS-01, CS-05).
    pub fn header_route(&self, facts: &Facts<'_>) -> Result<(), Refusal> {
        match facts.csrf {
            [] => return Err(Refusal::CsrfHeaderMissing),
            ["1"] => {}
            _ => return Err(Refusal::CsrfHeaderInvalid),
        }
        let listed = self.listed_origin(facts)?;
        match (facts.site(), listed) {
            (Site::SameOrigin, _) | (Site::SameSite | Site::Unknown, true) => Ok(()),
            (Site::SameSite | Site::CrossSite | Site::None, _) => Err(Refusal::FetchSite),
            // A browser without Fetch Metadata sends no Origin with a same-origin GET; the header is then the proof.
            (Site::Unknown, false) if facts.is_safe() => Ok(()),
            (Site::Unknown, false) => Err(Refusal::NoSignal),
        }
    }

    /// A route for what cannot send headers (images, downloads): GET and HEAD only, and Fetch Metadata must say that
    /// our own page, or the user by a navigation, asked for it (CS-03).
    pub fn header_free_route(&self, facts: &Facts<'_>) -> Result<(), Refusal> {
        if !facts.is_safe() {
            return Err(Refusal::UnsafeMethod);
        }
        self.listed_origin(facts)?;
        match facts.site() {
            Site::SameOrigin => Ok(()),
            Site::None if facts.is_top_level_navigation() => Ok(()),
            Site::Unknown => Err(Refusal::NoSignal),
            _ => Err(Refusal::FetchSite),
        }
    }

    /// Whether a listed `Origin` is there; refuses one that is not listed, `null`, or there twice.
    pub(super) fn listed_origin(&self, facts: &Facts<'_>) -> Result<bool, Refusal> {
        match facts.origin {
            [] => Ok(false),
            [origin] if self.lists(origin) => Ok(true),
            _ => Err(Refusal::Origin),
        }
    }
}
