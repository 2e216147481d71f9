//! Grants that are for several APIs, and access tokens for one of them (RFC 8707), with no more scope than was granted.

use super::Grant;
use super::wire::Request;

/// What an access token will be for.
pub struct Aim {
    pub audience: Option<String>,
    pub scope: String,
}

/// The resources of an authorization request.
pub fn asked(parameters: &[(String, String)]) -> Vec<String> {
    let all = parameters.iter().filter(|(name, _)| name == "resource");
    all.map(|(_, resource)| resource.clone()).collect()
}

/// What the token request asks for, or the error that refuses it.
pub fn aim(request: &Request, grant: &Grant) -> Result<Aim, &'static str> {
    let form = request.form();
    let mut wanted = form.iter().filter(|(name, _)| name == "resource");
    let audience = wanted.next().map(|(_, resource)| resource.clone());
    // RFC 8707 section 2.2 allows more than one; a server need not, and a careful client asks for one.
    let is_granted = audience.as_ref().is_none_or(|one| grant.resources.contains(one));
    if wanted.next().is_some() || !is_granted {
        return Err("invalid_target");
    }
    let scope = request.field("scope").unwrap_or_else(|| grant.scope.clone());
    if scope.split(' ').all(|one| grant.scope.split(' ').any(|granted| granted == one)) {
        Ok(Aim { audience, scope })
    } else {
        Err("invalid_scope")
    }
}
