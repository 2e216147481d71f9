//! `[provider]` or `[[providers]]`: the authorization servers that one app's users may log in at. No two of one app are the same
//! client at the same issuer, or have one name: an answer of one could pass for the other's.

use super::provider::provider;
use super::provider_types::ProviderConfig;
use super::raw::RawProvider;
use super::report::{At, every};
use super::types::AppConfig;
use crate::secret::constant_time_eq;

/// The name of the only one, where it has none of its own.
const ONLY: &str = "default";
/// What a value that was sealed for one of them is tried against, at the most.
const MOST: usize = 16;

impl AppConfig {
    /// The URL of the own `endpoint`, e.g. `/callback`, that is for `provider` alone: with several providers each has its own, so that
    /// nobody's answer is taken for another's (RFC 9700 section 4.4.2.2).
    pub fn url_for(&self, endpoint: &str, provider: &ProviderConfig) -> String {
        let url = self.url(endpoint);
        if self.providers.len() > 1 { format!("{url}/{}", provider.id) } else { url }
    }

    /// The URL of the own endpoint at `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{}{path}", self.public_url.origin, self.base_path)
    }

    /// Two providers that were given one secret or one key: either could act as this app at the other. A certificate is no such thing:
    /// nobody who has seen it can show it.
    pub fn one_secret_for(&self) -> Option<(&str, &str)> {
        let secret = |one: &'_ ProviderConfig| one.client_secret.expose().clone();
        let key = |one: &ProviderConfig| one.client_key.as_ref().map(|own| own.key.id().to_owned());
        self.providers.iter().enumerate().find_map(|(index, one)| {
            let is_same = |other: &&ProviderConfig| {
                let is_one_secret = one.auth_method.is_secret()
                    && constant_time_eq(secret(other).as_bytes(), secret(one).as_bytes());
                is_one_secret || (key(one).is_some() && key(one) == key(other))
            };
            let other = self.providers.iter().take(index).find(is_same)?;
            Some((other.id.as_str(), one.id.as_str()))
        })
    }
}

/// Turns the one section or the list into configurations, at least one; `at` is what holds them.
pub(super) fn providers(
    at: &At<'_>,
    one: &RawProvider,
    list: &[RawProvider],
) -> Option<Vec<ProviderConfig>> {
    let (one_at, list_at) = (at.key("provider"), at.key("providers"));
    if !list_at.is_written() {
        let id = one.id.as_deref().unwrap_or(ONLY);
        let id = provider_id(&one_at.key("id"), id);
        return Some(vec![provider(&one_at, one, id)?]);
    }
    if one_at.is_written() {
        let mend = "move it into an entry of [[providers]], or remove [[providers]]";
        one_at.fail::<()>("stands beside [[providers]]", mend);
    }
    if list.is_empty() {
        return list_at.missing("write at least one provider");
    }
    if list.len() > MOST {
        return list_at.fail("are too many", "list 16 at the most");
    }
    distinct(&list_at, list);
    every(&list_at, list, |at, raw| {
        let id_at = at.key("id");
        let mend = "give it a short name for /login?provider= and its callback, e.g. \"partner\"";
        let id = id_at.required(raw.id.as_deref(), mend).and_then(|id| provider_id(&id_at, id));
        provider(at, raw, id)
    })
}

/// Notes every entry that has the name of another, or is the same client at the same issuer.
fn distinct(at: &At<'_>, list: &[RawProvider]) {
    for (index, entry) in list.iter().enumerate() {
        let (at, mut earlier) = (at.item(index), list.iter().take(index));
        if entry.id.is_some() && earlier.clone().any(|other| other.id == entry.id) {
            let mend = "give each provider its own id";
            at.key("id").fail::<()>("another provider of this app has this id", mend);
        }
        let client = |one: &RawProvider| one.issuer.clone().zip(one.client_id.clone());
        if client(entry).is_some() && earlier.any(|other| client(other) == client(entry)) {
            let mend = "remove one, or register another client";
            at.key("client_id").fail::<()>("is the same client at the same issuer", mend);
        }
    }
}

fn provider_id(at: &At<'_>, text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(plain);
    if !fits || text.starts_with('-') || text.ends_with('-') {
        return at.fail("not a provider id", "use 1 to 32 of a-z, 0-9 and -, e.g. \"partner\"");
    }
    Some(text.to_owned())
}
