//! What the routes and the providers of an app must agree on. Where access tokens are bound to the client's certificate (RFC 8705 section
//! 3), each API that gets one is called over connections that show it, or it could not tell us from a thief. A token for one
//! API can be cut only from a grant that is for that API (RFC 8707 section 2.2). FAPI 2.0 calls APIs over TLS. Decides at start; a call has
//! no choice.

use std::net::IpAddr;
use std::sync::Arc;

use super::choices::{Profile, TokenSource};
use super::client_certificate::ClientCertificate;
use super::provider_types::ProviderConfig;
use super::raw::RawRoute;
use super::report::At;
use super::trust::Trust;
use super::types::{Address, RouteConfig, Upstream};

/// The routes of one app as `providers` need them; `at` is where they are written, as `raw`.
pub(super) fn agreed(
    at: &At<'_>,
    raw: &[RawRoute],
    routes: Vec<RouteConfig>,
    providers: &[ProviderConfig],
) -> Option<Vec<RouteConfig>> {
    let mut all = providers.iter().filter_map(ProviderConfig::binding_certificate);
    let certificate = all.next();
    if all.any(|other| Some(other.thumbprint()) != certificate.map(|own| own.thumbprint())) {
        let mend = "give them one certificate, or make two apps: a connection to an API shows one";
        return at.fail("two providers bind tokens to different certificates", mend);
    }
    let is_fapi2 = providers.iter().any(|one| one.profile == Profile::Fapi2);
    let agreed: Vec<Option<RouteConfig>> = routes
        .into_iter()
        .map(|mut route| {
            let index = raw.iter().position(|raw| raw.path.as_ref() == Some(&route.path));
            let at = at.item(index.unwrap_or_default());
            let granted = granted(&at, &route, providers);
            let secret = if is_fapi2 { over_tls(&at, &mut route) } else { Some(()) };
            let route = match certificate {
                Some(certificate) => bound_route(&at, route, certificate),
                None => Some(route),
            };
            granted.and(secret).and(route)
        })
        .collect();
    agreed.into_iter().collect()
}

/// A token that is cut from the grant is for an API that each grant is for.
fn granted(at: &At<'_>, route: &RouteConfig, providers: &[ProviderConfig]) -> Option<()> {
    if route.token != TokenSource::Resource {
        return Some(());
    }
    let is_granted = |one: &ProviderConfig| {
        route.target.resource.as_ref().is_some_and(|api| one.resources.contains(api))
    };
    if !providers.iter().all(is_granted) {
        let mend = "add it to provider.resources, of each provider of the app";
        return at.key("token_resource").fail("is not what logins are granted for", mend);
    }
    // RFC 6749 section 6: no more than was granted.
    let is_asked = |scope: &String| providers.iter().all(|one| one.scopes.contains(scope));
    match route.target.scopes.iter().position(|scope| !is_asked(scope)) {
        None => Some(()),
        Some(index) => {
            let mend = "add it to provider.scopes, of each provider of the app, or remove it";
            at.key("token_scopes").item(index).fail("is not what logins ask for", mend)
        }
    }
}

/// FAPI 2.0 calls APIs over TLS; what is on this machine may have plain HTTP.
fn over_tls(at: &At<'_>, route: &mut RouteConfig) -> Option<()> {
    let is_sent = route.token.is_sent();
    let mut fine = Some(());
    for (at, upstream) in upstreams(at, route) {
        if is_sent && !upstream.tls && !is_here(upstream) {
            let rule = "FAPI 2.0 Security Profile 5.2.1";
            let why =
                format!("is forbidden by profile = \"fapi2\": APIs are called over TLS ({rule})");
            fine = at.fail(why, "write https://…");
        }
    }
    fine
}

fn is_here(upstream: &Upstream) -> bool {
    let is_unix = |address: &Address| matches!(address, Address::Unix(_));
    let is_loopback = upstream.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let all_unix = !upstream.addresses.is_empty() && upstream.addresses.iter().all(is_unix);
    upstream.host == "localhost" || is_loopback || all_unix
}

fn bound_route(
    at: &At<'_>,
    mut route: RouteConfig,
    certificate: &ClientCertificate,
) -> Option<RouteConfig> {
    if !route.token.is_sent() {
        return Some(route);
    }
    let route_at = at;
    for (at, upstream) in upstreams(at, &mut route) {
        if !upstream.tls {
            let mend =
                "write https://…: plain HTTP cannot show the certificate that tokens are bound to";
            return at.fail("is plain HTTP, and tokens are bound by mtls", mend);
        }
        let Some(trust) = showing(upstream, certificate) else {
            let mend = "remove it: the API is shown the provider's client_certificate_file";
            let at = route_at.key("client_cert_file");
            return at.fail("is another certificate than tokens are bound to", mend);
        };
        upstream.trust = Some(Arc::new(trust));
    }
    Some(route)
}

/// What the route says of the upstream's authorities, with the certificate; `None` where it shows another one.
fn showing(upstream: &Upstream, certificate: &ClientCertificate) -> Option<Trust> {
    let trust = match upstream.trust.as_deref() {
        Some(trust) => trust.clone(),
        None => Trust::read(None).ok()?,
    };
    let is_other = |own: Arc<rustls::sign::CertifiedKey>| {
        own.cert.first() != certificate.certified().cert.first()
    };
    let shows_another = trust.identity().is_some_and(is_other);
    (!shows_another).then(|| trust.with_client_certificate(certificate))
}

/// Where a route's calls may go, each with where it is written.
fn upstreams<'a, 'r>(at: &At<'a>, route: &'r mut RouteConfig) -> Vec<(At<'a>, &'r mut Upstream)> {
    let by = at.key("upstream_by").key("upstreams");
    let further = route.rules.by_claim.iter_mut().flat_map(|one| one.upstreams.iter_mut());
    let further = further.map(|(value, upstream)| (by.key(value), upstream));
    std::iter::once((at.key("upstream"), &mut route.upstream)).chain(further).collect()
}
