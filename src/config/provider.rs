//! `[provider]`, or one of `[[providers]]`: an authorization server and our client there. Asks the authorization server nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::authorization_details::authorization_details;
use super::client_certificate::{ClientCertificate, client_certificate};
use super::client_key::{ClientAssertion, ClientKey, client_assertion, dpop_key};
use super::cookie_key::is_placeholder;
use super::origin::{parse_endpoint, parse_forward_proxy, parse_issuer};
use super::profile::profile;
use super::provider_types::{EndpointOverrides, ProviderConfig};
use super::quantity::{DAY, MINUTE, duration};
use super::raw::RawProvider;
use super::report::{At, Wrong, every, unique};
use super::secrets::{Ways, read_text, secret};
use super::token_target::parse_resource;
use super::words::{check_extra_param, parse_choice, parse_plain, parse_scope};
use crate::secret::Secret;

/// Signatures that only the key's owner can make: neither `none` nor the shared-key `HS*` (ID-05, RFC 8725 section 3.1).
const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
const TENANT: &str = "{tenantid}";

/// Turns the section into its configuration. `id` is its name among the app's, `None` a bad one.
pub(super) fn provider(
    at: &At<'_>,
    raw: &RawProvider,
    id: Option<String>,
) -> Option<ProviderConfig> {
    let (issuer, client_id) = who(at, raw);
    let credentials = credentials(at, raw);
    let (scopes, resources) = (scopes(&at.key("scopes"), &raw.scopes), resources(at, raw));
    let discovery_at = at.key("discovery_url");
    let discovery_url = optional(&discovery_at, raw.discovery_url.as_deref(), parse_endpoint);
    let endpoints = endpoints(at, raw);
    let ca_file = ca_file(&at.key("ca_file"), raw.ca_file.as_deref());
    let proxy = optional(&at.key("proxy"), raw.proxy.as_deref(), parse_forward_proxy);
    let (resolve, tenants) = (resolve(&at.key("resolve"), &raw.resolve), tenants(at, raw));
    let params = authorize_params(&at.key("authorize_params"), &raw.authorize_params);
    let (algorithms, times) = (algorithms(&at.key("algorithms"), &raw.algorithms), times(at, raw));
    let audiences = every(&at.key("trusted_audiences"), &raw.trusted_audiences, |at, text| {
        at.take(parse_plain(text))
    });
    let (profile, userinfo_signed) = (profile(at, raw), userinfo_signed(at, raw));
    let details = authorization_details(at, raw);
    let ((issuer_template, allowed_tenants), ()) = (tenants?, profile?);
    let (times, credentials) = (times?, credentials?);
    Some(ProviderConfig {
        id: id?,
        issuer: issuer?,
        client_id: client_id?,
        client_secret: credentials.secret,
        client_key: credentials.key,
        certificate: credentials.certificate,
        profile: raw.profile,
        sender_constraint: raw.sender_constraint,
        dpop_keys: raw.dpop_keys,
        dpop_key: credentials.dpop_key,
        auth_method: raw.auth_method,
        pushed_requests: raw.pushed_requests,
        signed_requests: raw.signed_requests,
        response_mode: raw.response_mode,
        introspection: raw.introspection,
        scopes: scopes?,
        resources: resources?,
        authorization_details: details?,
        discovery_url: discovery_url.ok()?,
        endpoints: endpoints?,
        ca_file: ca_file.ok()?,
        proxy: proxy.ok()?,
        resolve: resolve?,
        issuer_template,
        allowed_tenants,
        authorize_params: params?,
        algorithms: algorithms?,
        clock_skew: times.clock_skew,
        id_token_max_age: times.id_token_max_age,
        trusted_audiences: audiences?,
        userinfo: raw.userinfo,
        userinfo_signed: userinfo_signed?,
        logout_token_untyped: raw.logout_token_untyped,
        logout_token_without_exp: raw.logout_token_without_exp,
        default_token_lifetime: times.default_token_lifetime,
        timeout: times.timeout,
    })
}

/// The authorization server, and the client there.
fn who(at: &At<'_>, raw: &RawProvider) -> (Option<String>, Option<String>) {
    let issuer_at = at.key("issuer");
    let issuer = issuer_at
        .required(raw.issuer.as_deref(), "write it as the authorization server's metadata does")
        .and_then(|text| issuer_at.take(parse_issuer(text)));
    let client_at = at.key("client_id");
    let client_id = client_at
        .required(raw.client_id.as_ref(), "write the id of the client registered for this app")
        .and_then(|text| client_at.take(parse_plain(text)));
    (issuer, client_id)
}

fn userinfo_signed(at: &At<'_>, raw: &RawProvider) -> Option<bool> {
    if raw.userinfo_signed && !raw.userinfo {
        let mend = "set userinfo = true, or remove it";
        return at.key("userinfo_signed").fail("means nothing without userinfo", mend);
    }
    Some(raw.userinfo_signed)
}

/// What is measured in time.
struct Times {
    clock_skew: Duration,
    id_token_max_age: Option<Duration>,
    default_token_lifetime: Duration,
    timeout: Duration,
}

fn times(at: &At<'_>, raw: &RawProvider) -> Option<Times> {
    let clock_skew = duration(&at.key("clock_skew"), &raw.clock_skew, 0..=5 * MINUTE);
    let oldest_at = at.key("id_token_max_age");
    let oldest = |text| duration(&oldest_at, text, 1..=DAY).ok_or(Noted);
    let id_token_max_age = raw.id_token_max_age.as_deref().map(oldest).transpose();
    let life_at = at.key("default_token_lifetime");
    let life = duration(&life_at, &raw.default_token_lifetime, 10..=DAY);
    let timeout = duration(&at.key("timeout"), &raw.timeout, 1..=MINUTE);
    Some(Times {
        clock_skew: clock_skew?,
        id_token_max_age: id_token_max_age.ok()?,
        default_token_lifetime: life?,
        timeout: timeout?,
    })
}

/// The setting is there and bad; the report says so.
struct Noted;

/// What a setting that may be absent says.
fn optional<T>(
    at: &At<'_>,
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Result<Option<T>, Noted> {
    text.map(|text| at.take(parse(text)).ok_or(Noted)).transpose()
}

/// What shows that we are the client, and what its tokens are bound to.
struct Credentials {
    secret: Secret<String>,
    key: Option<ClientAssertion>,
    certificate: Option<Arc<ClientCertificate>>,
    dpop_key: Option<Arc<ClientKey>>,
}

fn credentials(at: &At<'_>, raw: &RawProvider) -> Option<Credentials> {
    let (secret, key) = (client_secret(at, raw), client_assertion(at, raw));
    let dpop_key = dpop_key(at, raw, key.iter().flatten());
    let certificate = client_certificate(at, raw)?;
    Some(Credentials { secret: secret?, key: key?, certificate, dpop_key: dpop_key? })
}

/// Empty with a key or a certificate.
fn client_secret(at: &At<'_>, raw: &RawProvider) -> Option<Secret<String>> {
    if !raw.auth_method.is_secret() {
        let written = [
            ("client_secret", raw.client_secret.is_some()),
            ("client_secret_file", raw.client_secret_file.is_some()),
            ("client_secret_env", raw.client_secret_env.is_some()),
        ];
        let Some((name, _)) = written.into_iter().find(|(_, is_written)| *is_written) else {
            return Some(Secret::from(""));
        };
        let with = if raw.auth_method.is_mtls() { "a certificate" } else { "a key" };
        let problem = format!("is not used with {with}");
        return at.key(name).fail(problem, "remove it, here and over there");
    }
    let ways = Ways {
        value: ("client_secret", raw.client_secret.as_deref()),
        file: ("client_secret_file", raw.client_secret_file.as_deref()),
        env: ("client_secret_env", raw.client_secret_env.as_deref()),
    };
    let (from, text) = secret(at, &ways)?;
    if is_placeholder(text.expose()) {
        return from.fail("is a placeholder", "put the secret of the registered client there");
    }
    Some(text)
}

fn scopes(at: &At<'_>, raw: &[String]) -> Option<Vec<String>> {
    let scopes = every(at, raw, |at, text| at.take(parse_scope(text)));
    let distinct = unique(at, raw);
    if !raw.iter().any(|scope| scope == "openid") {
        let mend = "add \"openid\": without it there is no login, only authorization";
        return if raw.is_empty() { at.missing(mend) } else { at.fail("lacks openid", mend) };
    }
    distinct.and(scopes)
}

/// What the grant is for. Said here, it is not said again among the further parameters.
fn resources(at: &At<'_>, raw: &RawProvider) -> Option<Vec<String>> {
    let list = at.key("resources");
    let resources = every(&list, &raw.resources, |at, text| at.take(parse_resource(text)));
    if !raw.resources.is_empty() && raw.authorize_params.contains_key("resource") {
        let params = at.key("authorize_params").key("resource");
        return params.fail("stands beside provider.resources", "move it there");
    }
    unique(&list, &raw.resources).and(resources)
}

fn endpoints(at: &At<'_>, raw: &RawProvider) -> Option<EndpointOverrides> {
    let url =
        |name, text: &Option<String>| optional(&at.key(name), text.as_deref(), parse_endpoint);
    let authorization = url("authorization_endpoint", &raw.authorization_endpoint);
    let token = url("token_endpoint", &raw.token_endpoint);
    let jwks = url("jwks_uri", &raw.jwks_uri);
    let userinfo = url("userinfo_endpoint", &raw.userinfo_endpoint);
    let end_session = url("end_session_endpoint", &raw.end_session_endpoint);
    let revocation = url("revocation_endpoint", &raw.revocation_endpoint);
    let introspection = url("introspection_endpoint", &raw.introspection_endpoint);
    let name = "pushed_authorization_request_endpoint";
    let pushed = url(name, &raw.pushed_authorization_request_endpoint);
    Some(EndpointOverrides {
        authorization: authorization.ok()?,
        token: token.ok()?,
        jwks: jwks.ok()?,
        userinfo: userinfo.ok()?,
        end_session: end_session.ok()?,
        revocation: revocation.ok()?,
        introspection: introspection.ok()?,
        pushed: pushed.ok()?,
    })
}

fn ca_file(at: &At<'_>, path: Option<&str>) -> Result<Option<PathBuf>, Noted> {
    let Some(path) = path else { return Ok(None) };
    let (problem, mend) = match read_text(Path::new(path)) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
            return Ok(Some(PathBuf::from(path)));
        }
        Ok(_) => (
            "the file holds no certificate".to_owned(),
            "name a PEM file of certificate authorities",
        ),
        Err(error) => (
            format!("the file cannot be read: {error}"),
            "check the path, the owner and the mode of the file",
        ),
    };
    at.fail(problem, mend).ok_or(Noted)
}

fn resolve(at: &At<'_>, raw: &BTreeMap<String, String>) -> Option<BTreeMap<String, SocketAddr>> {
    let entry = |(host, address): (&String, &String)| {
        let at = at.key(host);
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return at
                .fail("not a host name", "write the name in lower case, without scheme and port");
        }
        match address.parse() {
            Ok(address) => Some((host.clone(), address)),
            Err(_) => at.fail("not an address with a port", "write e.g. \"10.0.0.7:443\""),
        }
    };
    let entries: Vec<_> = raw.iter().map(entry).collect();
    entries.into_iter().collect()
}

/// The template and its tenants: neither means anything without the other.
fn tenants(at: &At<'_>, raw: &RawProvider) -> Option<(Option<String>, Vec<String>)> {
    let (template_at, list) = (at.key("issuer_template"), at.key("allowed_tenants"));
    let allowed = every(&list, &raw.allowed_tenants, |at, text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let fits = !text.is_empty() && text.bytes().all(plain);
        let mend = "write the tenant's id as it stands in the issuer";
        if fits { Some(text.clone()) } else { at.fail("not a tenant", mend) }
    });
    let Some(template) = &raw.issuer_template else {
        if !raw.allowed_tenants.is_empty() {
            return list
                .fail("means nothing without issuer_template", "remove it, or add the template");
        }
        return Some((None, Vec::new()));
    };
    if raw.allowed_tenants.is_empty() {
        let mend = "name the tenants that may log in: every tenant of the world has a valid issuer";
        list.missing::<()>(mend);
    }
    let host = template.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split_once('/').map_or(host, |(host, _)| host);
    if template.matches(TENANT).count() != 1 || host.contains('{') {
        let mend = "write {tenantid} once, in the path, e.g. \"https://login.example.com/{tenantid}/v2.0\"";
        return template_at.fail("does not say where the tenant stands", mend);
    }
    template_at.take(parse_issuer(&template.replace(TENANT, "tenant")))?;
    let allowed = allowed.filter(|allowed| !allowed.is_empty())?;
    Some((Some(template.clone()), allowed))
}

fn authorize_params(
    at: &At<'_>,
    raw: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let entry = |(name, value): (&String, &String)| {
        let at = at.key(name);
        at.take(check_extra_param(name))?;
        Some((name.clone(), at.take(parse_plain(value))?))
    };
    let entries: Vec<_> = raw.iter().map(entry).collect();
    entries.into_iter().collect()
}

fn algorithms(at: &At<'_>, raw: &[String]) -> Option<Vec<String>> {
    const MEND: &str = "use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA";
    if raw.is_empty() {
        return at.missing(MEND);
    }
    let algorithms = every(at, raw, |at, text| at.take(parse_choice(&ALGORITHMS, MEND, text)));
    unique(at, raw).and(algorithms)
}
