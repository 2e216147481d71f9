//! The logout request (OpenID Connect RP-Initiated Logout §2). The URL holds the ID token: it may only go into a navigation.

use url::Url;

use crate::secret::Secret;

/// The URL that the browser is sent to; `redirect_param` is the name of the return parameter.
pub(super) fn url(
    endpoint: &Url,
    client_id: &str,
    id_token: Option<&Secret<String>>,
    (redirect_param, return_to): (&str, &str),
    state: &str,
) -> String {
    let mut url = endpoint.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(id_token) = id_token {
            query.append_pair("id_token_hint", id_token.expose());
        }
        query
            .append_pair("client_id", client_id)
            .append_pair(redirect_param, return_to)
            .append_pair("state", state);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: LO-04
    #[test]
    fn a_logout_url_keeps_the_endpoints_query_and_names_token_client_return_and_state() {
        let endpoint = Url::parse("https://op.example.com/end?policy=a").unwrap();
        let hint = Secret::from("h.p.s");
        let back = ("returnTo", "https://app.example.com/logged-out");
        let with = url(&endpoint, "web", Some(&hint), back, "s 1");
        assert_eq!(
            with,
            "https://op.example.com/end?policy=a&id_token_hint=h.p.s&client_id=web\
             &returnTo=https%3A%2F%2Fapp.example.com%2Flogged-out&state=s+1"
        );
        assert!(!url(&endpoint, "web", None, back, "s").contains("id_token_hint"));
    }
}
