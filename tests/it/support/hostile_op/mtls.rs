//! A client that shows itself by its certificate, and tokens that are bound to it (RFC 8705), maybe at another port than everybody's.

use serde_json::{Value, json};

use super::State;
use super::wire::Request;

/// Says in the metadata what a client with a certificate must know.
pub fn announce(state: &State, document: &mut Value) {
    if state.knobs.certificate.is_none() {
        return;
    }
    document["tls_client_certificate_bound_access_tokens"] = json!(true);
    let Some(base) = &state.aliases else { return };
    document["mtls_endpoint_aliases"] = json!({
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "revocation_endpoint": format!("{base}/revoke"),
        "introspection_endpoint": format!("{base}/introspect"),
        "pushed_authorization_request_endpoint": format!("{base}/par"),
    });
}

/// Why the client is not believed.
pub fn check(state: &State, request: &Request) -> Result<(), &'static str> {
    if request.header("authorization").is_some()
        || request.field("client_secret").is_some()
        || request.field("client_assertion").is_some()
    {
        return Err("two ways to authenticate");
    }
    if request.certificate != state.knobs.certificate {
        return Err("another certificate, or none");
    }
    let form = request.form();
    let ids: Vec<&String> =
        form.iter().filter(|(name, _)| name == "client_id").map(|(_, id)| id).collect();
    if ids == [&state.knobs.client_id] { Ok(()) } else { Err("client_id") }
}

/// Binds a new access token to the client's certificate.
pub fn bind(state: &mut State, access_token: &str) {
    if let Some(certificate) = state.knobs.certificate.clone() {
        state.certificates.insert(access_token.to_owned(), certificate);
    }
}

/// Whether whoever shows the token shows its certificate, too.
pub fn fits(state: &State, access_token: &str, request: &Request) -> bool {
    let bound_to = state.certificates.get(access_token);
    bound_to.is_none() || bound_to == request.certificate.as_ref()
}
