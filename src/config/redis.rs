//! `[redis]`: where the shared store is, who we are there, and what an outage of it means. Opens no connection.

use std::path::Path;

use url::Url;

use super::quantity::{MINUTE, duration};
use super::raw::RawRedis;
use super::report::{At, Wrong, wrong};
use super::secrets::{Ways, read_text, secret};
use super::types::{RedisAddress, RedisConfig};
use crate::secret::Secret;

const PORT: u16 = 6379;
/// What Redis offers unless it is told otherwise is 16.
const MOST_DATABASES: u32 = 10_000;

/// Turns the section into its configuration.
pub(super) fn redis(at: &At<'_>, raw: &RawRedis) -> Option<RedisConfig> {
    let url_at = at.key("url");
    let mend = "write where it is, e.g. url = \"redis://redis:6379/0\"";
    let url = url_at.required(raw.url.as_deref(), mend);
    let address = url.and_then(|url| url_at.take(address(url)));
    let password = password(at, raw);
    let ca = ca_file(at, raw, address.as_ref());
    let prefix_at = at.key("key_prefix");
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
    let prefix = &raw.key_prefix;
    let prefix = if (1..=64).contains(&prefix.len()) && prefix.bytes().all(plain) {
        Some(prefix.clone())
    } else {
        prefix_at.fail("not a prefix for key names", "use 1 to 64 of a-z, A-Z, 0-9, . _ - :")
    };
    let timeout = duration(&at.key("timeout"), &raw.timeout, 1..=10);
    let stale = duration(&at.key("stale_after"), &raw.stale_after, 1..=5 * MINUTE);
    let (address, database) = address?;
    Some(RedisConfig {
        address,
        database,
        username: raw.username.clone(),
        password: password.ok()?,
        ca: ca.ok()?,
        key_prefix: prefix?,
        timeout: timeout?,
        stale_after: stale?,
        outage: raw.outage,
    })
}

/// A problem was noted.
struct Noted;

fn password(at: &At<'_>, raw: &RawRedis) -> Result<Option<Secret<String>>, Noted> {
    let ways = Ways {
        value: ("password", raw.password.as_deref()),
        file: ("password_file", raw.password_file.as_deref()),
        env: ("password_env", raw.password_env.as_deref()),
    };
    let all = [ways.value.1, ways.file.1, ways.env.1];
    if all.iter().any(Option::is_some) {
        return secret(at, &ways).map(|(_, password)| Some(password)).ok_or(Noted);
    }
    if raw.username.is_some() {
        let mend = "write password_file or password_env too, or remove username";
        at.key("username").fail::<()>("a user without a password", mend);
        return Err(Noted);
    }
    Ok(None)
}

fn ca_file(
    at: &At<'_>,
    raw: &RawRedis,
    address: Option<&(RedisAddress, u32)>,
) -> Result<Option<Vec<u8>>, Noted> {
    let Some(path) = raw.ca_file.as_deref() else { return Ok(None) };
    let at = at.key("ca_file");
    if address.is_some_and(|(address, _)| !matches!(address, RedisAddress::Tcp { tls: true, .. })) {
        at.fail::<()>("the connection is not TLS", "write rediss:// in redis.url, or remove this");
        return Err(Noted);
    }
    match read_text(Path::new(path)) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(Some(pem.into_bytes())),
        Ok(_) => {
            at.fail::<()>("the file holds no certificate", "name a file of PEM certificates");
            Err(Noted)
        }
        Err(error) => {
            let mend = "check the path, the owner and the mode of the file";
            at.fail::<()>(format!("the file cannot be read: {error}"), mend);
            Err(Noted)
        }
    }
}

fn address(text: &str) -> Result<(RedisAddress, u32), Wrong> {
    const MEND: &str =
        "write e.g. \"redis://redis:6379/0\", \"rediss://…\" or \"unix:/run/redis.sock\"";
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.strip_prefix("//").unwrap_or(path) {
            path if path.starts_with('/') => Ok((RedisAddress::Unix(path.into()), 0)),
            _ => wrong("not the path of a socket", MEND),
        };
    }
    let url = Url::parse(text).map_err(|_| Wrong { problem: "not a URL", mend: MEND })?;
    let tls = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        _ => return wrong("not a scheme of Redis", MEND),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong(
            "holds a user or a password, which would show in logs and process lists",
            "write username, and password_file or password_env, instead",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("has more than a host, a port and a database", MEND);
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return wrong("has no host", MEND);
    };
    let database = match url.path().trim_start_matches('/') {
        "" => Some(0),
        number => number.parse().ok().filter(|number| *number < MOST_DATABASES),
    };
    let Some(database) = database else { return wrong("the database is not a number", MEND) };
    // Brackets are how a URL writes an IPv6 address; a socket takes it bare.
    let host = host.trim_matches(['[', ']']).to_owned();
    let port = url.port().unwrap_or(PORT);
    Ok((RedisAddress::Tcp { host, port, tls }, database))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn tcp(host: &str, port: u16, tls: bool) -> RedisAddress {
        RedisAddress::Tcp { host: host.to_owned(), port, tls }
    }

    #[rstest]
    #[case("redis://redis", tcp("redis", 6379, false), 0)]
    #[case("redis://redis:7000/3", tcp("redis", 7000, false), 3)]
    #[case("rediss://redis.internal/", tcp("redis.internal", 6379, true), 0)]
    #[case("redis://[::1]:6379/0", tcp("::1", 6379, false), 0)]
    #[case("unix:/run/redis.sock", RedisAddress::Unix("/run/redis.sock".into()), 0)]
    #[case("unix:///run/redis.sock", RedisAddress::Unix("/run/redis.sock".into()), 0)]
    fn addresses(#[case] text: &str, #[case] expected: RedisAddress, #[case] database: u32) {
        assert_eq!(address(text).unwrap(), (expected, database));
    }

    #[rstest]
    #[case("redis", "not a URL")]
    #[case("http://redis", "not a scheme of Redis")]
    #[case("redis://user:secret@redis", "holds a user or a password")]
    #[case("redis://user@redis", "holds a user or a password")]
    #[case("redis://redis/zero", "the database is not a number")]
    #[case("redis://redis/-1", "the database is not a number")]
    #[case("redis://redis?timeout=1", "has more than")]
    #[case("redis://", "has no host")]
    #[case("unix:run/redis.sock", "not the path of a socket")]
    fn what_is_no_address(#[case] text: &str, #[case] problem: &str) {
        let found = address(text).unwrap_err().problem;
        assert!(found.starts_with(problem), "{found}");
    }
}
