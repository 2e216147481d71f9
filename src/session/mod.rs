//! The session in the browser: record, seal, key ring, chunks, cookies. Never logs, never talks to the network.

mod codec;
mod cookies;
mod jar;
mod key_ring;
mod login_cookie;
mod login_trail;
mod logout_cookie;
mod names;
mod record;
mod registration;
mod ruled_claims;
mod set_cookie;
mod shown;
mod stored;
mod ticket;
mod xaes;

#[cfg(test)]
mod arbitrary_tests;
#[cfg(test)]
mod registration_tests;
#[cfg(test)]
mod tests;

pub use cookies::{Kept, OpenSession, Opened, SessionCookies};
pub use key_ring::{CounterOf, Identity, KeyRing, Keys, KeysChanged};
pub use login_cookie::LoginCookieError;
pub use login_trail::LoginTrail;
pub use logout_cookie::LogoutTicket;
pub use record::{LoginAttempt, Replaced, SessionId, SessionRecord};
pub use registration::Registration;
pub use ruled_claims::{Claims, RuledNames};
pub use shown::CookiesShown;
pub use ticket::Ticket;

/// Why something cannot be sealed, or a key ring cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("no cookie key is configured")]
    NoKey,
    #[error("two cookie keys have ids that cannot be told apart; rename one")]
    KeyIdCollision,
    #[error(
        "the session needs {needed} bytes of cookies, {budget} are allowed; shorten the tokens at the authorization server"
    )]
    OverBudget { needed: usize, budget: usize },
    #[error("it belongs to a client that this app does not have, or no longer")]
    UnknownClient,
    #[error("sealing failed")]
    Seal,
}
