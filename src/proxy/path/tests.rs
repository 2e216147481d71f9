//! Paths: what passes and in which form, what is refused and why, and that nothing hides a dot segment.

use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use rstest::rstest;

use super::{NormalPath, PathError};

#[rstest]
#[case("/", "/")]
#[case("/api/orders", "/api/orders")]
#[case("/api/orders/", "/api/orders/")]
#[case("/api/%6Frders/%7euser", "/api/orders/~user")]
#[case("/api/a%2eb", "/api/a.b")]
#[case("/api/.well-known/..x", "/api/.well-known/..x")]
#[case("/api/f%c3%bc%3f", "/api/f%C3%BC%3F")]
#[case("/api/a%20b", "/api/a%20b")]
#[case("/api/[1]|{2}^\"", "/api/%5B1%5D%7C%7B2%7D%5E%22")]
#[case("/api/a;v=1/b@c:d,e", "/api/a;v=1/b@c:d,e")]
#[case("/api/100%25", "/api/100%25")]
#[case("/api/100%25%20x", "/api/100%25%20x")]
fn a_plain_path_passes_in_its_one_form(#[case] raw: &str, #[case] normal: &str) {
    assert_eq!(NormalPath::parse(raw).map(|path| path.0), Ok(normal.to_owned()));
}

// proves: PX-01
#[rstest]
#[case("", PathError::NotAbsolute)]
#[case("*", PathError::NotAbsolute)]
#[case("api", PathError::NotAbsolute)]
#[case("//evil.example/x", PathError::EmptySegment)]
#[case("/api//x", PathError::EmptySegment)]
#[case("/api/;a=b/x", PathError::EmptySegment)]
#[case("/api/..", PathError::DotSegment)]
#[case("/api/../admin", PathError::DotSegment)]
#[case("/api/./x", PathError::DotSegment)]
#[case("/api/.", PathError::DotSegment)]
#[case("/api/%2e%2E/admin", PathError::DotSegment)]
#[case("/api/.%2e/admin", PathError::DotSegment)]
#[case("/api/..;/admin", PathError::DotSegment)]
#[case("/api/..;a=b/admin", PathError::DotSegment)]
#[case("/api/..%3b/admin", PathError::DotSegment)]
#[case("/api/..%20/admin", PathError::DotSegment)]
#[case("/api/.../admin", PathError::DotSegment)]
#[case("/api/..%2f..%2fadmin", PathError::HiddenSeparator)]
#[case("/api/..%5cadmin", PathError::HiddenSeparator)]
#[case("/api/a%2Fb", PathError::HiddenSeparator)]
#[case("/api/..\\admin", PathError::Character)]
#[case("/api/x%00.css", PathError::Character)]
#[case("/api/x%0d%0aHost:%20evil", PathError::Character)]
#[case("/api/x%7f", PathError::Character)]
#[case("/api/x y", PathError::Character)]
#[case("/api/x#y", PathError::Character)]
#[case("/api/x?y", PathError::Character)]
#[case("/api/ü", PathError::Character)]
#[case("/api/%252e%252e/admin", PathError::EncodedTwice)]
#[case("/api/%25%32%65%252e/admin", PathError::EncodedTwice)]
#[case("/api/%252f", PathError::EncodedTwice)]
#[case("/api/%2525", PathError::EncodedTwice)]
#[case("/api/%25u002e%25u002e/", PathError::EncodedTwice)]
#[case("/api/%u002e", PathError::Encoding)]
#[case("/api/%", PathError::Encoding)]
#[case("/api/%2", PathError::Encoding)]
#[case("/api/%+2", PathError::Encoding)]
#[case("/api/%%32%65", PathError::Encoding)]
#[case("/api/%c0%ae%c0%ae/admin", PathError::NotUtf8)]
#[case("/api/%c0%af", PathError::NotUtf8)]
#[case("/api/%e0%80%ae", PathError::NotUtf8)]
#[case("/api/%ff", PathError::NotUtf8)]
fn a_path_with_two_meanings_is_refused(#[case] raw: &str, #[case] why: PathError) {
    assert_eq!(NormalPath::parse(raw), Err(why));
}

/// Pieces that matter, glued in any order.
fn nasty() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/", ".", "..", "%2e", "%2E", "%252e", "%25", "%", "2e", "25", "2f", "%2f", "%5c", "\\",
        ";", "%3b", "%20", "%c0%ae", "%u002e", "u002e", "a", "F", "+", "%e2", "%80", "%a4", "%32",
        "%65",
    ]);
    prop::collection::vec(pieces, 0..14).prop_map(|parts| format!("/{}", parts.concat()))
}

fn has_dot_segment(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or("").trim_end_matches(' ');
        name == "." || name == ".."
    })
}

proptest! {
    // About one in six texts parses.
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    // proves: PX-01
    #[test]
    fn no_further_decoding_of_a_parsed_path_shows_a_dot_segment_or_a_new_slash(raw in nasty()) {
        if let Ok(path) = NormalPath::parse(&raw) {
            let slashes = path.as_str().matches('/').count();
            let mut text = path.as_str().to_owned();
            for _ in 0..6 {
                prop_assert!(!has_dot_segment(&text), "{raw:?} became {text:?}");
                prop_assert_eq!(text.matches(['/', '\\']).count(), slashes);
                text = percent_decode_str(&text).decode_utf8().expect("stays UTF-8").into_owned();
            }
        }
    }

    #[test]
    fn the_normal_form_of_a_normal_form_is_itself(raw in nasty()) {
        if let Ok(path) = NormalPath::parse(&raw) {
            prop_assert_eq!(NormalPath::parse(path.as_str()), Ok(path));
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused_without_a_panic(raw in ".{0,40}") {
        if let Ok(path) = NormalPath::parse(&raw) {
            prop_assert!(path.as_str().is_ascii() && path.as_str().starts_with('/'));
        }
    }
}

proptest! {
    #[test]
    fn plain_paths_get_the_verdict_that_all_paths_get(text in "(/[a-z.$\"~-]{0,4}){1,5}") {
        // What must not stand in a path was encoded before the segments are looked at.
        let text = text.replace('"', "%22");
        prop_assert_eq!(super::check_plain_segments(&text), super::check_segments(&text));
    }
}
