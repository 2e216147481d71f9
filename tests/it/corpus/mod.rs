//! The corpora of `tests/corpus` on raw sockets against the whole server: request paths, header fields, message framing in
//! front of it and behind it. A new trick is a new line or a new file there, not new code here.

mod behind;
mod cache;
mod clients;
mod fields;
mod front;
mod house;
mod paths;
mod slow;
mod text;
mod upstream;

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use futures_util::FutureExt as _;

/// The cases of one corpus that did not come out as they say: all of them are tried, and then named.
#[derive(Default)]
struct Failures(Mutex<Vec<String>>);

impl Failures {
    /// Tries one case; its panic has been printed when this returns.
    async fn catch(&self, case: impl Into<String>, run: impl Future<Output = ()>) {
        if AssertUnwindSafe(run).catch_unwind().await.is_err() {
            self.0.lock().unwrap().push(case.into());
        }
    }

    fn assert_none(self) {
        let failures = self.0.into_inner().unwrap();
        assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures.join("\n"));
    }
}
