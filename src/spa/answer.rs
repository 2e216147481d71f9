//! Answers a request by a file: variant, ETag, cache rule, policy, and the index for navigations.

use actix_web::HttpResponse;
use actix_web::http::header;
use http::Method;

use super::folder::{self, File, Variant};
use super::{Files, SpaFiles};
use crate::edge::Request;

impl SpaFiles {
    /// The file at `path`, the index for a navigation inside the SPA, or `None`.
    pub fn answer(&self, request: &Request, path: &str) -> Option<HttpResponse> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        let file = match path.strip_suffix('/') {
            Some(folder) => self.file(&format!("{folder}/index.html")),
            None => self.file(&path),
        };
        let file = match file {
            Some(file) => file,
            None if is_navigation(request) && !names_a_file(&path) => self.file("/index.html")?,
            None => return None,
        };
        Some(self.send(request, &file))
    }

    fn file(&self, url: &str) -> Option<File> {
        match &self.files {
            Files::Listed(files) => files.get(url).cloned(),
            Files::Relisted(root) => {
                let found = folder::list(root).and_then(|names| folder::read(&names, url));
                found.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the SPA folder cannot be read");
                    None
                })
            }
        }
    }

    fn send(&self, request: &Request, file: &File) -> HttpResponse {
        let (variant, encoding) = choose(request, file);
        let cache = match (&self.files, file.immutable) {
            (Files::Relisted(_), _) => "no-store",
            (Files::Listed(_), true) => "public, max-age=31536000, immutable",
            (Files::Listed(_), false) => "no-cache",
        };
        let unchanged = matches_etag(request, &variant.etag);
        let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header((header::CACHE_CONTROL, cache))
            .insert_header((header::ETAG, variant.etag.as_str()))
            .insert_header((header::VARY, "Accept-Encoding"))
            .insert_header((header::CONTENT_SECURITY_POLICY, self.csp.as_str()))
            // The full address stays on our own origin, where /login may want to see it.
            .insert_header((header::REFERRER_POLICY, "same-origin"))
            .insert_header(("cross-origin-resource-policy", "same-origin"));
        if file.media_type.starts_with("text/html") {
            response.insert_header(("cross-origin-opener-policy", "same-origin"));
        }
        if unchanged {
            return response.finish();
        }
        if let Some(encoding) = encoding {
            response.insert_header((header::CONTENT_ENCODING, encoding));
        }
        response.content_type(file.media_type.as_str()).body(variant.body.clone())
    }
}

/// A tab that opens an address, as opposed to a script that fetches one.
fn is_navigation(request: &Request) -> bool {
    let fields = request.fields();
    match fields.get("sec-fetch-dest") {
        Some(dest) => dest == b"document",
        None => fields.get("accept").is_some_and(|value| value.starts_with(b"text/html")),
    }
}

/// A last segment with a dot is an asset: when it is missing, HTML in its place would only confuse.
fn names_a_file(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.contains('.'))
}

fn choose<'a>(request: &Request, file: &'a File) -> (&'a Variant, Option<&'static str>) {
    let accepted = request.fields().text("accept-encoding").unwrap_or("");
    let takes = |name: &str| {
        accepted.split(',').any(|item| {
            let (coding, quality) = item.split_once(';').unwrap_or((item, ""));
            let refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
            coding.trim().eq_ignore_ascii_case(name) && !refused
        })
    };
    match (&file.brotli, &file.gzip) {
        (Some(brotli), _) if takes("br") => (brotli, Some("br")),
        (_, Some(gzip)) if takes("gzip") => (gzip, Some("gzip")),
        _ => (&file.plain, None),
    }
}

fn matches_etag(request: &Request, etag: &str) -> bool {
    request.fields().text("if-none-match").is_some_and(|list| {
        list.split(',')
            .map(str::trim)
            .any(|item| item == "*" || item.strip_prefix("W/").unwrap_or(item) == etag)
    })
}
