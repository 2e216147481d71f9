//! What the configuration wants of an authorization server that not every one has: told before the first call that fails for it.

use super::{Finding, failed, warning};
use crate::config::{AppConfig, ProviderConfig, SenderConstraint, TokenSource};
use crate::oidc::Facts;

/// Tells what is wanted and not there.
pub(super) fn tell(
    (app, config): (&AppConfig, &ProviderConfig),
    facts: &Facts,
    tell: &mut impl FnMut(Finding),
) {
    if config.sender_constraint == SenderConstraint::Dpop && !facts.dpop {
        tell(warning(
            "dpop",
            "it does not say that it binds tokens to keys (DPoP)",
            "log in once to be sure: bearer tokens are refused; or set provider.sender_constraint = \"none\"",
        ));
    }
    let asks = |route: &&crate::config::RouteConfig| route.token == TokenSource::Introspect;
    if let Some(route) = app.routes.iter().find(asks)
        && !facts.introspection
    {
        tell(failed(
            "introspection",
            format!("it has no introspection endpoint, which {} needs", route.path),
            "name it as provider.introspection_endpoint, or set another token for that route",
        ));
    }
}
