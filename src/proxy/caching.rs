//! Who may store a proxied answer: nobody, unless the upstream says that only the browser may (PX-12).
//! The browser side has a cookie where the upstream had `Authorization`, so HTTP's own rule (RFC 9111 §3.5) no longer protects.

use crate::http1::text;

/// What `Cache-Control` becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// As it is.
    Kept,
    /// This, whatever was said.
    Set(&'static str),
}

/// Decides `Cache-Control`: `no-store` when the upstream is silent (`private` if the route says so) or lets shared
/// caches in; its own words, in these lines, when they say `private`, `no-cache` or `no-store`.
pub fn decide<'a>(
    mut lines: impl Iterator<Item = &'a [u8]> + Clone,
    private_by_route: bool,
) -> Caching {
    if lines.clone().next().is_none() {
        Caching::Set(if private_by_route { "private" } else { "no-store" })
    } else if is_closed_to_shared_caches(&mut lines) {
        Caching::Kept
    } else {
        Caching::Set("no-store")
    }
}

fn is_closed_to_shared_caches<'a>(lines: &mut impl Iterator<Item = &'a [u8]>) -> bool {
    let mut is_closed = false;
    for line in lines {
        // Text that nobody can read is no promise.
        let Some(line) = text(line) else { return false };
        for directive in line.split(',').map(str::trim) {
            let begins = |word: &str| {
                directive.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            };
            let is = |word: &str| directive.eq_ignore_ascii_case(word);
            // `private="field"` closes one field only, so only the bare words count.
            if is("private") || is("no-cache") || is("no-store") {
                is_closed = true;
            } else if begins("public") || is("must-understand") || begins("s-maxage") {
                return false;
            }
        }
    }
    is_closed
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // proves: PX-12
    #[rstest]
    #[case(&[], "no-store")]
    #[case(&["public, max-age=60"], "no-store")]
    #[case(&["max-age=60"], "no-store")]
    #[case(&["private, s-maxage=60"], "no-store")]
    #[case(&["private", "public"], "no-store")]
    #[case(&["private=\"set-cookie\", max-age=9"], "no-store")]
    #[case(&["Private, max-age=60"], "as it is")]
    #[case(&["no-cache"], "as it is")]
    #[case(&["max-age=1", "no-Cache"], "as it is")]
    #[case(&["no-store", "Public"], "no-store")]
    #[case(&["no-store"], "as it is")]
    fn only_answers_closed_to_shared_caches_keep_their_own_words(
        #[case] lines: &[&str],
        #[case] expected: &'static str,
    ) {
        let expected = match expected {
            "as it is" => Caching::Kept,
            word => Caching::Set(word),
        };
        assert_eq!(decide(lines.iter().map(|line| line.as_bytes()), false), expected);
    }

    #[test]
    fn a_route_may_say_private_for_a_silent_upstream() {
        assert_eq!(decide(std::iter::empty(), true), Caching::Set("private"));
        assert_eq!(decide([b"public".as_slice()].into_iter(), true), Caching::Set("no-store"));
    }
}
