//! What of a refused request bears on the refusal, in words for an operator. Names and counts only; a value is repeated when it is
//! one of a closed list. Decides nothing.

use super::app::App;
use crate::endpoints::Call;
use crate::guard::Cors;
use crate::session::{CookiesShown, Opened};

/// Values of `Sec-Fetch-Site`, `-Mode` and `-Dest` that browsers send.
const FETCH_WORDS: [&str; 32] = [
    "same-origin",
    "same-site",
    "cross-site",
    "none",
    "cors",
    "no-cors",
    "navigate",
    "websocket",
    "empty",
    "document",
    "iframe",
    "frame",
    "embed",
    "object",
    "image",
    "script",
    "style",
    "font",
    "audio",
    "video",
    "track",
    "worker",
    "sharedworker",
    "serviceworker",
    "manifest",
    "report",
    "xslt",
    "json",
    "audioworklet",
    "paintworklet",
    "fencedframe",
    "webidentity",
];

/// A line for each thing; `missing` are the scopes or claims that the login lacks, by name.
pub fn seen(call: &Call<'_>, app: &App, missing: &[String]) -> Vec<String> {
    let facts = &call.facts;
    let mut lines = Vec::new();
    let word = |value: Option<&str>| match value {
        None => "absent",
        Some(value) => FETCH_WORDS
            .iter()
            .find(|word| **word == value)
            .copied()
            .unwrap_or("a word that browsers do not send"),
    };
    lines.push(format!("{}: {}", app.csrf_header, times(facts.csrf.len())));
    lines.push(format!("origin: {}", origin(call, app)));
    lines.push(format!("sec-fetch-site: {}", word(facts.sec_fetch_site)));
    lines.push(format!("sec-fetch-mode: {}", word(facts.sec_fetch_mode)));
    lines.push(format!("sec-fetch-dest: {}", word(facts.sec_fetch_dest)));
    let CookiesShown { record, activity, ticket, logins, others } = app.cookies.describe(call.jar);
    lines.push(format!(
        "session cookies: {record} of the record, {activity} of activity, {ticket} tickets"
    ));
    lines.push(format!("login cookies: {logins}; other cookies: {others}"));
    lines.push(format!("session: {}", session(call, app)));
    if !missing.is_empty() {
        lines.push(format!("missing in the login: {}", missing.join(" ")));
    }
    lines
}

fn times(count: usize) -> String {
    match count {
        0 => "absent".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn origin(call: &Call<'_>, app: &App) -> &'static str {
    match *call.facts.origin {
        [] => "absent",
        ["null"] => "null: a sandboxed frame, a file, or a redirect from elsewhere",
        [origin] if origin == app.public.origin => "the app's own",
        [_] if matches!(app.guard.cors(&call.facts), Cors::Allowed { .. }) => "a listed one",
        [_] => "one that is not listed",
        _ => "several",
    }
}

/// What the session cookies amount to by themselves, without asking a store.
fn session(call: &Call<'_>, app: &App) -> &'static str {
    if app.cookies.open_ticket(call.jar).is_some() {
        return "the ticket opens; its session is in the store, or has ended there";
    }
    match app.cookies.open(call.jar, call.now) {
        Opened::None => "no cookie of one",
        Opened::Unknown => {
            "sealed under a key, or in a format, that is not known here: cookies are kept"
        }
        Opened::Invalid => "does not authenticate, or a part is missing or there twice",
        Opened::Expired => "ended by time (session.idle_timeout or session.max_age)",
        Opened::Unavailable => "in a store that does not answer",
        Opened::Open(session)
            if app.sessions.deny.is_denied(&app.providers.known_as(&session.record)) =>
        {
            "was ended: by a logout, another login in that browser, the authorization server or an operator"
        }
        Opened::Open(_) => "open",
    }
}
