//! The discovery document: raw JSON in, valid metadata out (OpenID Connect Discovery 1.0 §4.3, RFC 8414 §3.3).
//! Never accepts a document of another issuer, nor an endpoint that could be read on the wire.

use serde_json::{Map, Value};
use url::Url;

use super::authorization::is_protocol_parameter;
use super::error::{ConfigFault, OidcError};
use super::issuer::Issuer;
use crate::config::EndpointOverrides;

/// What we use of a discovery document, with the configured overrides applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) jwks: Url,
    pub(super) userinfo: Option<Url>,
    pub(super) end_session: Option<Url>,
    pub(super) revocation: Option<Url>,
    pub(super) introspection: Option<Url>,
    /// Where authorization requests are pushed (RFC 9126 §5).
    pub(super) pushed: Option<Url>,
    /// The server takes no others.
    pub(super) requires_push: bool,
    /// The server takes PKCE with S256 (RFC 8414 §2).
    pub(super) s256: bool,
    /// The server binds access tokens to the certificates of clients (RFC 8705 §3.3).
    pub(super) binds_to_certificates: bool,
    /// The server names itself in every authorization response (RFC 9207 §3).
    pub(super) names_itself: bool,
}

/// Endpoint overrides, checked by the same rules as the document's own.
#[derive(Clone, Debug)]
pub(super) struct Overrides {
    authorization: Option<Url>,
    token: Option<Url>,
    jwks: Option<Url>,
    userinfo: Option<Url>,
    end_session: Option<Url>,
    revocation: Option<Url>,
    introspection: Option<Url>,
    pushed: Option<Url>,
    /// Endpoints for clients with a certificate are elsewhere, if the document says so.
    aliased: bool,
}

impl Overrides {
    /// Refuses an override that the document could not name either. `aliased` where we show a certificate.
    pub(super) fn new(
        raw: &EndpointOverrides,
        issuer: &Issuer,
        aliased: bool,
    ) -> Result<Self, ConfigFault> {
        let parse = |url: &Option<String>| match url {
            Some(url) => issuer.endpoint(url).map(Some).ok_or(ConfigFault::Endpoint),
            None => Ok(None),
        };
        let authorization = parse(&raw.authorization)?;
        if authorization.as_ref().is_some_and(|url| !is_authorization_endpoint(url)) {
            return Err(ConfigFault::Endpoint);
        }
        Ok(Self {
            authorization,
            token: parse(&raw.token)?,
            jwks: parse(&raw.jwks)?,
            userinfo: parse(&raw.userinfo)?,
            end_session: parse(&raw.end_session)?,
            revocation: parse(&raw.revocation)?,
            introspection: parse(&raw.introspection)?,
            pushed: parse(&raw.pushed)?,
            aliased,
        })
    }
}

impl Metadata {
    /// Reads a document fetched for `issuer`.
    pub(super) fn of(
        document: &Map<String, Value>,
        issuer: &Issuer,
        overrides: &Overrides,
    ) -> Result<Self, OidcError> {
        match document.get("issuer") {
            Some(Value::String(name)) if issuer.is_in_metadata(name) => {}
            _ => return Err(OidcError::IssuerMismatch),
        }
        let is_true = |name: &str| document.get(name) == Some(&Value::Bool(true));
        let find = |name: &str, wins: &Option<Url>| match wins {
            Some(url) => Ok(Some(url.clone())),
            None => endpoint(document, name, issuer),
        };
        let need =
            |name: &str, wins: &Option<Url>| find(name, wins)?.ok_or(OidcError::EndpointInvalid);
        let aliases = if overrides.aliased { aliases(document)? } else { None };
        // What we call ourselves, as the client that we are. Where the browser goes, and what all may read, has no alias.
        let known = |name: &str, wins: &Option<Url>| {
            let has_alias = |aliases: &&Map<String, Value>| {
                wins.is_none() && aliases.get(name).is_some_and(|alias| !alias.is_null())
            };
            let found = match aliases.filter(has_alias) {
                Some(aliases) => endpoint(aliases, name, issuer)?,
                None => find(name, wins)?,
            };
            // Plain HTTP, on loopback, has no certificates.
            match &found {
                Some(url) if overrides.aliased && url.scheme() != "https" => {
                    Err(OidcError::EndpointInvalid)
                }
                _ => Ok(found),
            }
        };
        let authorization = need("authorization_endpoint", &overrides.authorization)?;
        if !is_authorization_endpoint(&authorization) {
            return Err(OidcError::EndpointInvalid);
        }
        Ok(Self {
            authorization,
            token: known("token_endpoint", &overrides.token)?.ok_or(OidcError::EndpointInvalid)?,
            jwks: need("jwks_uri", &overrides.jwks)?,
            userinfo: known("userinfo_endpoint", &overrides.userinfo)?,
            end_session: find("end_session_endpoint", &overrides.end_session)?,
            revocation: known("revocation_endpoint", &overrides.revocation)?,
            introspection: known("introspection_endpoint", &overrides.introspection)?,
            pushed: known("pushed_authorization_request_endpoint", &overrides.pushed)?,
            requires_push: is_true("require_pushed_authorization_requests"),
            s256: document
                .get("code_challenge_methods_supported")
                .and_then(Value::as_array)
                .is_some_and(|methods| methods.iter().any(|method| method == "S256")),
            binds_to_certificates: is_true("tls_client_certificate_bound_access_tokens"),
            names_itself: is_true("authorization_response_iss_parameter_supported"),
        })
    }

    /// What the FAPI 2.0 Security Profile wants of a server before anything is asked of it (section 5.3.2.2; AR-04).
    pub(super) fn meets_fapi2(&self) -> bool {
        self.s256 && self.pushed.is_some()
    }
}

/// RFC 8705 §5.
fn aliases(document: &Map<String, Value>) -> Result<Option<&Map<String, Value>>, OidcError> {
    match document.get("mtls_endpoint_aliases") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(aliases)) => Ok(Some(aliases)),
        Some(_) => Err(OidcError::EndpointInvalid),
    }
}

fn endpoint(
    document: &Map<String, Value>,
    name: &str,
    issuer: &Issuer,
) -> Result<Option<Url>, OidcError> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(url)) => {
            issuer.endpoint(url).map(Some).ok_or(OidcError::EndpointInvalid)
        }
        Some(_) => Err(OidcError::EndpointInvalid),
    }
}

/// The endpoint's own query is kept (RFC 6749 §3.1), so it must not speak for us: a parameter given twice has no meaning.
fn is_authorization_endpoint(url: &Url) -> bool {
    !url.query_pairs().any(|(name, _)| is_protocol_parameter(&name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://op.example.com";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://op.example.com/authorize?policy=a",
            "token_endpoint": "https://op.example.com/token",
            "jwks_uri": "https://keys.example.com/jwks",
            "end_session_endpoint": null,
            "authorization_response_iss_parameter_supported": true,
            "unknown": [{"a": 1}],
        })
    }

    fn parse(document: &Value, overrides: &EndpointOverrides) -> Result<Metadata, OidcError> {
        let issuer = Issuer::new(ISSUER, None, &[]).unwrap();
        let overrides = Overrides::new(overrides, &issuer, false).unwrap();
        Metadata::of(document.as_object().unwrap(), &issuer, &overrides)
    }

    #[test]
    fn a_plain_document_is_read_and_unknown_members_are_ignored() {
        let metadata = parse(&document(), &EndpointOverrides::default()).unwrap();
        assert_eq!(metadata.authorization.as_str(), "https://op.example.com/authorize?policy=a");
        assert_eq!(metadata.jwks.as_str(), "https://keys.example.com/jwks");
        assert_eq!((metadata.end_session, metadata.revocation), (None, None));
        assert!(metadata.names_itself);
    }

    #[test]
    fn overrides_win_over_the_document_even_where_it_is_broken() {
        let mut broken = document();
        broken["token_endpoint"] = json!("http://op.example.com/token");
        let overrides = EndpointOverrides {
            token: Some("https://back.example.com/token".to_owned()),
            revocation: Some("https://back.example.com/revoke".to_owned()),
            ..EndpointOverrides::default()
        };
        let metadata = parse(&broken, &overrides).unwrap();
        assert_eq!(metadata.token.as_str(), "https://back.example.com/token");
        assert_eq!(metadata.revocation.unwrap().as_str(), "https://back.example.com/revoke");
    }

    // proves: AR-07
    #[rstest]
    #[case::longer(json!("https://op.example.com1"))]
    #[case::slash(json!("https://op.example.com/"))]
    #[case::other_case(json!("https://OP.example.com"))]
    #[case::other_host(json!("https://evil.example.com"))]
    #[case::port(json!("https://op.example.com:443"))]
    #[case::array(json!(["https://op.example.com"]))]
    #[case::number(json!(1))]
    #[case::null(Value::Null)]
    fn a_document_of_another_issuer_is_refused(#[case] issuer: Value) {
        let mut document = document();
        document["issuer"] = issuer;
        let refused = parse(&document, &EndpointOverrides::default());
        assert_eq!(refused, Err(OidcError::IssuerMismatch));
        document.as_object_mut().unwrap().remove("issuer");
        let refused = parse(&document, &EndpointOverrides::default());
        assert_eq!(refused, Err(OidcError::IssuerMismatch));
    }

    // proves: AR-08
    #[rstest]
    #[case::missing("token_endpoint", Value::Null)]
    #[case::plain_http("token_endpoint", json!("http://op.example.com/token"))]
    #[case::number("jwks_uri", json!(1))]
    #[case::file("jwks_uri", json!("file:///etc/passwd"))]
    #[case::relative("authorization_endpoint", json!("/authorize"))]
    #[case::speaks_for_us("authorization_endpoint", json!("https://op.example.com/a?client_id=x"))]
    #[case::optional_but_unsafe("userinfo_endpoint", json!("http://op.example.com/userinfo"))]
    fn an_endpoint_that_is_missing_or_unsafe_is_refused(#[case] name: &str, #[case] url: Value) {
        let mut document = document();
        document[name] = url;
        let refused = parse(&document, &EndpointOverrides::default());
        assert_eq!(refused, Err(OidcError::EndpointInvalid));
    }
}
