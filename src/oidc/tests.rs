//! What a provider refuses before it has spoken to anybody, and test values for the message files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rstest::rstest;

use super::*;
use crate::clock::Timestamp;
use crate::config::{
    ClientAuthMethod, DpopKeys, EndpointOverrides, IntrospectionForm, Profile, ResponseMode,
    SenderConstraint,
};

/// A valid configuration for `issuer`.
pub(super) fn provider_config(issuer: &str) -> ProviderConfig {
    ProviderConfig {
        id: "default".to_owned(),
        issuer: issuer.to_owned(),
        client_id: "web".to_owned(),
        client_secret: Secret::from("the-secret"),
        client_key: None,
        auth_method: ClientAuthMethod::ClientSecretBasic,
        profile: Profile::Oidc,
        certificate: None,
        sender_constraint: SenderConstraint::None,
        dpop_keys: DpopKeys::Deployment,
        dpop_key: None,
        pushed_requests: PushedRequests::WhenRequired,
        signed_requests: false,
        response_mode: ResponseMode::Query,
        introspection: IntrospectionForm::Jwt,
        scopes: vec!["openid".to_owned(), "sales".to_owned()],
        resources: Vec::new(),
        authorization_details: None,
        discovery_url: None,
        endpoints: EndpointOverrides::default(),
        ca_file: None,
        proxy: None,
        resolve: BTreeMap::new(),
        issuer_template: None,
        allowed_tenants: Vec::new(),
        authorize_params: BTreeMap::new(),
        algorithms: vec!["RS256".to_owned(), "ES256".to_owned()],
        clock_skew: Duration::from_secs(30),
        id_token_max_age: None,
        trusted_audiences: Vec::new(),
        userinfo: false,
        userinfo_signed: false,
        logout_token_untyped: false,
        logout_token_without_exp: false,
        default_token_lifetime: Duration::from_secs(300),
        timeout: Duration::from_secs(10),
    }
}

fn build(change: impl FnOnce(&mut ProviderConfig)) -> Result<Provider, OidcError> {
    let mut config = provider_config("https://op.example.com");
    change(&mut config);
    let clock = Clock::manual(Timestamp(1_700_000_000));
    Provider::new(config, "https://app.example.com/callback".to_owned(), clock)
}

#[test]
fn a_new_provider_is_degraded_until_discovery_has_worked() {
    assert_eq!(build(|_| {}).unwrap().degraded(), Some("discovery_pending"));
}

#[test]
fn a_provider_and_its_futures_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync>(_: &T) {}
    let provider = build(|_| {}).unwrap();
    is_shared(&provider);
    let verifier = Secret::from("v");
    let exchange = CodeExchange {
        code: "c",
        verifier: &verifier,
        nonce: "n",
        max_age: None,
        acr_values: None,
    };
    is_send(&provider.exchange(exchange));
    let expected = RefreshExpectation { sub: "s".to_owned(), nonce: None, auth_time: None };
    is_send(&provider.refresh((&verifier, None), None, &expected));
    is_send(&provider.revoke(&verifier, "refresh_token"));
    is_send(&provider.end_session_url(None, "r", "p", "s"));
    is_send(&provider.check_response_iss(None));
}

// proves: ID-05
#[rstest]
#[case::symmetric(&["HS256"])]
#[case::symmetric_beside(&["RS256", "HS512"])]
#[case::none(&["none"])]
#[case::other_case(&["rs256"])]
#[case::unknown(&["ES512"])]
#[case::nothing(&[])]
fn algorithms_that_prove_nothing_cannot_be_configured(#[case] names: &[&str]) {
    let built = build(|config| config.algorithms = names.iter().map(|&n| n.into()).collect());
    assert_eq!(built.unwrap_err(), ConfigFault::Algorithms.into());
}

// proves: AR-02, AR-15
#[rstest]
fn protocol_parameters_cannot_be_configured(
    #[values("response_type", "redirect_uri", "scope", "nonce", "request_uri", "code_challenge")]
    name: &str,
) {
    let params = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
    let built = build(|config| config.authorize_params = params);
    assert_eq!(built.unwrap_err(), ConfigFault::AuthorizeParams.into());
}

#[test]
fn each_unusable_setting_is_named() {
    let refused = |change: fn(&mut ProviderConfig)| build(change).unwrap_err().code();
    assert_eq!(refused(|c| c.issuer = "http://op.example.com".to_owned()), "config_issuer");
    assert_eq!(refused(|c| c.scopes = vec!["profile".to_owned()]), "config_scopes");
    assert_eq!(refused(|c| c.ca_file = Some(PathBuf::from("/no/such/file"))), "config_ca_file");
    assert_eq!(refused(|c| c.ca_file = Some(PathBuf::from("/dev/null"))), "config_ca_file");
    assert_eq!(refused(|c| c.proxy = Some("::".to_owned())), "config_proxy");
    assert_eq!(
        refused(|c| c.discovery_url = Some("http://op.example.com/d".to_owned())),
        "config_endpoint"
    );
    assert_eq!(
        refused(|c| c.endpoints.token = Some("http://op.example.com/t".to_owned())),
        "config_endpoint"
    );
    assert_eq!(
        refused(|c| c.issuer_template = Some("https://op/{tenantid}".to_owned())),
        "config_issuer_template"
    );
}
