//! Notices a browser whose logins go round in circles, and names the cause instead of sending it on another round.
//! Two circles exist. Logins that fail again and again are counted per address and user agent, because a browser that
//! returns no cookie has no better name. Logins that work and start anew at once are counted in the browser itself, so
//! that many users behind one address, and many tabs, are no circle.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::LoginConfig;
use crate::session::LoginTrail;

/// Browsers watched at once; beyond it the watch starts over rather than grow.
const MOST_BROWSERS: usize = 4_096;

/// A browser without cookies has no better name than its address and user agent.
#[derive(Clone, Copy, Hash)]
pub struct Browser<'a> {
    pub address: IpAddr,
    pub user_agent: &'a str,
}

/// Recent failures per browser.
pub struct LoopWatch {
    limit: usize,
    window: Duration,
    hasher: RandomState,
    failures: Mutex<HashMap<u64, Vec<Timestamp>>>,
}

impl LoopWatch {
    /// `config` says how many rounds in which time are a circle.
    pub fn new(config: &LoginConfig) -> Self {
        Self {
            limit: config.loop_limit,
            window: config.loop_window,
            hasher: RandomState::new(),
            failures: Mutex::default(),
        }
    }

    /// A login failed; `true` when it is one too many.
    pub fn fails(&self, browser: Browser<'_>, now: Timestamp) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MOST_BROWSERS {
            failures.clear();
        }
        let recent = failures.entry(self.hasher.hash_one(browser)).or_default();
        let oldest = now.minus(self.window);
        recent.retain(|at| *at > oldest);
        // A full list stays as it is: waiting for the window to pass ends the stop.
        if recent.len() < self.limit {
            recent.push(now);
        }
        recent.len() >= self.limit
    }

    /// A login worked: the browser's failures are forgotten.
    pub fn works(&self, browser: Browser<'_>) {
        let key = self.hasher.hash_one(browser);
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

/// How many logins in a row the one that starts now would be the repetition of; 0 when it is an ordinary one.
///
/// A tab that opens another page soon after a login shows its session; a browser that drops our session cookie shows
/// none, and an app that does not accept the session comes back for the same page.
pub fn round(
    trail: Option<&LoginTrail>,
    has_session: bool,
    return_to: &str,
    window: Duration,
    now: Timestamp,
) -> usize {
    let Some(trail) = trail.filter(|trail| trail.at.plus(window) > now) else {
        return 0;
    };
    if !has_session || trail.returned_to(return_to) { trail.rounds.saturating_add(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: Browser<'_> =
        Browser { address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), user_agent: "tests" };
    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn the_third_failure_within_the_window_stops_and_time_or_success_heals() {
        let watch = LoopWatch::new(&LoginConfig {
            max_age: Duration::from_secs(600),
            max_parallel: 10,
            allowed_params: Vec::new(),
            loop_limit: 3,
            loop_window: WINDOW,
            revoke_replaced: false,
        });
        assert!(!watch.fails(BROWSER, Timestamp(100)));
        assert!(!watch.fails(BROWSER, Timestamp(110)));
        assert!(watch.fails(BROWSER, Timestamp(120)));
        assert!(!watch.fails(BROWSER, Timestamp(200)));
        assert!(!watch.fails(BROWSER, Timestamp(201)));
        watch.works(BROWSER);
        assert!(!watch.fails(BROWSER, Timestamp(202)));
        let other = Browser { user_agent: "another", ..BROWSER };
        assert!(!watch.fails(other, Timestamp(203)));
    }

    #[test]
    fn only_a_lost_session_or_the_same_page_again_is_another_round() {
        let trail = LoginTrail::new(2, Timestamp(100), "/orders");
        for (has_session, return_to, now, expected) in [
            (false, "/orders", 101, 3),
            (false, "/elsewhere", 101, 3),
            (true, "/orders", 159, 3),
            (true, "/elsewhere", 101, 0),
            (false, "/orders", 160, 0),
        ] {
            let found = round(Some(&trail), has_session, return_to, WINDOW, Timestamp(now));
            assert_eq!(found, expected, "{has_session} {return_to} {now}");
        }
        assert_eq!(
            round(None, false, "/", WINDOW, Timestamp(100)),
            0,
            "another browser, or a first login"
        );
    }
}
