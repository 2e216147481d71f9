//! Makes the id that ties a request's answer, log lines and audit events together. Never takes one from outside:
//! a foreign id could forge log lines or collide on purpose.

use std::cell::RefCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::Random;

/// Random bytes of an id.
const BYTES: usize = 12;
/// Their length in base64url.
const LENGTH: usize = 16;
/// Random bytes fetched at once: asking the operating system for each id costs more than all else about it.
const STOCK: usize = 256 * BYTES;

/// A request's id: 16 characters of base64url, 96 random bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; LENGTH]);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Where one worker takes its ids from.
pub struct RequestIds {
    random: Random,
    stock: RefCell<Stock>,
}

struct Stock {
    bytes: [u8; STOCK],
    used: usize,
}

impl RequestIds {
    /// Ids from `random`.
    pub fn new(random: Random) -> Self {
        Self { random, stock: RefCell::new(Stock { bytes: [0; STOCK], used: STOCK }) }
    }

    /// A fresh id.
    pub fn next(&self) -> RequestId {
        let mut stock = self.stock.borrow_mut();
        if stock.used == STOCK {
            stock.bytes = self.random.bytes();
            stock.used = 0;
        }
        let at = stock.used;
        stock.used += BYTES;
        let mut id = [0; LENGTH];
        // Twelve bytes are sixteen characters: the slice is never too short.
        let _length = URL_SAFE_NO_PAD
            .encode_slice(stock.bytes.get(at..at + BYTES).unwrap_or_default(), &mut id);
        RequestId(id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_text_of_one_length_and_none_comes_twice() {
        let ids = RequestIds::new(Random::system());
        let seen: BTreeSet<String> = (0..2_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(seen.len(), 2_000);
        assert!(seen.iter().all(|id| {
            id.len() == LENGTH
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        }));
    }
}
