//! The FAPI 2.0 profile towards the server: what it must announce, and what every answer must name.

use cloakroom::config::{Profile, PushedRequests};
use cloakroom::oidc::OidcError;
use rstest::rstest;
use serde_json::{Value, json};

use super::setup::Setup;
use crate::support::hostile_op::set;

/// A client of the profile before a server that announces what it needs, but for `name`, which has this value.
async fn with(name: &'static str, value: Value) -> Setup {
    let setup = Setup::with(|config| {
        config.profile = Profile::Fapi2;
        config.pushed_requests = PushedRequests::Always;
    })
    .await;
    setup.op.turn(|knobs| knobs.discovery = set(name, Some(value)));
    setup
}

// proves: AR-04, FA-12
#[rstest]
#[case::no_pkce("code_challenge_methods_supported", Value::Null)]
#[case::plain_pkce("code_challenge_methods_supported", json!(["plain"]))]
#[case::nowhere_to_push("pushed_authorization_request_endpoint", Value::Null)]
#[tokio::test]
async fn a_server_below_the_profile_gets_no_login_and_the_reason_is_told(
    #[case] name: &'static str,
    #[case] value: Value,
) {
    let setup = with(name, value).await;
    assert_eq!(setup.url().await.unwrap_err(), OidcError::BelowProfile);
    assert_eq!(setup.provider.degraded(), Some("discovery_below_profile"));
}

// proves: CB-03, FA-12
#[tokio::test]
async fn an_answer_without_the_issuer_is_refused_whatever_the_metadata_promises() {
    let setup = with("authorization_response_iss_parameter_supported", json!(false)).await;
    assert!(setup.provider.probe().await.is_ok());
    let (bare, named) = (None, Some(setup.op.issuer.as_str()));
    let refused = setup.provider.check_response_iss(bare).await;
    assert_eq!(refused, Err(OidcError::ResponseIssMissing));
    assert_eq!(setup.provider.check_response_iss(named).await, Ok(()));
}
