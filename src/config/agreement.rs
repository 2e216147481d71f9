//! What the routes and the providers of an app must agree on. Where access tokens are bound to the client's certificate (RFC 8705 section
//! 3), each API that gets one is called over connections that show it, or it could not tell us from a thief. A token for one
//! API can be cut only from a grant that is for that API (RFC 8707 section 2.2). Decides at start; a call has no choice.

use std::sync::Arc;

use super::choices::TokenSource;
use super::client_certificate::ClientCertificate;
use super::provider_types::ProviderConfig;
use super::raw::RawRoute;
use super::report::At;
use super::trust::Trust;
use super::types::{RouteConfig, Upstream};

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
    let agreed: Vec<Option<RouteConfig>> = routes
        .into_iter()
        .map(|route| {
            let index = raw.iter().position(|raw| raw.path.as_ref() == Some(&route.path));
            let at = at.item(index.unwrap_or_default());
            let granted = granted(&at, &route, providers);
            let route = match certificate {
                Some(certificate) => bound_route(&at, route, certificate),
                None => Some(route),
            };
            granted.and(route)
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

fn bound_route(
    at: &At<'_>,
    mut route: RouteConfig,
    certificate: &ClientCertificate,
) -> Option<RouteConfig> {
    if !route.token.is_sent() {
        return Some(route);
    }
    let by_claim = route.rules.by_claim.iter_mut().flat_map(|by| by.upstreams.values_mut());
    for upstream in std::iter::once(&mut route.upstream).chain(by_claim) {
        if !upstream.tls {
            let mend =
                "write https://…: plain HTTP cannot show the certificate that tokens are bound to";
            return at.key("upstream").fail("is plain HTTP, and tokens are bound by mtls", mend);
        }
        show(at, upstream, certificate)?;
    }
    Some(route)
}

/// Shows the certificate to this upstream, beside whatever the route says of its authorities.
fn show(at: &At<'_>, upstream: &mut Upstream, certificate: &ClientCertificate) -> Option<()> {
    let trust = match upstream.trust.as_deref() {
        Some(trust) => trust.clone(),
        None => Trust::read(None).ok()?,
    };
    let is_other = |own: Arc<rustls::sign::CertifiedKey>| {
        own.cert.first() != certificate.certified().cert.first()
    };
    if trust.identity().is_some_and(is_other) {
        let mend = "remove it: the API is shown the provider's client_certificate_file";
        return at
            .key("client_cert_file")
            .fail("is another certificate than tokens are bound to", mend);
    }
    upstream.trust = Some(Arc::new(trust.with_client_certificate(certificate)));
    Some(())
}
