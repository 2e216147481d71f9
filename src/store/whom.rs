//! Whose sessions end: what can be said to a deny list. Knows nothing of who says it.

use super::deny_entry::ALL;
use super::known_as::{Key, SessionName};
use crate::clock::Timestamp;

/// Whose sessions end.
#[derive(Clone, Copy, Debug)]
pub enum Whom<'a> {
    /// One session of ours, by its id.
    Session(&'a [u8; 16]),
    /// One session of ours, by its name in the audit stream.
    Named(SessionName),
    /// Every session that belongs to a session of the authorization server, also one that is only being made.
    OpSession { issuer: &'a str, sid: &'a str },
    /// Every session of a user that was created up to a time.
    User { issuer: &'a str, subject: &'a str, created_until: Timestamp },
    /// Every session that was created up to a time.
    Everybody { created_until: Timestamp },
}

impl Whom<'_> {
    pub(super) fn key(&self) -> Key {
        match *self {
            Self::Session(id) => Key::session(id),
            Self::Named(name) => name.0,
            Self::OpSession { issuer, sid } => Key::op_session(issuer, sid),
            Self::User { issuer, subject, .. } => Key::user(issuer, subject),
            Self::Everybody { .. } => Key::everybody(),
        }
    }

    pub(super) fn created_until(&self) -> Timestamp {
        match *self {
            Self::User { created_until, .. } | Self::Everybody { created_until } => created_until,
            _ => ALL,
        }
    }

    /// It names more than one session of ours.
    pub(super) fn is_wide(&self) -> bool {
        !matches!(self, Self::Session(_) | Self::Named(_))
    }
}
