//! Requests to the token and revocation endpoints (RFC 6749 §4.1.3, §6; RFC 7009 §2.1), with the client's own credential.
//! Never puts a secret into a URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client_assertion;
use crate::config::{ClientAuthMethod, ProviderConfig, TokenTarget};
use crate::secret::Secret;

/// The client, and what shows that we are it where that is made anew for each request.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) config: &'a ProviderConfig,
    pub(super) assertion: Option<&'a Secret<String>>,
}

/// A form, ready to be posted.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) body: Secret<String>,
    /// The `Authorization` value, when the client authenticates by header.
    pub(super) authorization: Option<Secret<String>>,
}

/// Exchanges `code`; `redirect_uri` is the one of the authorization request, byte by byte (CB-07).
pub(super) fn code(
    client: Client<'_>,
    code: &str,
    redirect_uri: &str,
    verifier: &Secret<String>,
) -> Form {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier.expose()),
    ];
    fields.extend(own_resource(client.config));
    form(client, &fields)
}

/// Refreshes. Without a target there is no `scope`: the grant's own stays, nothing wider is asked for (RF-10).
pub(super) fn refresh(
    client: Client<'_>,
    token: &Secret<String>,
    target: Option<&TokenTarget>,
) -> Form {
    let scope = target.map(|target| target.scopes.join(" ")).unwrap_or_default();
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token.expose())];
    match target {
        Some(target) => fields.extend(aim(target, &scope)),
        None => fields.extend(own_resource(client.config)),
    }
    form(client, &fields)
}

/// The first resource of the grant: whom the login's own access token is for (RFC 8707 §2.2). One for all would be good at each of them.
fn own_resource(config: &ProviderConfig) -> Option<(&str, &str)> {
    config.resources.first().map(|resource| ("resource", resource.as_str()))
}

/// Revokes `token`; `hint` is `refresh_token` or `access_token`.
pub(super) fn revocation(client: Client<'_>, token: &Secret<String>, hint: &str) -> Form {
    form(client, &[("token", token.expose()), ("token_type_hint", hint)])
}

/// Exchanges an access token for one for another API (RFC 8693 §2.1).
pub(super) fn exchange(client: Client<'_>, subject: &Secret<String>, target: &TokenTarget) -> Form {
    const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    let scope = target.scopes.join(" ");
    let mut fields = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", subject.expose()),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
    ];
    fields.extend(aim(target, &scope));
    form(client, &fields)
}

/// Asks for a token of the client's own.
pub(super) fn client_credentials(client: Client<'_>, target: &TokenTarget) -> Form {
    let scope = target.scopes.join(" ");
    let mut fields = vec![("grant_type", "client_credentials")];
    fields.extend(aim(target, &scope));
    form(client, &fields)
}

/// What says for which API a token is wanted.
fn aim<'a>(target: &'a TokenTarget, scope: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let audience = target.audience.as_deref().map(|audience| ("audience", audience));
    let resource = target.resource.as_deref().map(|resource| ("resource", resource));
    let scope = (!scope.is_empty()).then_some(("scope", scope));
    audience.into_iter().chain(resource).chain(scope)
}

/// Asks about an access token (RFC 7662 §2.1).
pub(super) fn introspection(client: Client<'_>, token: &Secret<String>) -> Form {
    form(client, &[("token", token.expose()), ("token_type_hint", "access_token")])
}

/// Pushes an authorization request. The client shows its credential as at the token endpoint, and names itself once.
pub(super) fn pushed(client: Client<'_>, parameters: Vec<(String, String)>) -> Form {
    let in_form = client.config.auth_method != ClientAuthMethod::ClientSecretBasic;
    let fields: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !(in_form && *name == "client_id"))
        .collect();
    form(client, &fields)
}

fn form(client: Client<'_>, fields: &[(&str, &str)]) -> Form {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    let config = client.config;
    let authorization = match config.auth_method {
        ClientAuthMethod::ClientSecretBasic => Some(basic(config)),
        ClientAuthMethod::PrivateKeyJwt => {
            body.append_pair("client_id", &config.client_id)
                .append_pair("client_assertion_type", client_assertion::TYPE)
                .append_pair("client_assertion", client.assertion.map_or("", |made| made.expose()));
            None
        }
        // RFC 8705 §2: the connection shows who we are, the form says it.
        ClientAuthMethod::TlsClientAuth | ClientAuthMethod::SelfSignedTlsClientAuth => {
            body.append_pair("client_id", &config.client_id);
            None
        }
        ClientAuthMethod::ClientSecretPost => {
            body.append_pair("client_id", &config.client_id)
                .append_pair("client_secret", config.client_secret.expose());
            None
        }
    };
    Form { body: Secret::new(body.finish()), authorization }
}

/// RFC 6749 §2.3.1: both parts are form-urlencoded before they are joined, so that a colon in either is no border.
fn basic(config: &ProviderConfig) -> Secret<String> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let secret = Secret::new(encode(config.client_secret.expose()));
    let pair = Secret::new(format!("{}:{}", encode(&config.client_id), secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::tests::provider_config;

    fn pairs(form: &Form) -> Vec<(String, String)> {
        form_urlencoded::parse(form.body.expose().as_bytes()).into_owned().collect()
    }

    // proves: CA-03, CB-07, RF-01
    #[test]
    fn basic_authentication_encodes_both_parts_first() {
        let mut config = provider_config("https://op.example.com");
        config.client_id = "a:b c".to_owned();
        config.client_secret = Secret::from("p%+é:&=");
        let form = code(
            Client { config: &config, assertion: None },
            "the&code",
            "https://app/cb?x=1",
            &Secret::from("v"),
        );
        let header = form.authorization.as_ref().unwrap().expose().clone();
        let decoded = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(decoded, b"a%3Ab+c:p%25%2B%C3%A9%3A%26%3D");
        let own = |(n, v): (&str, &str)| (n.to_owned(), v.to_owned());
        assert_eq!(
            pairs(&form),
            [
                ("grant_type", "authorization_code"),
                ("code", "the&code"),
                ("redirect_uri", "https://app/cb?x=1"),
                ("code_verifier", "v"),
            ]
            .map(own)
        );
    }

    // proves: RF-01, RF-10
    #[test]
    fn post_authentication_sends_the_secret_in_the_form_and_a_refresh_asks_for_no_scope() {
        let mut config = provider_config("https://op.example.com");
        config.auth_method = ClientAuthMethod::ClientSecretPost;
        let form =
            refresh(Client { config: &config, assertion: None }, &Secret::from("r/t+"), None);
        assert!(form.authorization.is_none());
        let own = |(n, v): (&str, &str)| (n.to_owned(), v.to_owned());
        assert_eq!(
            pairs(&form),
            [
                ("grant_type", "refresh_token"),
                ("refresh_token", "r/t+"),
                ("client_id", "web"),
                ("client_secret", "the-secret"),
            ]
            .map(own)
        );
    }

    #[test]
    fn a_form_does_not_print_its_secrets() {
        let config = provider_config("https://op.example.com");
        let form = format!(
            "{:?}",
            refresh(
                Client { config: &config, assertion: None },
                &Secret::from("token-value"),
                None
            )
        );
        assert!(!form.contains("token-value") && !form.contains("Basic"), "{form}");
    }
}
