//! A SPA folder as browsers and attackers ask for it.

use std::fs;
use std::path::PathBuf;

use actix_web::body::MessageBody as _;
use rstest::rstest;

use super::*;
use crate::config::SpaConfig;

/// A folder of its own for each test, removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root =
            std::env::temp_dir().join(format!("cloakroom-spa-{name}-{}", std::process::id()));
        let _gone = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("assets")).unwrap();
        fs::write(root.join("index.html"), "<!doctype html><title>app</title>").unwrap();
        fs::write(root.join("assets/index-DiwrgTda.js"), "let x = 1").unwrap();
        fs::write(root.join("assets/index-DiwrgTda.js.br"), "BROTLI").unwrap();
        fs::write(root.join("assets/index-DiwrgTda.js.gz"), "GZIP").unwrap();
        fs::write(root.join("a b.txt"), "spaced").unwrap();
        fs::write(root.join(".env"), "SECRET=1").unwrap();
        Self(root)
    }

    fn spa(&self, relist: bool) -> SpaFiles {
        SpaFiles::load(&self.0, relist, "default-src 'self'".to_owned()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn get(spa: &SpaFiles, path: &str, headers: &[(&str, &str)]) -> Option<HttpAnswer> {
    let request = Request::test("GET", path, headers);
    spa.answer(&request, request.uri().path()).map(HttpAnswer::from)
}

struct HttpAnswer {
    status: u16,
    headers: actix_web::http::header::HeaderMap,
    body: String,
}

impl HttpAnswer {
    fn from(response: actix_web::HttpResponse) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().try_into_bytes().unwrap();
        Self { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

const NAVIGATE: [(&str, &str); 1] = [("sec-fetch-dest", "document")];

#[rstest]
#[case::root("/", true)]
#[case::deep_link("/orders/7", true)]
#[case::encoded("/a%20b.txt", false)]
#[case::asset("/assets/index-DiwrgTda.js", false)]
fn files_and_the_index_are_found(#[case] path: &str, #[case] html: bool) {
    let folder = Folder::new(&format!("found{}", path.len()));
    let answer = get(&folder.spa(false), path, &NAVIGATE).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type").starts_with("text/html"), html);
}

#[rstest]
#[case::missing_asset("/assets/gone.js", "document")]
#[case::fetch("/orders/7", "empty")]
#[case::script("/orders/7", "script")]
#[case::hidden("/.env", "document")]
#[case::hidden_fetch("/.env", "empty")]
#[case::dots("/../Cargo.toml", "document")]
#[case::encoded_dots("/%2e%2e/Cargo.toml", "document")]
fn nothing_else_is(#[case] path: &str, #[case] dest: &str) {
    let folder = Folder::new(&format!("nothing{}{dest}", path.len()));
    let answer = get(&folder.spa(false), path, &[("sec-fetch-dest", dest)]);
    assert!(answer.is_none());
}

#[test]
fn a_link_that_leads_outside_is_not_listed() {
    let folder = Folder::new("link");
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("passwd")).unwrap();
    std::os::unix::fs::symlink(folder.0.join("a b.txt"), folder.0.join("inside.txt")).unwrap();
    let spa = folder.spa(false);
    assert!(get(&spa, "/passwd", &[]).is_none());
    assert_eq!(get(&spa, "/inside.txt", &[]).unwrap().body, "spaced");
}

#[rstest]
#[case("br, gzip", "BROTLI", "br")]
#[case("gzip", "GZIP", "gzip")]
#[case("br;q=0, gzip;q=0.5", "GZIP", "gzip")]
#[case("", "let x = 1", "")]
fn the_smallest_accepted_variant_is_sent(
    #[case] accept: &str,
    #[case] body: &str,
    #[case] encoding: &str,
) {
    let folder = Folder::new(&format!("variant{}", accept.len()));
    let path = "/assets/index-DiwrgTda.js";
    let answer = get(&folder.spa(false), path, &[("accept-encoding", accept)]).unwrap();
    assert_eq!((answer.body.as_str(), answer.header("content-encoding")), (body, encoding));
    assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(answer.header("vary"), "Accept-Encoding");
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let folder = Folder::new("etag");
    let spa = folder.spa(false);
    let first = get(&spa, "/", &NAVIGATE).unwrap();
    assert_eq!(first.header("cache-control"), "no-cache");
    let csp = first.header("content-security-policy");
    assert_eq!(csp, "default-src 'self'; frame-ancestors 'none'");
    let again = get(&spa, "/", &[("if-none-match", first.header("etag"))]).unwrap();
    assert_eq!((again.status, again.body.as_str()), (304, ""));
}

#[test]
fn a_relisted_folder_shows_what_was_just_saved() {
    let folder = Folder::new("relist");
    let spa = folder.spa(true);
    fs::write(folder.0.join("new.txt"), "fresh").unwrap();
    assert_eq!(get(&spa, "/new.txt", &[]).unwrap().body, "fresh");
}

#[test]
fn a_folder_without_an_index_is_refused_by_name() {
    let folder = Folder::new("noindex");
    fs::remove_file(folder.0.join("index.html")).unwrap();
    let source = SpaSource::Folder(folder.0.clone(), false);
    let config = SpaConfig { source, csp: String::new() };
    let error = Spa::load(&config, "http://localhost").unwrap_err();
    assert!(error.to_string().contains("has no index.html"), "{error}");
}

// proves: CS-10
#[rstest]
#[case("default-src *;", "default-src *; frame-ancestors 'none'")]
#[case("", "frame-ancestors 'none'")]
#[case("frame-ancestors https://portal.example.com", "frame-ancestors https://portal.example.com")]
fn the_spa_is_not_framed_unless_its_policy_says_so(#[case] policy: &str, #[case] sent: &str) {
    assert_eq!(unframed(policy.to_owned()), sent);
}

#[rstest]
#[case("/assets/index-DiwrgTda.js", true)]
#[case("/main.8f3a9c1e.css", true)]
#[case("/assets/index-overview.js", false)]
#[case("/report-20240101.csv", false)]
#[case("/archive-8f3a9c1e.html", false)]
#[case("/8f3a9c1e.js", false)]
fn only_names_with_a_digest_are_kept_for_ever(#[case] url: &str, #[case] expected: bool) {
    assert_eq!(folder::has_digest(url), expected);
}
