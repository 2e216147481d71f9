//! Typed security events: who logged in, refreshed, logged out, was refused.
//! An event names the user and the session only by digests, or by pseudonyms; it never holds a token, a cookie or text of the
//! authorization server, and writing one never blocks a request.

mod entry;
mod file;
mod forward;
mod names;
mod queue;
mod stream;
mod writer;

pub use stream::{AuditError, Stream, open};

/// The log target of security events.
const TARGET: &str = "audit";

/// What happened. One variant per thing a security team asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    LoginStarted,
    LoginSucceeded {
        session: &'a [u8; 16],
        issuer: &'a str,
        subject: &'a str,
    },
    LoginFailed {
        code: &'a str,
    },
    RefreshSucceeded {
        session: &'a [u8; 16],
        generation: u32,
    },
    RefreshFailed {
        session: &'a [u8; 16],
        code: &'a str,
        session_ended: bool,
    },
    LoggedOut {
        session: &'a [u8; 16],
        issuer: &'a str,
        subject: &'a str,
    },
    /// A user has ended another one of their own sessions.
    EndedByUser {
        session: &'a [u8; 16],
        by: &'a [u8; 16],
    },
    /// Those who run the process have ended sessions: one, by the name that this stream gives it, of a session of the
    /// authorization server, of a user, or everybody's. `uid` is the operating system's user who said so.
    EndedByOperator {
        app: &'a str,
        whom: &'a str,
        session: Option<&'a str>,
        user: Option<(&'a str, &'a str)>,
        op_session: Option<(&'a str, &'a str)>,
        uid: Option<u32>,
    },
    /// The authorization server has ended a session of its own (`sid`), or all of a user.
    BackchannelLogout {
        issuer: &'a str,
        sid: Option<&'a str>,
        subject: Option<&'a str>,
    },
    LogoutTokenRefused {
        code: &'a str,
    },
    /// Tokens of an ended session live on until they end by themselves: nobody could revoke them.
    RevocationGivenUp {
        session: &'a [u8; 16],
        code: &'a str,
    },
    Refused {
        code: &'a str,
        route: &'a str,
    },
    /// A call to a sensitive route. Without a status its caller went away before the answer.
    ApiCall {
        route: &'a str,
        method: &'a str,
        status: Option<u16>,
        code: Option<&'a str>,
        session: Option<&'a [u8; 16]>,
        user: Option<(&'a str, &'a str)>,
        ms: u64,
    },
    /// The cookie keys of an app are others from now on.
    KeysChanged {
        app: &'a str,
        sealing: &'a str,
        promoted: bool,
        /// Ids, with commas.
        added: &'a str,
        retired: &'a str,
    },
    /// Apps came, went, or have other settings from now on; ids, with commas.
    AppsChanged {
        added: &'a str,
        changed: &'a str,
        removed: &'a str,
    },
    /// The routes of an app are others from now on.
    RoutesChanged {
        app: &'a str,
        count: usize,
    },
    /// A cookie key has sealed so much that it should be rotated.
    KeyWorn {
        key: &'a str,
    },
    /// The configuration was read again and is no good: what was before goes on.
    ReloadRefused {
        problems: usize,
    },
    /// Logouts are not written down any more, or are again: without the file, a restart forgets them.
    DenyFile {
        app: &'a str,
        broken: bool,
    },
    /// A WebSocket is open from now on.
    TunnelOpened {
        session: &'a [u8; 16],
        route: &'a str,
    },
    TunnelClosed {
        session: &'a [u8; 16],
        route: &'a str,
        cause: &'a str,
    },
    /// A response did not come to its end because its session did.
    StreamEnded {
        session: &'a [u8; 16],
        route: &'a str,
        cause: &'a str,
    },
}

/// Writes `event` to the audit stream: log target `audit`, one line, with the request it belongs to.
pub fn record(event: &Event<'_>, request_id: &str) {
    match *event {
        Event::LoginStarted => tracing::info!(target: "audit", event = "login_started", request_id),
        Event::LoginSucceeded { session, issuer, subject } => {
            let (session, user) = (names::session(session), names::user(issuer, subject));
            tracing::info!(target: "audit", event = "login_succeeded", request_id, session, issuer, user);
        }
        Event::LoginFailed { code } => {
            tracing::warn!(target: "audit", event = "login_failed", request_id, code);
        }
        Event::RefreshSucceeded { session, generation } => {
            let session = names::session(session);
            tracing::info!(target: "audit", event = "refresh_succeeded", request_id, session, generation);
        }
        Event::RefreshFailed { session, code, session_ended } => {
            let session = names::session(session);
            tracing::warn!(target: "audit", event = "refresh_failed", request_id, session, code, session_ended);
        }
        Event::LoggedOut { session, issuer, subject } => {
            let (session, user) = (names::session(session), names::user(issuer, subject));
            tracing::info!(target: "audit", event = "logged_out", request_id, session, issuer, user);
        }
        Event::EndedByUser { session, by } => {
            let (session, by) = (names::session(session), names::session(by));
            tracing::info!(target: "audit", event = "ended_by_user", request_id, session, by);
        }
        Event::Refused { code, route } => {
            tracing::warn!(target: "audit", event = "refused", request_id, code, route);
        }
        Event::EndedByOperator { app, whom, session, user, op_session, uid } => {
            let user = user.map(|(issuer, subject)| names::user(issuer, subject));
            let op_session = op_session.map(|(issuer, sid)| names::op_session(issuer, sid));
            tracing::warn!(target: "audit", event = "ended_by_operator", request_id, app, whom, session, user, op_session, uid);
        }
        Event::BackchannelLogout { issuer, sid, subject } => {
            let user = subject.map(|subject| names::user(issuer, subject));
            let op_session = sid.map(|sid| names::op_session(issuer, sid));
            tracing::info!(target: "audit", event = "backchannel_logout", request_id, issuer, op_session, user);
        }
        Event::LogoutTokenRefused { code } => {
            tracing::warn!(target: "audit", event = "logout_token_refused", request_id, code);
        }
        Event::RevocationGivenUp { session, code } => {
            let session = names::session(session);
            tracing::warn!(target: "audit", event = "revocation_given_up", request_id, session, code);
        }
        Event::DenyFile { .. }
        | Event::KeysChanged { .. }
        | Event::RoutesChanged { .. }
        | Event::AppsChanged { .. }
        | Event::KeyWorn { .. }
        | Event::ReloadRefused { .. } => {
            record_change(event, request_id);
        }
        Event::ApiCall { .. }
        | Event::TunnelOpened { .. }
        | Event::TunnelClosed { .. }
        | Event::StreamEnded { .. } => {
            record_call(event, request_id);
        }
    }
}

/// What changes in the process itself.
fn record_change(event: &Event<'_>, request_id: &str) {
    match *event {
        Event::DenyFile { app, broken: true } => {
            tracing::error!(target: "audit", event = "deny_file_broken", request_id, app);
        }
        Event::DenyFile { app, broken: false } => {
            tracing::info!(target: "audit", event = "deny_file_works", request_id, app);
        }
        Event::KeysChanged { app, sealing, promoted, added, retired } => {
            tracing::warn!(target: "audit", event = "keys_changed", request_id, app, sealing, promoted, added, retired);
        }
        Event::RoutesChanged { app, count } => {
            tracing::warn!(target: "audit", event = "routes_changed", request_id, app, count);
        }
        Event::AppsChanged { added, changed, removed } => {
            tracing::warn!(target: "audit", event = "apps_changed", request_id, added, changed, removed);
        }
        Event::KeyWorn { key } => {
            tracing::warn!(target: "audit", event = "key_worn", request_id, key);
        }
        Event::ReloadRefused { problems } => {
            tracing::error!(target: "audit", event = "reload_refused", request_id, problems);
        }
        _ => {}
    }
}

/// Calls, and what they leave open.
fn record_call(event: &Event<'_>, request_id: &str) {
    match *event {
        Event::ApiCall { route, method, status, code, session, user, ms } => {
            let session = session.map(names::session);
            let user = user.map(|(issuer, subject)| names::user(issuer, subject));
            tracing::info!(target: "audit", event = "api_call", request_id, route, method, status, code, session, user, ms);
        }
        Event::TunnelOpened { session, route } => {
            let session = names::session(session);
            tracing::info!(target: "audit", event = "tunnel_opened", request_id, session, route);
        }
        Event::TunnelClosed { session, route, cause } => {
            let session = names::session(session);
            tracing::info!(target: "audit", event = "tunnel_closed", request_id, session, route, cause);
        }
        Event::StreamEnded { session, route, cause } => {
            let session = names::session(session);
            tracing::info!(target: "audit", event = "stream_ended", request_id, session, route, cause);
        }
        _ => {}
    }
}
