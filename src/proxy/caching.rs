//! Who may store a proxied answer: nobody, unless the upstream says that only the browser may (PX-12).
//! The browser side has a cookie where the upstream had `Authorization`, so HTTP's own rule (RFC 9111 §3.5) no longer protects.

use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};

/// Decides `Cache-Control`: `no-store` when the upstream is silent (`private` if the route says so) or lets shared
/// caches in; its own words when they say `private`, `no-cache` or `no-store`.
pub fn decide(headers: &mut HeaderMap, private_by_route: bool) {
    if !headers.contains_key(CACHE_CONTROL) {
        let value = if private_by_route { "private" } else { "no-store" };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
    } else if !is_closed_to_shared_caches(headers) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn is_closed_to_shared_caches(headers: &HeaderMap) -> bool {
    let mut is_closed = false;
    for line in headers.get_all(CACHE_CONTROL) {
        // Text that nobody can read is no promise.
        let Ok(line) = line.to_str() else { return false };
        for directive in line.split(',').map(|part| part.trim().to_ascii_lowercase()) {
            match directive.as_str() {
                // `private="field"` closes one field only, so only the bare words count.
                "private" | "no-cache" | "no-store" => is_closed = true,
                "public" | "must-understand" => return false,
                other if other.starts_with("s-maxage") || other.starts_with("public") => {
                    return false;
                }
                _ => {}
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
    #[case(&["Private, max-age=60"], "Private, max-age=60")]
    #[case(&["no-cache"], "no-cache")]
    #[case(&["no-store"], "no-store")]
    fn only_answers_closed_to_shared_caches_keep_their_own_words(
        #[case] lines: &[&'static str],
        #[case] expected: &str,
    ) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        decide(&mut headers, false);
        assert_eq!(
            headers.get(CACHE_CONTROL).map(HeaderValue::as_bytes),
            Some(expected.as_bytes())
        );
    }

    #[test]
    fn a_route_may_say_private_for_a_silent_upstream() {
        let mut headers = HeaderMap::new();
        decide(&mut headers, true);
        assert_eq!(headers.get(CACHE_CONTROL), Some(&HeaderValue::from_static("private")));
    }
}
