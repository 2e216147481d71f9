//! How long something may stay open that a session has opened: until the session ends by logout or by time, or the access
//! token does where a route says so (PX-16, ASVS 7.4.1). The idle time does not count: whoever reads a stream is not
//! idle, and signs of life travel in cookies, which a stream does not see. Never ends anything by itself.

use std::sync::Arc;

use super::deny::DenyList;
use super::known_as::SessionKeys;
use crate::clock::{Clock, Timestamp};

/// Why something that a session opened is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Logged out here or elsewhere, replaced by another login, or ended by the authorization server.
    SessionEnded,
    /// The absolute end has come.
    SessionExpired,
    /// The access token has ended that it was opened with.
    TokenExpired,
}

impl Ending {
    /// As it stands in metrics, audit events and the reason of a WebSocket's Close frame.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionEnded => "session_ended",
            Self::SessionExpired => "session_expired",
            Self::TokenExpired => "token_expired",
        }
    }
}

/// What bounds an open stream or tunnel.
#[derive(Clone, Debug)]
pub struct Lifetime {
    pub session: SessionKeys,
    /// The session's absolute end.
    pub session_ends: Timestamp,
    /// The access token's end, where that closes it too.
    pub token_ends: Option<Timestamp>,
    pub deny: Arc<DenyList>,
    pub clock: Clock,
}

impl Lifetime {
    /// Waits for the end. Costs nothing before it is first polled.
    pub async fn over(self) -> Ending {
        let (at, why) = match self.token_ends {
            Some(token) if token < self.session_ends => (token, Ending::TokenExpired),
            _ => (self.session_ends, Ending::SessionExpired),
        };
        tokio::select! {
            biased;
            () = self.deny.denied(self.session) => Ending::SessionEnded,
            () = self.clock.until(at) => why,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::known_as::KnownAs;
    use super::super::{Tokens, Whom};
    use super::*;

    fn lifetime(token_ends: Option<u64>) -> Lifetime {
        Lifetime {
            session: KnownAs {
                id: &[1; 16],
                issuer: "https://op",
                op_sid: None,
                subject: "alice",
                created: Timestamp(900),
            }
            .keys(),
            session_ends: Timestamp(1_500),
            token_ends: token_ends.map(Timestamp),
            deny: Arc::default(),
            clock: Clock::manual(Timestamp(1_000)),
        }
    }

    // proves: PX-16
    #[tokio::test]
    async fn the_first_end_counts() {
        for (token_ends, after, expected) in [
            (None, 500, Ending::SessionExpired),
            (Some(1_300), 300, Ending::TokenExpired),
            (Some(9_000), 500, Ending::SessionExpired),
        ] {
            let life = lifetime(token_ends);
            let clock = life.clock.clone();
            let over = tokio::spawn(life.over());
            clock.advance(Duration::from_secs(after - 1));
            tokio::task::yield_now().await;
            assert!(!over.is_finished(), "{expected:?}");
            clock.advance(Duration::from_secs(1));
            assert_eq!(over.await.unwrap(), expected);
        }
        let life = lifetime(None);
        let deny = Arc::clone(&life.deny);
        let over = tokio::spawn(life.over());
        deny.deny(Whom::Session(&[2; 16]), Timestamp(1_500), Tokens::Revoke, Timestamp(1_000));
        tokio::task::yield_now().await;
        assert!(!over.is_finished(), "another session");
        deny.deny(Whom::Session(&[1; 16]), Timestamp(1_500), Tokens::Revoke, Timestamp(1_000));
        assert_eq!(over.await.unwrap(), Ending::SessionEnded);
    }
}
