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

/// The early window of a session, up to an eighth shorter for some than for others: those that began together do not all
/// refresh in the same second. Every request of one generation gets the same. In whole seconds, as the clock counts: less
/// would take a second of a short window, or all of it.
pub fn spread(early: Duration, session: &[u8; 16], generation: u32) -> Duration {
    let [one, two, ..] = *session;
    let share = u16::from_be_bytes([one, two]).rotate_left(generation % 16);
    let shorter = early.as_secs() / 8 * u64::from(share) / u64::from(u16::MAX);
    early.saturating_sub(Duration::from_secs(shorter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // proves: RF-11
        #[test]
        fn windows_differ_by_an_eighth_at_most_and_short_ones_not_at_all(
            session: [u8; 16], generation: u32, seconds in 0_u64..4_000,
        ) {
            let early = spread(Duration::from_secs(seconds), &session, generation).as_secs();
            prop_assert!(early <= seconds && early >= seconds - seconds / 8);
            prop_assert!(seconds >= 8 || early == seconds);
        }
    }

    #[test]
    fn sessions_that_began_together_refresh_at_different_times() {
        let window =
            |n: u8| spread(Duration::from_secs(60), &[n.wrapping_mul(37); 16], 1).as_secs();
        let windows: std::collections::BTreeSet<u64> = (0..=255).map(window).collect();
        assert_eq!(windows, (53..=60).collect());
    }

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
