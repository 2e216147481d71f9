//! Decides whether an access token is used as it is, used while a new one is fetched, or fetched first.
//! A pure rule: no I/O.

use std::time::Duration;

use crate::clock::Timestamp;

/// What to do with an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and fetch the next one beside the call: a loser of a race then still holds a valid token.
    Early,
    /// Fetch a new one before the call.
    Ended,
}

/// The freshness of a token that lives from `issued` to `expires`, when refreshing starts `early` before its end, but
/// never in the first half of its life: else a short-lived token would be refreshed by every call.
pub fn freshness(
    issued: Timestamp,
    expires: Timestamp,
    early: Duration,
    now: Timestamp,
) -> Freshness {
    let early = early.min(Duration::from_secs(expires.seconds_after(issued) / 2));
    if expires <= now {
        Freshness::Ended
    } else if expires.minus(early) <= now {
        Freshness::Early
    } else {
        Freshness::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: RF-11
    #[test]
    fn a_token_is_refreshed_before_it_ends_and_not_before_half_of_its_life() {
        let issued = Timestamp(1_000);
        for (life, early, age, expected) in [
            (300, 60, 0, Freshness::Fresh),
            (300, 60, 239, Freshness::Fresh),
            (300, 60, 240, Freshness::Early),
            (300, 60, 299, Freshness::Early),
            (300, 60, 300, Freshness::Ended),
            (300, 60, 900, Freshness::Ended),
            (60, 60, 29, Freshness::Fresh),
            (60, 60, 30, Freshness::Early),
            (1, 60, 0, Freshness::Fresh),
            (1, 60, 1, Freshness::Ended),
        ] {
            let (expires, now) = (Timestamp(1_000 + life), Timestamp(1_000 + age));
            let found = freshness(issued, expires, Duration::from_secs(early), now);
            assert_eq!(found, expected, "{life} {early} {age}");
        }
    }
}
