//! `[audit]`: where security events go, and how they name users. Opens no file: that is done by the process that serves.

use std::path::{Path, PathBuf};

use super::choices::AuditTo;
use super::cookie_key::parse_key;
use super::raw::RawAudit;
use super::report::At;
use super::secrets::{Ways, secret};
use crate::secret::Secret;

/// `[audit]`
#[derive(Debug)]
pub struct AuditConfig {
    pub target: AuditTarget,
    /// Names users; without it they are named by digests that anybody could compute.
    pub pseudonym_key: Option<Secret<[u8; 32]>>,
}

/// Where security events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Among the log lines.
    Log,
    Stdout,
    File(PathBuf),
}

/// Turns the section into its configuration.
pub(super) fn audit(at: &At<'_>, raw: &RawAudit) -> Option<AuditConfig> {
    let target = target(at, raw);
    let ways = Ways {
        value: ("pseudonym_key", raw.pseudonym_key.as_deref()),
        file: ("pseudonym_key_file", raw.pseudonym_key_file.as_deref()),
        env: ("pseudonym_key_env", raw.pseudonym_key_env.as_deref()),
    };
    let is_keyed = [ways.value.1, ways.file.1, ways.env.1].iter().any(Option::is_some);
    let pseudonym_key = if is_keyed {
        let key = secret(at, &ways);
        Some(key.and_then(|(at, text)| at.take(parse_key(text.expose())))?)
    } else {
        None
    };
    Some(AuditConfig { target: target?, pseudonym_key })
}

fn target(at: &At<'_>, raw: &RawAudit) -> Option<AuditTarget> {
    let file_at = at.key("file");
    match (raw.to, raw.file.as_deref()) {
        (AuditTo::File, file) => {
            let path = file_at.required(file, "write where, e.g. \"/var/log/cloakroom/audit\"")?;
            file_path(&file_at, path).map(AuditTarget::File)
        }
        (_, Some(_)) => file_at.fail("is not used", "write to = \"file\", or remove this"),
        (AuditTo::Log, None) => Some(AuditTarget::Log),
        (AuditTo::Stdout, None) => Some(AuditTarget::Stdout),
    }
}

fn file_path(at: &At<'_>, text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    if path.file_name().is_none() || path.is_dir() {
        return at.fail("not the name of a file", "write e.g. \"/var/log/cloakroom/audit\"");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if !folder.unwrap_or(Path::new(".")).is_dir() {
        return at.fail("there is no such folder", "make one that this process can write to");
    }
    Some(path.to_owned())
}
