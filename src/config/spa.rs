//! `[spa]`: a folder with the built SPA, or its dev server on this machine. Lists no files.

use std::path::Path;

use url::Url;

use super::location::parse_upstream;
use super::origin::is_loopback;
use super::raw::RawSpa;
use super::report::At;
use super::secrets::one_of;
use super::types::{SpaConfig, SpaSource};

/// Turns the section into its configuration.
pub(super) fn spa(at: &At<'_>, raw: &RawSpa) -> Option<SpaConfig> {
    let csp = csp(&at.key("csp"), &raw.csp);
    let ways = [("root", raw.root.as_deref()), ("dev_server", raw.dev_server.as_deref())];
    let source = match one_of(at, &ways) {
        Some(("root", text)) => folder(&at.key("root"), text, raw.relist),
        Some((name, text)) => dev_server(&at.key(name), text),
        None => at.lacks("has neither root nor dev_server", "write one of them, or remove [spa]"),
    };
    Some(SpaConfig { source: source?, csp: csp? })
}

fn csp(at: &At<'_>, text: &str) -> Option<String> {
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if text.trim().is_empty() || !printable {
        return at.fail("not a header value", "write the policy on one line, in ASCII");
    }
    Some(text.to_owned())
}

fn folder(at: &At<'_>, text: &str, relist: bool) -> Option<SpaSource> {
    let folder = Path::new(text);
    if !folder.is_dir() {
        return at.fail("there is no such folder", "build the SPA first, or mend the path");
    }
    if !folder.join("index.html").is_file() {
        return at
            .fail("the folder has no index.html", "name the folder that the SPA's build writes");
    }
    Some(SpaSource::Folder(folder.to_owned(), relist))
}

/// Loopback only: a dev server's code runs as the app, and its connection is not encrypted.
fn dev_server(at: &At<'_>, text: &str) -> Option<SpaSource> {
    let upstream = at.take(parse_upstream(text))?;
    if !Url::parse(text).is_ok_and(|url| is_loopback(url.host())) {
        let mend = "use a loopback address, or proxy it by a route";
        return at.fail("a dev server must be on this machine", mend);
    }
    Some(SpaSource::DevServer(upstream))
}
