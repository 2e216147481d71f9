//! `[session]`: the key ring, the lifetimes and what the SPA may see.

use std::path::{Path, PathBuf};

use super::cookie_key::parse_key;
use super::quantity::{DAY, HOUR, duration};
use super::raw::{RawKey, RawSession};
use super::report::{At, every, unique};
use super::secrets::{Ways, secret};
use super::types::{CookieKey, SessionConfig};
use super::words::parse_plain;

/// More keys than anybody rotates through.
const MOST_KEYS: usize = 16;

/// Turns the section into its configuration.
pub(super) fn session(at: &At<'_>, raw: &RawSession) -> Option<SessionConfig> {
    let keys = keys(&at.key("keys"), &raw.keys);
    let max_age = duration(&at.key("max_age"), &raw.max_age, 1..=400 * DAY);
    let idle_at = at.key("idle_timeout");
    let mut idle = duration(&idle_at, &raw.idle_timeout, 1..=400 * DAY);
    if let (Some(longest), Some(asked)) = (max_age, idle)
        && asked > longest
    {
        idle =
            idle_at.fail("is longer than session.max_age", "shorten it, or raise session.max_age");
    }
    let early = duration(&at.key("refresh_before"), &raw.refresh_before, 0..=HOUR);
    let claims_at = at.key("claims");
    let claims = every(&claims_at, &raw.claims, |at, text| at.take(parse_plain(text)));
    unique(&claims_at, &raw.claims)?;
    let deny_file = match &raw.deny_file {
        Some(text) => Some(deny_file(&at.key("deny_file"), text)?),
        None => None,
    };
    Some(SessionConfig {
        store: raw.store,
        keys: keys?,
        idle_timeout: idle?,
        max_age: max_age?,
        claims: claims?,
        refresh_before: early?,
        cookie_budget: raw.cookie_budget,
        deny_file,
    })
}

/// The file itself is made by the process that serves; here it is not touched.
fn deny_file(at: &At<'_>, text: &str) -> Option<PathBuf> {
    let file = Path::new(text);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if file.file_name().is_none() || file.is_dir() {
        return at.fail("not the name of a file", "write e.g. \"/var/lib/cloakroom/deny\"");
    }
    if !folder.unwrap_or(Path::new(".")).is_dir() {
        let mend = "make a folder that survives a restart and that only this process writes to";
        return at.fail("there is no such folder", mend);
    }
    Some(file.to_owned())
}

fn keys(at: &At<'_>, raw: &[RawKey]) -> Option<Vec<CookieKey>> {
    if raw.is_empty() {
        let mend = "make a key with `cloakroom keygen cookie` and name it, \
                    e.g. keys = [{ id = \"2026-11\", file = \"/run/secrets/cookie-2026-11\" }]";
        return at.missing(mend);
    }
    if raw.len() > MOST_KEYS {
        return at.fail(
            format!("has more than {MOST_KEYS} keys"),
            "remove keys that sealed no cookie still alive",
        );
    }
    let keys = every(at, raw, key);
    distinct(at, raw, keys.as_deref().unwrap_or(&[]))?;
    keys
}

/// Two ids alike would make the wrong key open; two keys alike make a rotation that rotates nothing.
fn distinct(at: &At<'_>, raw: &[RawKey], keys: &[CookieKey]) -> Option<()> {
    let mut fine = Some(());
    for (index, one) in raw.iter().enumerate() {
        if one.id.is_some() && raw.iter().take(index).any(|earlier| earlier.id == one.id) {
            let at = at.item(index).key("id");
            fine =
                at.fail("another key has this id", "give each key its own id, and never reuse one");
        }
    }
    for (index, one) in keys.iter().enumerate() {
        if keys.iter().take(index).any(|earlier| earlier.bytes == one.bytes) {
            fine = at.item(index).fail("is the same key as another", "make a new key for every id");
        }
    }
    fine
}

fn key(at: &At<'_>, raw: &RawKey) -> Option<CookieKey> {
    let id_at = at.key("id");
    let id =
        id_at.required(raw.id.as_ref(), "name the key, e.g. by the month it was made: \"2026-11\"");
    let id = id.and_then(|id| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=16).contains(&id.len()) && id.bytes().all(plain);
        let mend = "use 1 to 16 of a-z, A-Z, 0-9, `.`, `_` and `-`, e.g. \"2026-11\"";
        if fits { Some(id.clone()) } else { id_at.fail("not a key id", mend) }
    });
    let ways = Ways {
        value: ("value", raw.value.as_deref()),
        file: ("file", raw.file.as_deref()),
        env: ("env", raw.env.as_deref()),
    };
    let (from, text) = secret(at, &ways)?;
    let bytes = from.take(parse_key(text.expose()))?;
    Some(CookieKey { id: id?, bytes })
}
