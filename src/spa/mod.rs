//! The SPA's files: a map from URL path to file, made once. No file name is ever derived from a URL, so no URL reaches a
//! file outside the folder. Never answers a missing asset or a `fetch` with HTML.

mod answer;
mod dev_server;
mod folder;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use actix_web::HttpResponse;
use actix_web::dev::Payload;

use self::dev_server::DevServer;
use self::folder::File;
use crate::config::{SpaConfig, SpaSource};
use crate::edge::{Problem, Request};

/// Where one SPA comes from.
#[derive(Debug)]
pub enum Spa {
    Files(SpaFiles),
    DevServer(DevServer),
}

/// The files of one SPA.
#[derive(Debug)]
pub struct SpaFiles {
    files: Files,
    csp: String,
}

#[derive(Debug)]
enum Files {
    Listed(HashMap<String, File>),
    /// Listed again for every request: a developer saves a file and reloads.
    Relisted(PathBuf),
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SpaError {
    #[error("cannot read {path}: {reason}", path = path.display())]
    Read { path: PathBuf, reason: std::io::Error },
    #[error("{path} has no index.html; build the SPA, or mend spa.root", path = path.display())]
    NoIndex { path: PathBuf },
    #[error("{path} holds more than {limit} bytes; serve it from elsewhere", path = path.display())]
    TooLarge { path: PathBuf, limit: u64 },
}

impl Spa {
    /// Lists the folder and reads its files, or gets ready to pass requests on to a dev server. `origin` is our own.
    ///
    /// # Errors
    /// A folder that cannot be read, has no `index.html`, or is too large for memory.
    pub fn load(config: &SpaConfig, origin: &str) -> Result<Self, SpaError> {
        match &config.source {
            SpaSource::Folder(root, relist) => {
                SpaFiles::load(root, *relist, config.csp.clone()).map(Self::Files)
            }
            SpaSource::DevServer(upstream) => {
                Ok(Self::DevServer(DevServer::new(upstream.clone(), origin.to_owned())))
            }
        }
    }

    /// The file at `path` (the request's, in its one form), the index for a navigation inside the SPA, or `None`.
    pub async fn answer(
        &self,
        request: &Request,
        path: &str,
        body: Payload,
    ) -> Result<Option<HttpResponse>, Problem> {
        match self {
            Self::Files(files) => Ok(files.answer(request, path)),
            Self::DevServer(server) => server.answer(request, path, body).await.map(Some),
        }
    }
}

impl SpaFiles {
    fn load(root: &Path, relist: bool, csp: String) -> Result<Self, SpaError> {
        let listed = folder::read_all(root)?;
        if !listed.contains_key("/index.html") {
            return Err(SpaError::NoIndex { path: root.to_owned() });
        }
        let files = if relist { Files::Relisted(root.to_owned()) } else { Files::Listed(listed) };
        Ok(Self { files, csp: unframed(csp) })
    }
}

/// A policy that says nothing of framing lets every site frame the SPA (CS-10): then it says so here.
fn unframed(csp: String) -> String {
    if csp.to_ascii_lowercase().contains("frame-ancestors") {
        return csp;
    }
    let policy = csp.trim_end_matches([' ', ';']);
    let joint = if policy.is_empty() { "" } else { "; " };
    format!("{policy}{joint}frame-ancestors 'none'")
}
