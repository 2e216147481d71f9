//! Which cookies of ours a request shows: for an operator who asks why. Opens none.

use super::cookies::SessionCookies;
use super::jar::pairs;

/// How many cookies of each kind a request shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookiesShown {
    pub record: usize,
    pub activity: usize,
    pub ticket: usize,
    pub logins: usize,
    pub others: usize,
}

impl SessionCookies {
    /// How many cookies of each kind `jar` shows.
    pub fn describe(&self, jar: &[&str]) -> CookiesShown {
        let mut shown = CookiesShown::default();
        for (name, _) in pairs(jar) {
            let count = if self.chunk_number(name).is_some() {
                &mut shown.record
            } else if name == self.names.activity {
                &mut shown.activity
            } else if name == self.names.ticket {
                &mut shown.ticket
            } else if name.starts_with(&self.names.login) {
                &mut shown.logins
            } else {
                &mut shown.others
            };
            *count += 1;
        }
        shown
    }
}
