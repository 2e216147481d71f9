//! Answers that are no answers: slow, endless, cut off, redirected, of the wrong kind, from the wrong server.

use std::time::Duration;

use cloakroom::clock::{Clock, Timestamp};
use cloakroom::config::ProviderConfig;
use cloakroom::oidc::{Login, OidcError, Provider};
use rstest::rstest;

use super::setup::{NOW, REDIRECT_URI, SHORT, Setup, config};
use crate::support::client_hello::ClientHello;
use crate::support::hostile_op::{Endpoint, HostileOp, Manner, Reply, edit, set};
use crate::support::tls;

/// Longer than any deadline below, shorter than a test run's patience.
const PATIENCE: Duration = Duration::from_secs(60);

async fn impatient() -> Setup {
    Setup::with(|config| {
        config.timeout = SHORT;
        config.userinfo = true;
    })
    .await
}

async fn ends(setup: &Setup) -> Result<Login, OidcError> {
    tokio::time::timeout(PATIENCE, setup.login()).await.expect("it ends within its deadlines")
}

fn json_text(body: &str) -> Reply {
    Reply::new(200, "application/json", body)
}

fn nested() -> String {
    format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))
}

// proves: AR-08
#[rstest]
#[case::html(Reply::new(200, "text/html", "<h1>Welcome</h1>"))]
#[case::json_called_html(Reply::new(200, "text/html", "{}"))]
#[case::twice(json_text(
    r#"{"issuer":"a","issuer":"b","keys":[],"keys":[],"sub":"a","sub":"alice"}"#
))]
#[case::nested(json_text(&nested()))]
#[case::not_json(json_text("issuer=a"))]
#[case::empty(json_text(""))]
#[case::slow_head(json_text("{}").after(Duration::from_secs(600)))]
#[case::byte_by_byte(json_text(&" ".repeat(10_000)).written(Manner::Trickle(Duration::from_millis(50))))]
#[case::endless(json_text(&" ".repeat(65_536)).written(Manner::Endless))]
#[case::fifty_megabytes(json_text(&" ".repeat(50_000_000)))]
#[case::cut_off(json_text("{\"keys\":[]}").written(Manner::CutOff))]
#[case::hung_up(json_text("{}").written(Manner::HangUp))]
#[case::server_error(Reply::new(500, "text/html", "<h1>"))]
#[tokio::test]
async fn an_answer_that_is_none_ends_the_login_cleanly(
    #[case] reply: Reply,
    #[values(Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo)]
    endpoint: Endpoint,
) {
    let setup = impatient().await;
    setup.op.answer_with(endpoint, reply);
    let error = ends(&setup).await.map(|login| login.claims).unwrap_err();
    let allowed: &[&str] = match endpoint {
        Endpoint::Discovery => &["discovery_unavailable", "discovery_invalid"],
        Endpoint::Jwks => &["jwks_unavailable"],
        Endpoint::Token => &["token_unavailable", "token_response_invalid"],
        _ => &["userinfo_unavailable", "userinfo_invalid"],
    };
    assert!(allowed.contains(&error.code()), "{error}");
    // The same server, mended, logs in again: nothing is stuck.
    setup.op.answer_honestly(endpoint);
    setup.clock.advance(Duration::from_secs(31));
    assert!(ends(&setup).await.is_ok());
}

// proves: AR-08
#[rstest]
#[case::below(900_000, true)]
#[case::above(1_100_000, false)]
#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused_although_it_is_valid(
    #[case] padding: usize,
    #[case] accepted: bool,
    #[values(Endpoint::Discovery, Endpoint::Token, Endpoint::Userinfo)] endpoint: Endpoint,
) {
    let setup = Setup::with(|config| config.userinfo = true).await;
    setup.op.turn(|knobs| {
        let pad = set("padding", Some("x".repeat(padding).into()));
        match endpoint {
            Endpoint::Discovery => knobs.discovery = pad,
            Endpoint::Token => knobs.token_response = pad,
            _ => knobs.userinfo = pad,
        }
    });
    let outcome = setup.login().await.map(drop);
    assert_eq!(outcome.is_ok(), accepted, "{outcome:?}");
    assert!(accepted || outcome.unwrap_err().is_unavailable());
}

// proves: AR-08
#[rstest]
#[tokio::test]
async fn a_redirect_is_never_followed(
    #[values(Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo)]
    endpoint: Endpoint,
    #[values(301, 302, 303, 307, 308)] status: u16,
) {
    let attacker = HostileOp::start(Clock::manual(Timestamp(NOW))).await;
    let setup = impatient().await;
    let location = format!("{}/collect", attacker.issuer);
    setup.op.answer_with(endpoint, Reply::redirect(status, &location));
    assert!(ends(&setup).await.is_err());
    assert_eq!(attacker.calls(Endpoint::Other), 0);
}

// proves: AR-08
#[tokio::test]
async fn tls_is_verified_against_the_configured_authority_and_the_name() {
    let start = |name: &str| {
        let acceptor = tls::acceptor(name);
        HostileOp::start_with(Clock::manual(Timestamp(NOW)), Some(acceptor))
    };
    // Unknown authority: nothing is trusted that the system does not trust.
    let setup = Setup::around(start("localhost").await, |_| {});
    assert_eq!(setup.login().await.unwrap_err(), OidcError::DiscoveryUnavailable);
    // Known authority, another server's certificate.
    let setup = Setup::around(start("elsewhere").await, |c| c.ca_file = Some(tls::ca_file()));
    assert_eq!(setup.login().await.unwrap_err(), OidcError::DiscoveryUnavailable);
    assert_eq!(setup.op.calls(Endpoint::Discovery), 0);
    // Known authority, right name.
    let setup = Setup::around(start("localhost").await, |c| c.ca_file = Some(tls::ca_file()));
    assert!(setup.login().await.is_ok());
}

#[tokio::test]
async fn split_horizon_sends_a_name_to_another_address() {
    let op = HostileOp::start(Clock::manual(Timestamp(NOW))).await;
    op.turn(|knobs| {
        knobs.discovery = edit(|document| {
            for value in document.values_mut().filter(|value| value.is_string()) {
                let text = value.as_str().unwrap();
                let path = text.split_once("//").unwrap().1.split_once('/').map_or("", |(_, p)| p);
                *value = format!("http://localhost/{path}").trim_end_matches('/').into();
            }
        });
    });
    let address = op.address;
    let setup = Setup::around(op, |config| {
        config.issuer = "http://localhost".to_owned();
        config.resolve.insert("localhost".to_owned(), address);
    });
    assert!(setup.attempt().await.is_ok());
    assert_eq!(setup.op.requests(Endpoint::Discovery)[0].header("host"), Some("localhost"));
}

#[tokio::test]
async fn a_configured_proxy_is_used() {
    let proxy = HostileOp::start(Clock::manual(Timestamp(NOW))).await;
    let address = proxy.issuer.clone();
    let setup = Setup::with(|config| config.proxy = Some(address)).await;
    assert!(setup.login().await.is_err());
    assert_eq!(setup.op.calls(Endpoint::Discovery), 0);
    assert_eq!(proxy.requests(Endpoint::Other)[0].method, "GET");
}

#[tokio::test]
async fn requests_name_us_and_never_carry_a_cookie_or_a_referer() {
    let setup = Setup::with(|config| config.userinfo = true).await;
    let reply = Reply::redirect(303, "/").with_header("set-cookie", "a=b");
    setup.op.answer_with(Endpoint::Discovery, reply);
    setup.login().await.unwrap_err();
    setup.op.answer_honestly(Endpoint::Discovery);
    setup.clock.advance(Duration::from_secs(5));
    setup.login().await.unwrap();
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo] {
        for request in setup.op.requests(endpoint) {
            assert!(request.header("user-agent").unwrap().starts_with("cloakroom/"));
            assert_eq!((request.header("cookie"), request.header("referer")), (None, None));
        }
    }
}

// proves: FA-15
#[tokio::test]
async fn the_authorization_server_is_offered_recommended_cipher_suites_only() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    for ca_file in [None, Some(tls::ca_file())] {
        let config = ProviderConfig { ca_file, ..config(&issuer) };
        let clock = Clock::manual(Timestamp(NOW));
        let provider = Provider::new(config, REDIRECT_URI.to_owned(), clock).unwrap();
        let (probed, hello) = tokio::join!(provider.probe(), ClientHello::recorded(&listener));
        hello.assert_good();
        assert_eq!(probed, Err(OidcError::DiscoveryUnavailable));
    }
}
