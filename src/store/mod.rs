//! What outlives a request on the server: the deny list and its file, what instances share through
//! Redis, what may come only once, how long what a session
//! opened may stay open, and who listens to a session. Never holds a token in the clear.

mod deny;
mod deny_entry;
mod deny_file;
mod journal;
mod known_as;
mod lifetime;
mod news;
mod redis;
mod seen;
mod whom;

pub use deny::DenyList;
pub use deny_entry::Tokens;
pub use deny_file::DenyFileError;
pub use journal::Report;
pub use known_as::{KnownAs, SessionKeys, SessionName};
pub use lifetime::{Ending, Lifetime};
pub use news::{Listener, SessionNews};
pub use redis::{
    Begun, Claims, Contact, Found, LEASE, Lease, Link, Listing, RENEWED_EVERY, RecordStore, Redis,
    RefreshStore, SessionDigest, StoreError, Stored,
};
pub use seen::Seen;
pub use whom::Whom;
