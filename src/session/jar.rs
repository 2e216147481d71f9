//! Reads `Cookie` header lines, which are attacker data: bounded, exact names, no quoting, no percent-decoding.

use memchr::memchr;

/// Cookies looked at in one request; a browser keeps about 180 for a domain.
const MOST: usize = 512;

/// Values looked at under a name that a sibling host can plant as well: more are an attack on the one that is ours.
pub const MOST_PLANTED: usize = 32;

/// All `name=value` pairs, in order; what is not a pair is passed over.
pub fn pairs<'a>(jar: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    jar.iter().flat_map(|line| Pairs(Some(line))).take(MOST)
}

/// What is left of one line. A session's line is long and every call reads it: hence `memchr`.
struct Pairs<'a>(Option<&'a str>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.0?;
            let end = memchr(b';', rest.as_bytes());
            self.0 = end.and_then(|at| rest.get(at + 1..));
            let pair = end.and_then(|at| rest.get(..at)).unwrap_or(rest);
            let pair = pair.trim_matches([' ', '\t']);
            if let Some(at) = memchr(b'=', pair.as_bytes()) {
                return Some((pair.get(..at)?, pair.get(at + 1..)?));
            }
        }
    }
}

/// All values of the cookie `name`, in order.
pub fn values<'a>(jar: &'a [&'a str], name: &'a str) -> impl Iterator<Item = &'a str> {
    pairs(jar).filter(move |(key, _)| *key == name).map(|(_, value)| value)
}
