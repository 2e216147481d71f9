//! The routes of an app whose access tokens are bound to the client's certificate (RFC 8705 section 3): each API that gets such a token
//! is called over connections that show the certificate, or it could not tell us from a thief. Decides at start; a call has no choice.

use std::sync::Arc;

use super::client_certificate::ClientCertificate;
use super::provider_types::ProviderConfig;
use super::raw::RawRoute;
use super::report::At;
use super::trust::Trust;
use super::types::{RouteConfig, Upstream};

/// The routes of one app as `providers` need them; `at` is where they are written, as `raw`.
pub(super) fn bound_routes(
    at: &At<'_>,
    raw: &[RawRoute],
    routes: Vec<RouteConfig>,
    providers: &[ProviderConfig],
) -> Option<Vec<RouteConfig>> {
    let mut all = providers.iter().filter_map(ProviderConfig::binding_certificate);
    let Some(certificate) = all.next() else { return Some(routes) };
    if all.any(|other| other.thumbprint() != certificate.thumbprint()) {
        let mend = "give them one certificate, or make two apps: a connection to an API shows one";
        return at.fail("two providers bind tokens to different certificates", mend);
    }
    let bound: Vec<Option<RouteConfig>> = routes
        .into_iter()
        .map(|route| {
            let index = raw.iter().position(|raw| raw.path.as_ref() == Some(&route.path));
            bound_route(&at.item(index.unwrap_or_default()), route, certificate)
        })
        .collect();
    bound.into_iter().collect()
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
