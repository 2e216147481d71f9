//! The formats of what another release may read: cookies that live for weeks, what instances share while they are replaced
//! one by one, a file that outlives the process. Says which versions this release reads and which one it writes.
//! A version is never written by the release that reads it first: the one before would not understand it, and a rolling
//! update, or a way back, would cost sessions. `docs/upgrading.md` has the releases; a test compares.

/// One format.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    /// As `docs/upgrading.md` calls it.
    pub name: &'static str,
    /// The oldest and the newest version that is read; all between are, too.
    pub reads: (u8, u8),
    pub writes: u8,
}

impl Format {
    /// Whether `version` is read.
    pub const fn can_read(&self, version: u8) -> bool {
        self.reads.0 <= version && version <= self.reads.1
    }
}

/// The seal around everything that a browser or Redis keeps for us.
pub const SEAL: Format = Format { name: "seal", reads: (1, 1), writes: 1 };
/// What is inside: session records, login attempts, tickets.
pub const RECORD: Format = Format { name: "record", reads: (1, 1), writes: 1 };
/// The file of ended sessions.
pub const DENY_FILE: Format = Format { name: "deny file", reads: (1, 1), writes: 1 };

/// All of them.
pub const ALL: [&Format; 3] = [&SEAL, &RECORD, &DENY_FILE];
