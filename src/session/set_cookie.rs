//! Makes `Set-Cookie` lines. A cookie is deleted with the very attributes it was set with, or the browser keeps it.

use cookie::time::{Duration, OffsetDateTime};
use cookie::{Cookie, SameSite};

/// Where and with which `SameSite` a cookie lives; the other attributes are the same for all of ours.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub path: &'a str,
    pub same_site: SameSite,
}

impl Scope<'_> {
    /// Session cookies.
    pub const STRICT: Self = Self { path: "/", same_site: SameSite::Strict };
    /// Login cookies: a Strict one is not sent when a page at the authorization server navigates back.
    pub const LAX: Self = Self { path: "/", same_site: SameSite::Lax };
}

/// The line that sets `name`; `seconds` is its `Max-Age`.
pub fn set(name: &str, value: &str, scope: Scope<'_>, seconds: u64) -> String {
    let life = Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    line(name, value, scope, life)
}

/// The line that deletes `name`.
pub fn delete(name: &str, scope: Scope<'_>) -> String {
    let mut cookie = Cookie::new(name.to_owned(), "");
    attributes(&mut cookie, scope);
    cookie.set_max_age(Duration::ZERO);
    cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
    cookie.to_string()
}

fn line(name: &str, value: &str, scope: Scope<'_>, life: Duration) -> String {
    let mut cookie = Cookie::new(name.to_owned(), value.to_owned());
    attributes(&mut cookie, scope);
    cookie.set_max_age(life);
    cookie.to_string()
}

fn attributes(cookie: &mut Cookie<'_>, scope: Scope<'_>) {
    cookie.set_path(scope.path.to_owned());
    cookie.set_secure(true);
    cookie.set_http_only(true);
    cookie.set_same_site(scope.same_site);
}
