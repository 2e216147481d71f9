//! `[audit]`: where security events go, and how they name users. Opens no file: that is done by the process that serves.

use std::path::{Path, PathBuf};

use super::choices::AuditTo;
use super::collector::{CollectorConfig, Written, collector};
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
#[derive(Clone, Debug)]
pub enum AuditTarget {
    /// Among the log lines.
    Log,
    Stdout,
    File(PathBuf),
    Otlp(CollectorConfig),
}

/// Turns the section into its configuration; `service_name` is that of `[tracing]`, where it is checked.
pub(super) fn audit(at: &At<'_>, raw: &RawAudit, service_name: &str) -> Option<AuditConfig> {
    let target = target(at, raw, service_name);
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

fn target(at: &At<'_>, raw: &RawAudit, service_name: &str) -> Option<AuditTarget> {
    let written = Written {
        endpoint: raw.otlp_endpoint.as_deref(),
        authorization: raw.otlp_authorization.as_deref(),
        authorization_file: raw.otlp_authorization_file.as_deref(),
        authorization_env: raw.otlp_authorization_env.as_deref(),
        service_name,
    };
    let collector = collector(at, &written, "/v1/logs")?;
    let (file_at, otlp_at) = (at.key("file"), at.key("otlp_endpoint"));
    if raw.file.is_some() && raw.to != AuditTo::File {
        return file_at.fail("is not used", "write to = \"file\", or remove this");
    }
    match (raw.to, collector) {
        (AuditTo::Otlp, Some(collector)) => Some(AuditTarget::Otlp(collector)),
        (AuditTo::Otlp, None) => otlp_at.missing("write where, e.g. \"http://127.0.0.1:4318\""),
        (_, Some(_)) => otlp_at.fail("is not used", "write to = \"otlp\", or remove this"),
        (AuditTo::File, None) => {
            let mend = "write where, e.g. \"/var/log/cloakroom/audit\"";
            let path = file_at.required(raw.file.as_deref(), mend)?;
            file_path(&file_at, path).map(AuditTarget::File)
        }
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
