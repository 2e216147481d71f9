//! Reads `Cookie` header lines, which are attacker data: bounded, exact names, no quoting, no percent-decoding.

/// Cookies looked at in one request; a browser keeps about 180 for a domain.
const MOST: usize = 512;

/// All `name=value` pairs, in order; what is not a pair is passed over.
pub fn pairs<'a>(jar: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    jar.iter()
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
        .take(MOST)
}

/// All values of the cookie `name`, in order.
pub fn values<'a>(jar: &'a [&'a str], name: &'a str) -> impl Iterator<Item = &'a str> {
    pairs(jar).filter(move |(key, _)| *key == name).map(|(_, value)| value)
}
