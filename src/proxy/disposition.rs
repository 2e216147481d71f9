//! Makes a download of an answer that the browser would show as a page of our origin.
//! Never lets an unlisted media type be shown, whatever the upstream says.

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue};

/// `Sec-Fetch-Dest` values under which a browser renders the answer.
const RENDERS: [&[u8]; 5] = [b"document", b"iframe", b"frame", b"object", b"embed"];

/// Sets `Content-Disposition: attachment` for a request that renders, unless the media type is listed in `inline_types`.
/// A file name that the upstream gave stays.
pub fn decide(headers: &mut HeaderMap, fetch_dest: Option<&[u8]>, inline_types: &[String]) {
    let renders = fetch_dest.is_some_and(|dest| RENDERS.contains(&dest));
    if !renders || is_listed(headers, inline_types) {
        return;
    }
    let parameters = headers
        .get(CONTENT_DISPOSITION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.find(';').and_then(|at| value.get(at..)));
    let attachment = parameters
        .and_then(|parameters| HeaderValue::try_from(format!("attachment{parameters}")).ok())
        .unwrap_or(HeaderValue::from_static("attachment"));
    headers.insert(CONTENT_DISPOSITION, attachment);
}

fn is_listed(headers: &HeaderMap, inline_types: &[String]) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE);
    // Two media types: which one a browser takes is its own business, so neither counts.
    let (Some(value), None) = (lines.next(), lines.next()) else { return false };
    let media_type = value.to_str().ok().and_then(|text| text.split(';').next()).map(str::trim);
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
        #[case] media_type: &'static str,
        #[case] given: Option<&'static str>,
        #[case] expected: Option<&str>,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Some(given) = given {
            headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(given));
        }
        decide(&mut headers, Some(dest.as_bytes()), &["application/pdf".to_owned()]);
        let seen = headers.get(CONTENT_DISPOSITION).and_then(|value| value.to_str().ok());
        assert_eq!(seen, expected);
    }

    #[test]
    fn two_media_types_are_no_listed_type() {
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/pdf"));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        decide(&mut headers, Some(b"document"), &["application/pdf".to_owned()]);
        assert!(headers.contains_key(CONTENT_DISPOSITION));
    }
}
