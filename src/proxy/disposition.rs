//! Makes a download of an answer that the browser would show as a page of our origin.
//! Never lets an unlisted media type be shown, whatever the upstream says.

use crate::http1::text;

/// `Sec-Fetch-Dest` values under which a browser renders the answer.
const RENDERS: [&[u8]; 5] = [b"document", b"iframe", b"frame", b"object", b"embed"];

/// Whether the browser would render the answer to such a request.
pub fn renders(fetch_dest: Option<&[u8]>) -> bool {
    fetch_dest.is_some_and(|dest| RENDERS.contains(&dest))
}

/// `Content-Disposition: attachment` for an answer that would be rendered, unless its media type is listed in `inline_types`; `None`
/// leaves it as it is. A file name that the upstream gave stays.
pub fn decide<'a>(
    media_types: impl Iterator<Item = &'a [u8]>,
    given: Option<&[u8]>,
    inline_types: &[String],
) -> Option<String> {
    if is_listed(media_types, inline_types) {
        return None;
    }
    let given = given.and_then(text);
    let parameters = given.and_then(|value| value.find(';').and_then(|at| value.get(at..)));
    Some(format!("attachment{}", parameters.unwrap_or_default()))
}

fn is_listed<'a>(mut lines: impl Iterator<Item = &'a [u8]>, inline_types: &[String]) -> bool {
    // Two media types: which one a browser takes is its own business, so neither counts.
    let (Some(value), None) = (lines.next(), lines.next()) else { return false };
    let media_type = text(value).and_then(|text| text.split(';').next()).map(str::trim);
    media_type
        .is_some_and(|seen| inline_types.iter().any(|listed| listed.eq_ignore_ascii_case(seen)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("document", "text/html", None, Some("attachment"))]
    #[case("iframe", "image/svg+xml", None, Some("attachment"))]
    #[case("document", "application/pdf; a=b", None, None)]
    #[case(
        "document",
        "text/html",
        Some("inline; filename=\"a.html\""),
        Some("attachment; filename=\"a.html\"")
    )]
    #[case("empty", "text/html", None, None)]
    #[case("image", "image/png", None, None)]
    fn what_would_be_a_page_becomes_a_download(
        #[case] dest: &str,
        #[case] media_type: &str,
        #[case] given: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let inline = ["application/pdf".to_owned()];
        let media_types = [media_type.as_bytes()].into_iter();
        let becomes = if renders(Some(dest.as_bytes())) {
            decide(media_types, given.map(str::as_bytes), &inline)
        } else {
            None
        };
        assert_eq!(becomes.as_deref(), expected);
        assert!(!renders(None));
    }

    #[test]
    fn two_media_types_are_no_listed_type() {
        let twice = [b"application/pdf".as_slice(), b"text/html"];
        let inline = ["application/pdf".to_owned()];
        assert_eq!(decide(twice.into_iter(), None, &inline).as_deref(), Some("attachment"));
    }
}
