//! Logins that succeed, and what the authorization server saw of them.

use std::collections::HashSet;
use std::sync::Arc;

use cloakroom::clock::Timestamp;
use cloakroom::config::ClientAuthMethod;
use cloakroom::oidc::{AuthorizationRequest, OidcError, code_challenge};
use cloakroom::secret::Secret;
use rstest::rstest;
use serde_json::json;

use super::setup::{NOW, REDIRECT_URI, Setup, Wish};
use crate::support::hostile_op::{Endpoint, HostileOp, SigningKey, SigningKeys, edit, set};
use crate::support::log::Log;

// proves: CB-07
#[rstest]
#[case::basic(ClientAuthMethod::ClientSecretBasic)]
#[case::post(ClientAuthMethod::ClientSecretPost)]
#[tokio::test]
async fn a_login_gives_tokens_and_claims_to_a_client_that_proved_itself(
    #[case] method: ClientAuthMethod,
) {
    let setup = Setup::with(|config| config.auth_method = method).await;
    let login = setup.login().await.unwrap();
    assert!(login.tokens.access_token.expose().starts_with("access-"));
    assert!(login.tokens.refresh_token.unwrap().expose().starts_with("refresh-"));
    assert_eq!(login.tokens.expires_at, Timestamp(NOW + 300));
    assert_eq!(login.tokens.scope.unwrap(), "openid profile sales");
    assert_eq!((login.claims.iss, login.claims.sub), (setup.op.issuer.clone(), "alice".to_owned()));
    assert_eq!(login.claims.sid.as_deref(), Some("op-session"));
    assert_eq!(login.claims.auth_time, Some(Timestamp(NOW)));
    assert_eq!(setup.provider.degraded(), None);

    // The server has compared the verifier and the redirect URI; the form holds nothing else.
    let requests = setup.op.requests(Endpoint::Token);
    let names: Vec<String> = requests[0].form().into_iter().map(|(name, _)| name).collect();
    let own = ["grant_type", "code", "redirect_uri", "code_verifier"];
    match method {
        ClientAuthMethod::ClientSecretBasic => assert_eq!(names, own),
        ClientAuthMethod::ClientSecretPost => {
            assert_eq!(names, [&own[..], &["client_id", "client_secret"]].concat());
            assert_eq!(requests[0].header("authorization"), None);
        }
        other => panic!("not with a secret: {other:?}"),
    }
    assert_eq!(requests[0].field("redirect_uri").unwrap(), REDIRECT_URI);
    assert_eq!(requests[0].method, "POST");
    assert!(requests[0].query.is_empty());
}

// proves: CB-07
#[tokio::test]
async fn a_wrong_secret_verifier_or_redirect_uri_is_noticed_by_the_server() {
    let wrong_secret = Setup::with(|config| config.client_secret = Secret::from("guess")).await;
    assert_eq!(wrong_secret.login().await.unwrap_err(), OidcError::TokenRejected);

    let setup = Setup::new().await;
    let mut attempt = setup.attempt().await.unwrap();
    attempt.verifier = Secret::new("a".repeat(43));
    let refused = setup.finish(&attempt, Wish::default()).await;
    assert_eq!(refused.unwrap_err(), OidcError::InvalidGrant);

    let mut attempt = setup.attempt().await.unwrap();
    let challenge = code_challenge(&attempt.verifier);
    let code = setup.op.mint_code(Some(&attempt.nonce), &challenge, "https://evil.example.com/");
    attempt.response.retain(|(name, _)| name != "code");
    attempt.response.push(("code".to_owned(), code));
    let refused = setup.finish(&attempt, Wish::default()).await;
    assert_eq!(refused.unwrap_err(), OidcError::InvalidGrant);
}

// proves: AR-03, AR-06
#[tokio::test]
async fn attempts_share_no_challenge_and_no_nonce() {
    let setup = Setup::new().await;
    let (mut challenges, mut nonces) = (HashSet::new(), HashSet::new());
    for _ in 0..1000 {
        let attempt = setup.attempt().await.unwrap();
        assert_eq!(attempt.verifier.expose().len(), 43);
        assert_eq!(attempt.asked("code_challenge_method").unwrap(), "S256");
        assert_eq!(attempt.asked("response_type").unwrap(), "code");
        assert!(challenges.insert(attempt.asked("code_challenge").unwrap()));
        let nonce = attempt.asked("nonce").unwrap();
        assert!((22..=64).contains(&nonce.len()) && nonces.insert(nonce));
    }
    assert_eq!(setup.op.calls(Endpoint::Discovery), 1);
}

// proves: AR-04
#[rstest]
#[case::unsaid(None)]
#[case::plain(Some(json!(["plain"])))]
#[case::nothing(Some(json!([])))]
#[tokio::test]
async fn s256_state_and_nonce_are_sent_whatever_the_server_says_of_pkce(
    #[case] methods: Option<serde_json::Value>,
) {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| knobs.discovery = set("code_challenge_methods_supported", methods));
    let attempt = setup.attempt().await.unwrap();
    assert_eq!(attempt.asked("code_challenge_method").unwrap(), "S256");
    assert!(attempt.asked("state").is_some());
    setup.op.turn(|knobs| knobs.claims = set("nonce", Some(json!("other"))));
    assert_eq!(setup.refused(Wish::default()).await, "id_token_nonce");
}

// proves: AR-15
#[tokio::test]
async fn wishes_of_the_spa_narrow_and_never_replace() {
    let setup = Setup::with(|config| {
        config.authorize_params.insert("audience".to_owned(), "orders".to_owned());
    })
    .await;
    setup.op.turn(|knobs| {
        knobs.discovery = edit(|document| {
            let endpoint =
                format!("{}?p=policy", document["authorization_endpoint"].as_str().unwrap());
            document.insert("authorization_endpoint".to_owned(), json!(endpoint));
        });
    });
    let wish = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let request = AuthorizationRequest {
        state: "s".to_owned(),
        nonce: "n".to_owned(),
        code_challenge: "c".to_owned(),
        extra: vec![
            wish("scope", "sales admin"),
            wish("prompt", "login"),
            wish("redirect_uri", "https://evil.example.com"),
            wish("client_id", "evil"),
            wish("response_mode", "fragment"),
            wish("request_uri", "https://evil.example.com/r"),
            wish("code_challenge", "evil"),
            wish("audience", "evil"),
        ],
    };
    let url = setup.provider.authorization_url(&request).await.unwrap();
    assert!(url.starts_with(&format!("{}/authorize?p=policy&", setup.op.issuer)), "{url}");
    assert!(!url.contains("evil") && !url.contains("admin"), "{url}");
    assert!(url.contains("scope=openid+sales&") && url.contains("prompt=login"), "{url}");
    assert!(url.contains("audience=orders") && !url.contains("response_mode"), "{url}");
}

#[tokio::test]
async fn the_server_answers_a_browser_too() {
    let setup = Setup::new().await;
    let mut attempt = setup.attempt().await.unwrap();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let browser = browser.no_proxy().build().unwrap();
    let get = async |url: &str| {
        let response = browser.get(url).send().await.unwrap();
        assert_eq!(response.status(), 302);
        response.headers()["location"].to_str().unwrap().to_owned()
    };
    let location = get(&attempt.url).await;
    let (target, query) = location.split_once('?').unwrap();
    assert_eq!(target, REDIRECT_URI);
    attempt.response = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(attempt.get("state"), attempt.asked("state").as_deref());
    let login = setup.finish(&attempt, Wish::default()).await.unwrap();
    let hint = login.tokens.id_token.as_ref();
    let back = "https://app.example.com/logged-out";
    let url = setup.provider.end_session_url(hint, back, "post_logout_redirect_uri", "s1");
    assert_eq!(get(&url.await.unwrap().unwrap()).await, format!("{back}?state=s1"));
}

// proves: CB-03
#[rstest]
#[case::wrong(Some("https://evil.example.com"), "response_iss_mismatch")]
#[case::slash(Some("{issuer}/"), "response_iss_mismatch")]
#[case::longer(Some("{issuer}1"), "response_iss_mismatch")]
#[case::other_case(Some("{ISSUER}"), "response_iss_mismatch")]
#[case::empty(Some(""), "response_iss_mismatch")]
#[case::missing(None, "response_iss_missing")]
#[tokio::test]
async fn a_response_of_another_issuer_costs_no_token_call(
    #[case] iss: Option<&'static str>,
    #[case] code: &str,
) {
    let setup = Setup::new().await;
    let issuer = setup.op.issuer.clone();
    setup.op.turn(|knobs| {
        knobs.authorization_response = Some(Arc::new(move |params| {
            params.retain(|(name, _)| name != "iss");
            let named = |iss: &str| {
                iss.replace("{issuer}", &issuer).replace("{ISSUER}", &issuer.to_uppercase())
            };
            params.extend(iss.map(|iss| ("iss".to_owned(), named(iss))));
        }));
    });
    assert_eq!(setup.login().await.unwrap_err().code(), code);
    assert_eq!(setup.op.calls(Endpoint::Token), 0);
}

// proves: CB-03
#[tokio::test]
async fn a_server_that_does_not_promise_to_name_itself_may_leave_it_out() {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| {
        knobs.discovery = set("authorization_response_iss_parameter_supported", None);
        knobs.authorization_response =
            Some(Arc::new(|params| params.retain(|(name, _)| name != "iss")));
    });
    assert!(setup.login().await.is_ok());
    let other = setup.provider.check_response_iss(Some("https://evil.example.com")).await;
    assert_eq!(other.unwrap_err(), OidcError::ResponseIssMismatch);
}

#[rstest]
#[case::rs256(&SigningKeys::shared().rsa, "RS256")]
#[case::ps256(&SigningKeys::shared().rsa, "PS256")]
#[case::es256(&SigningKeys::shared().ec, "ES256")]
#[case::eddsa(&SigningKeys::shared().ed, "EdDSA")]
#[tokio::test]
async fn every_configured_algorithm_logs_in(#[case] key: &SigningKey, #[case] algorithm: &str) {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| knobs.sign_with(key, algorithm, Some("k")));
    assert!(setup.login().await.is_ok());
}

// proves: ID-22
#[tokio::test]
async fn an_access_token_is_opaque_even_when_it_looks_like_a_jwt_with_a_lying_expiry() {
    let setup = Setup::new().await;
    let jwt = "eyJhbGciOiJub25lIn0.eyJleHAiOjEsImF1ZCI6Im90aGVyIn0.";
    setup.op.turn(|knobs| {
        knobs.token_response = set("access_token", Some(json!(jwt)));
        knobs.claims = set("at_hash", None);
    });
    let login = setup.login().await.unwrap();
    assert_eq!(login.tokens.access_token.expose(), jwt);
    assert_eq!(login.tokens.expires_at, Timestamp(NOW + 300));
}

#[tokio::test]
async fn one_subject_at_two_issuers_is_two_users() {
    let (one, two) = (Setup::new().await, Setup::new().await);
    let (a, b) = (one.login().await.unwrap().claims, two.login().await.unwrap().claims);
    assert_eq!((&a.sub, a.all.get("email")), (&b.sub, b.all.get("email")));
    assert_ne!((a.iss, a.sub), (b.iss, b.sub));
}

// proves: ID-01, AR-07
#[tokio::test]
async fn a_multi_tenant_issuer_lets_in_the_listed_tenants_only() {
    let clock = cloakroom::clock::Clock::manual(Timestamp(NOW));
    let op = HostileOp::start(clock).await;
    let template = format!("{}/{{tenantid}}/v2.0", op.issuer);
    let setup = Setup::around(op, |config| {
        config.issuer_template = Some(template.clone());
        config.allowed_tenants = vec!["t1".to_owned()];
    });
    setup.op.turn(|knobs| {
        knobs.discovery = set("issuer", Some(json!(template)));
        knobs.authorization_response = Some(Arc::new(|params| {
            for (_, value) in params.iter_mut().filter(|(name, _)| name == "iss") {
                value.push_str("/t1/v2.0");
            }
        }));
    });
    let base = setup.op.issuer.clone();
    let come_from = |iss: &str, tid: &str| {
        let (iss, tid) = (json!(format!("{base}{iss}")), json!(tid));
        setup.op.turn(|knobs| {
            knobs.claims = edit(move |claims| {
                claims.insert("iss".to_owned(), iss.clone());
                claims.insert("tid".to_owned(), tid.clone());
            });
        });
    };
    come_from("/t1/v2.0", "t1");
    assert!(setup.login().await.is_ok());
    for (iss, tid) in
        [("/t2/v2.0", "t2"), ("/t1/v2.0", "t2"), ("/{tenantid}/v2.0", "t1"), ("", "t1")]
    {
        come_from(iss, tid);
        assert_eq!(setup.login().await.unwrap_err().code(), "id_token_iss", "{iss} {tid}");
    }
}

#[tokio::test]
async fn the_logs_of_good_and_bad_logins_hold_no_secret() {
    let (log, _guard) = Log::catch();
    let setup = Setup::new().await;
    let login = setup.login().await.unwrap();
    setup.op.turn(|knobs| {
        knobs.token_response = set("scope", Some(json!("openid profile sales admin")));
        knobs.claims = set("nonce", Some(json!("other")));
    });
    setup.login().await.unwrap_err();
    let text = log.text();
    assert!(text.contains("scope_wider"), "{text}");
    for secret in ["access-", "refresh-", "code-", "s:cr t", "eyJ", login.claims.sub.as_str()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
