//! What the guard knows of a request. Decides nothing.

/// The header fields that tell where a request comes from. A field that is present but no text is `Some("")`: present
/// and unknown, never absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    pub method: &'a str,
    /// Every `Origin` field.
    pub origin: &'a [&'a str],
    /// Every field of the CSRF header's name.
    pub csrf: &'a [&'a str],
    pub sec_fetch_site: Option<&'a str>,
    pub sec_fetch_mode: Option<&'a str>,
    pub sec_fetch_dest: Option<&'a str>,
    /// `Sec-Purpose` or the older `Purpose`.
    pub sec_purpose: Option<&'a str>,
    pub referer: Option<&'a str>,
    /// The request asks for another protocol (WebSocket).
    pub upgrade: bool,
}

/// What `Sec-Fetch-Site` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    SameOrigin,
    SameSite,
    CrossSite,
    /// The user did it: typed it, or used a bookmark.
    None,
    /// No such field, or a value that no browser sends: no signal (CS-05).
    Unknown,
}

impl Facts<'_> {
    /// Where the request says it comes from.
    pub fn site(&self) -> Site {
        match self.sec_fetch_site {
            Some("same-origin") => Site::SameOrigin,
            Some("same-site") => Site::SameSite,
            Some("cross-site") => Site::CrossSite,
            Some("none") => Site::None,
            _ => Site::Unknown,
        }
    }

    /// GET and HEAD change nothing (RFC 9110 §9.2.1). OPTIONS is left out: browsers use it for preflights only.
    pub fn is_safe(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// A navigation of the whole tab, as far as Fetch Metadata tells.
    pub fn is_top_level_navigation(&self) -> bool {
        self.sec_fetch_mode == Some("navigate") && self.sec_fetch_dest == Some("document")
    }
}
