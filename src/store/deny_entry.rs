//! One entry of a deny list, and how it is written down: `KEY UNTIL CREATED_UNTIL TOKENS`. `KEY` is a digest (22 characters
//! of base64url): whoever reads it can open no session with it. Times are seconds; `CREATED_UNTIL` is `-` where it does not
//! matter when a session was created. `TOKENS` says what becomes of the tokens in a cookie that shows up: `revoke` or `leave`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::known_as::Key;
use crate::clock::Timestamp;

/// Sessions created up to this time have ended: all of them, whenever they were created.
pub(super) const ALL: Timestamp = Timestamp(u64::MAX);

/// What becomes of the tokens of an ended session when its cookies show up once more (LO-15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    /// They are of no use to anybody any more.
    #[default]
    Revoke,
    /// They are dead already, or their grant is more than this session's.
    Leave,
}

impl Tokens {
    /// Whoever wants them revoked is heard.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Revoke }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Leave => "leave",
        }
    }
}

/// A name of sessions, and which of those that have it are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub key: Key,
    /// Sessions created up to this time, all by [`ALL`].
    pub created_until: Timestamp,
    /// The entry is needed until this time: no cookie of such a session opens afterwards.
    pub until: Timestamp,
    pub tokens: Tokens,
}

impl Entry {
    /// The entry as a line, without its end.
    pub(super) fn to_line(self) -> String {
        let (key, tokens) = (URL_SAFE_NO_PAD.encode(self.key.0), self.tokens.word());
        match self.created_until {
            ALL => format!("{key} {} - {tokens}", self.until.0),
            created => format!("{key} {} {} {tokens}", self.until.0, created.0),
        }
    }

    /// The entry that a line holds; `None` when it is none.
    pub(super) fn from_line(line: &[u8]) -> Option<Self> {
        let mut words = str::from_utf8(line).ok()?.split(' ');
        let key = URL_SAFE_NO_PAD.decode(words.next()?).ok()?;
        let until = words.next()?.parse().ok()?;
        let created_until = match words.next()? {
            "-" => u64::MAX,
            seconds => seconds.parse().ok()?,
        };
        let tokens = match words.next()? {
            "revoke" => Tokens::Revoke,
            "leave" => Tokens::Leave,
            _ => return None,
        };
        words.next().is_none().then_some(())?;
        let (key, created_until) = (Key(key.try_into().ok()?), Timestamp(created_until));
        Some(Self { key, created_until, until: Timestamp(until), tokens })
    }
}
