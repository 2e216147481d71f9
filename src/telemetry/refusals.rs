//! The latest refusals of a process, so that an operator who is given a request id learns why. In memory and bounded; holds
//! names of fields and words of ours, never a value that came from outside but for the path without its query.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Refusals that are remembered; each takes some hundred bytes.
const MOST: usize = 1_000;
/// Characters of a path that are remembered.
const LONGEST_PATH: usize = 200;

/// One request that was refused, or login that failed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub request_id: String,
    /// Seconds since 1970.
    pub at: u64,
    /// The id of the app; absent where none was found.
    pub app: Option<String>,
    /// The stable code: of the problem, or `auth_error`.
    pub code: String,
    pub method: String,
    pub path: String,
    /// What was seen of the request that bears on it, a line each.
    pub seen: Vec<String>,
}

/// The memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<VecDeque<Refused>>>);

impl Refusals {
    /// Remembers one, and forgets the oldest when there are too many.
    pub fn remember(&self, refused: Refused) {
        let path: String = refused.path.chars().take(LONGEST_PATH).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == MOST {
            all.pop_front();
        }
        all.push_back(Refused { path, ..refused });
    }

    /// The one of this request.
    pub fn find(&self, request_id: &str) -> Option<Refused> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|refused| refused.request_id == request_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(number: usize) -> Refused {
        Refused {
            request_id: format!("id-{number}"),
            at: 1,
            app: None,
            code: "not_found".to_owned(),
            method: "GET".to_owned(),
            path: "/x".repeat(1_000),
            seen: Vec::new(),
        }
    }

    #[test]
    fn the_latest_are_remembered_and_the_oldest_make_room() {
        let refusals = Refusals::default();
        for number in 0..MOST + 5 {
            refusals.remember(refused(number));
        }
        assert_eq!(refusals.0.lock().unwrap().len(), MOST);
        assert_eq!(refusals.find("id-4"), None);
        assert_eq!(refusals.find("id-5").unwrap().path.len(), LONGEST_PATH);
        assert_eq!(refusals.find("id-1004").unwrap().code, "not_found");
    }
}
