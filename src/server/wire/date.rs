//! The `date` of answers (RFC 9110 §6.6.1), written out once a second for each thread.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use crate::clock::{Clock, Timestamp};

thread_local! {
    /// The line of a second.
    static LINE: RefCell<(Timestamp, String)> = const { RefCell::new((Timestamp(0), String::new())) };
}

/// The whole line, with its end.
pub(super) fn write(out: &mut Vec<u8>) {
    // The operating system's clock, whatever a test's clock says: a statement about the message.
    let now = Clock::system().now();
    LINE.with_borrow_mut(|(second, line)| {
        if *second != now || line.is_empty() {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now.0));
            *line = format!("date: {date}\r\n");
            *second = now;
        }
        out.extend_from_slice(line.as_bytes());
    });
}
