//! The rule for WebSocket handshakes: a listed Origin, always. Browsers send cookies with a handshake from any page of the
//! same site and let no page set a header on it, so Origin alone tells ours from others (cross-site WebSocket hijacking,
//! RFC 6455 §10.2).

use super::facts::{Facts, Site};
use super::{Guard, Refusal};

impl Guard {
    /// Whether this caller may open a WebSocket (CS-11). Chromium sends no Fetch Metadata with a handshake, Firefox does;
    /// where it is there, it must not speak against the Origin.
    pub fn websocket(&self, facts: &Facts<'_>) -> Result<(), Refusal> {
        if !self.listed_origin(facts)? {
            return Err(Refusal::Origin);
        }
        match facts.site() {
            Site::SameOrigin | Site::SameSite | Site::Unknown => {}
            Site::CrossSite | Site::None => return Err(Refusal::FetchSite),
        }
        match facts.sec_fetch_dest {
            None | Some("websocket" | "empty") => Ok(()),
            Some(_) => Err(Refusal::FetchDest),
        }
    }
}
