//! Typed security events: who logged in, refreshed, logged out, was refused.
//! An event names the user and the session only by keyed-looking digests; it never holds a token, a cookie or text of the
//! authorization server, and writing one never blocks a request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

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
            let (session, user) = (session_digest(session), user_digest(issuer, subject));
            tracing::info!(target: "audit", event = "login_succeeded", request_id, session, issuer, user);
        }
        Event::LoginFailed { code } => {
            tracing::warn!(target: "audit", event = "login_failed", request_id, code);
        }
        Event::RefreshSucceeded { session, generation } => {
            let session = session_digest(session);
            tracing::info!(target: "audit", event = "refresh_succeeded", request_id, session, generation);
        }
        Event::RefreshFailed { session, code, session_ended } => {
            let session = session_digest(session);
            tracing::warn!(target: "audit", event = "refresh_failed", request_id, session, code, session_ended);
        }
        Event::LoggedOut { session, issuer, subject } => {
            let (session, user) = (session_digest(session), user_digest(issuer, subject));
            tracing::info!(target: "audit", event = "logged_out", request_id, session, issuer, user);
        }
        Event::EndedByUser { session, by } => {
            let (session, by) = (session_digest(session), session_digest(by));
            tracing::info!(target: "audit", event = "ended_by_user", request_id, session, by);
        }
        Event::Refused { code, route } => {
            tracing::warn!(target: "audit", event = "refused", request_id, code, route);
        }
        Event::EndedByOperator { app, whom, session, user, op_session, uid } => {
            let user = user.map(|(issuer, subject)| user_digest(issuer, subject));
            let op_session = op_session.map(|(issuer, sid)| op_session_digest(issuer, sid));
            tracing::warn!(target: "audit", event = "ended_by_operator", request_id, app, whom, session, user, op_session, uid);
        }
        Event::BackchannelLogout { issuer, sid, subject } => {
            let user = subject.map(|subject| user_digest(issuer, subject));
            let op_session = sid.map(|sid| op_session_digest(issuer, sid));
            tracing::info!(target: "audit", event = "backchannel_logout", request_id, issuer, op_session, user);
        }
        Event::LogoutTokenRefused { code } => {
            tracing::warn!(target: "audit", event = "logout_token_refused", request_id, code);
        }
        Event::RevocationGivenUp { session, code } => {
            let session = session_digest(session);
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
        Event::TunnelOpened { .. } | Event::TunnelClosed { .. } | Event::StreamEnded { .. } => {
            record_open(event, request_id);
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

/// What a session holds open.
fn record_open(event: &Event<'_>, request_id: &str) {
    match *event {
        Event::TunnelOpened { session, route } => {
            let session = session_digest(session);
            tracing::info!(target: "audit", event = "tunnel_opened", request_id, session, route);
        }
        Event::TunnelClosed { session, route, cause } => {
            let session = session_digest(session);
            tracing::info!(target: "audit", event = "tunnel_closed", request_id, session, route, cause);
        }
        Event::StreamEnded { session, route, cause } => {
            let session = session_digest(session);
            tracing::info!(target: "audit", event = "stream_ended", request_id, session, route, cause);
        }
        _ => {}
    }
}

/// A session id's digest: joins the lines of one session, opens nothing. Operators end a session by it, so it is the name
/// that the deny list knows, too.
fn session_digest(session: &[u8; 16]) -> String {
    digest(&[b"session", session])
}

/// A user's digest over issuer and subject (ID-18: never a name or an e-mail address).
fn user_digest(issuer: &str, subject: &str) -> String {
    digest(&[b"user", issuer.as_bytes(), subject.as_bytes()])
}

/// A digest of a session of the authorization server.
fn op_session_digest(issuer: &str, sid: &str) -> String {
    digest(&[b"sid", issuer.as_bytes(), sid.as_bytes()])
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: ID-18
    #[test]
    fn the_same_subject_at_two_issuers_is_two_users() {
        assert_ne!(user_digest("https://a", "1"), user_digest("https://b", "1"));
        assert_ne!(user_digest("https://a", "b1"), user_digest("https://ab", "1"));
    }

    #[test]
    fn a_session_digest_is_not_the_session_id() {
        assert_eq!(session_digest(&[7; 16]).len(), 22);
        assert_ne!(session_digest(&[7; 16]), URL_SAFE_NO_PAD.encode([7; 16]));
    }
}
