//! Lists a folder into a map from URL path to file. Skips hidden files and whatever a link leads to outside the folder.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::SpaError;

/// The most bytes that one SPA may keep in memory.
const LARGEST: u64 = 512 * 1024 * 1024;

/// One file, ready to send.
#[derive(Clone, Debug)]
pub struct File {
    pub media_type: String,
    pub plain: Variant,
    /// `name.br` beside the file.
    pub brotli: Option<Variant>,
    /// `name.gz` beside the file.
    pub gzip: Option<Variant>,
    /// Its name carries a digest of its content, so a copy never goes stale.
    pub immutable: bool,
}

/// One encoding of a file.
#[derive(Clone, Debug)]
pub struct Variant {
    pub body: Bytes,
    /// Quoted, strong.
    pub etag: String,
}

/// Every file of the folder, read; keys are URL paths such as `/assets/app.js`.
pub fn read_all(root: &Path) -> Result<HashMap<String, File>, SpaError> {
    let names = list(root)?;
    let total: u64 = names.values().filter_map(|path| path.metadata().ok()).map(|m| m.len()).sum();
    if total > LARGEST {
        return Err(SpaError::TooLarge { path: root.to_owned(), limit: LARGEST });
    }
    let mut files = HashMap::new();
    for url in names.keys() {
        if let Some(file) = read(&names, url)? {
            files.insert(url.clone(), file);
        }
    }
    Ok(files)
}

/// URL path → file path, of every regular file under `root`.
pub fn list(root: &Path) -> Result<HashMap<String, PathBuf>, SpaError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |reason| SpaError::Read { path, reason }
    };
    let root = root.canonicalize().map_err(failed(root))?;
    let mut names = HashMap::new();
    let mut open = vec![(root.clone(), String::new())];
    while let Some((folder, url)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
            let entry = entry.map_err(failed(&folder))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') && name != ".well-known" {
                continue;
            }
            // A link may stay inside (as in mounted volumes), never lead outside.
            let Ok(path) = entry.path().canonicalize() else { continue };
            if !path.starts_with(&root) {
                continue;
            }
            let url = format!("{url}/{name}");
            if path.is_dir() && url.matches('/').count() < 32 {
                open.push((path, url));
            } else if path.is_file() {
                names.insert(url, path);
            }
        }
    }
    Ok(names)
}

/// The file at `url` with its precompressed variants; `None` when the list has none.
pub fn read(names: &HashMap<String, PathBuf>, url: &str) -> Result<Option<File>, SpaError> {
    let Some(path) = names.get(url) else {
        return Ok(None);
    };
    let compressed = |suffix| names.get(&format!("{url}.{suffix}")).map(|path| variant(path));
    Ok(Some(File {
        media_type: media_type(url),
        plain: variant(path)?,
        brotli: compressed("br").transpose()?,
        gzip: compressed("gz").transpose()?,
        immutable: has_digest(url),
    }))
}

fn variant(path: &Path) -> Result<Variant, SpaError> {
    let body = fs::read(path).map_err(|reason| SpaError::Read { path: path.to_owned(), reason })?;
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&body).as_slice());
    let etag = format!("\"{}\"", digest.get(..22).unwrap_or(&digest));
    Ok(Variant { body: body.into(), etag })
}

fn media_type(url: &str) -> String {
    let guess = mime_guess::from_path(url).first_or_octet_stream();
    let text = matches!(guess.type_().as_str(), "text")
        || matches!(guess.subtype().as_str(), "javascript" | "json" | "manifest+json");
    if text { format!("{guess}; charset=utf-8") } else { guess.to_string() }
}

/// Whether the name ends in a bundler's digest: `index-DiwrgTda.js`, `main.8f3a9c1e.css`.
pub(super) fn has_digest(url: &str) -> bool {
    let name = url.rsplit('/').next().unwrap_or(url);
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    // A page is what names the digests; and digits alone are a date.
    if extension.eq_ignore_ascii_case("html") {
        return false;
    }
    let Some(digest) = stem.rsplit(['-', '.']).next().filter(|part| part.len() < stem.len()) else {
        return false;
    };
    let mixed = digest.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        && digest.bytes().any(|b| b.is_ascii_alphabetic());
    digest.len() >= 8 && mixed && digest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
