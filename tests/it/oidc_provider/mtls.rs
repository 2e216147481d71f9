//! A client with a certificate at the certified authorization server, held to the FAPI 2.0 Security Profile on both sides.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::secret::Random;
use cloakroom::server;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::browser::{Browser, login};
use crate::support::hostile_op::{Reply, Request, serve};
use crate::support::oidc_provider::OidcProvider;
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, FETCH, LINK, free_port, load_text};
use crate::support::tls::{OwnCertificate, asking_acceptor, ca_file, file};

/// An API that takes a JWT from whoever shows the certificate that it names.
async fn api() -> (u16, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, calls) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&calls);
    let answer = move |request: Request| {
        *count.lock().unwrap() += 1;
        let token = request.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
        let bound_to = claims["cnf"]["x5t#S256"].as_str().map(str::to_owned);
        let is_ours = bound_to.is_some() && bound_to == request.certificate;
        Reply::new(if is_ours { 200 } else { 401 }, "text/plain", "the API's own")
    };
    tokio::spawn(serve(listener, Some(asking_acceptor()), Arc::new(answer)));
    (port, calls)
}

/// A browser that trusts the tests' authority.
fn browser() -> Browser {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(ca_file()).unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .tls_certs_only([ca]);
    Browser::with(client.build().unwrap())
}

// proves: CA-09, FA-01, FA-02, FA-07, FA-12, SC-09
#[rstest]
#[case::of_an_authority("tls_client_auth", OwnCertificate::vouched_for())]
#[case::of_our_own("self_signed_tls_client_auth", OwnCertificate::self_signed(&std::env::temp_dir(), "cloakroom-mtls-real"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_calls_and_refreshes_by_fapi_2_with_a_certificate(
    #[case] method: &str,
    #[case] own: OwnCertificate,
) {
    let port = free_port();
    let app = format!("http://localhost:{port}");
    let path = |name: &str| file(name).display().to_string();
    let provider = OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "token_endpoint_auth_method": method,
        "redirect_uri": format!("{app}/callback"), "access_token_ttl": 3, "fapi2": true,
        "resource": "https://orders.example.com",
        "mtls": {
            "cert": path("localhost.pem"), "key": path("localhost.key.pem"),
            "client_ca": path("client-ca.pem"), "client_cert": own.cert,
        },
    }))
    .await;
    let (api_port, calls) = api().await;
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{app}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [provider]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\nprofile = \"fapi2\"\nauth_method = \"{method}\"\n\
         sender_constraint = \"mtls\"\npushed_requests = \"always\"\nalgorithms = [\"PS256\"]\n\
         scopes = [\"openid\", \"profile\", \"email\", \"sales\"]\n{}\
         [session]\nkeys = [{{ id = \"one\", env = \"KEY_ONE\" }}]\nclaims = [\"sub\", \"email\"]\nrefresh_before = \"1s\"\n\
         [[routes]]\npath = \"/api\"\nupstream = \"https://localhost:{api_port}\"\nca_file = \"{}\"\n",
        provider.issuer,
        own.lines(),
        ca_file().display(),
    );
    let running = server::start(load_text(&text), Clock::system(), Random::system()).unwrap();
    let browser = browser();
    let begun = browser.send("GET", &format!("{app}/login?return_to=/"), &LINK, "").await;
    let authorize = begun.redirect().unwrap_or_else(|| panic!("{}", begun.body));
    assert!(!authorize.as_str().contains("redirect_uri"), "pushed: {authorize}");
    let back = login(&browser, authorize.as_str(), "alice").await;
    let landed = browser.get_from_elsewhere(&back).await;
    assert_eq!(landed.redirect().unwrap().as_str(), format!("{app}/"));
    let session = browser.send("GET", &format!("{app}/session"), &FETCH, "").await;
    assert!(session.body.contains("alice@example.com"), "{}", session.body);
    for _ in 0..3 {
        let page = browser.send("GET", &format!("{app}/api/orders"), &FETCH, "").await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "the API's own"));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(*calls.lock().unwrap(), 3);
    let asked = provider.calls_seen_by(&browser, "token").await;
    assert!(asked.iter().all(|call| call["certificate"] == true && call["status"] == 200));
    assert!(asked.iter().any(|call| call["grant_type"] == "refresh_token"), "{asked:?}");
    running.stop().await;
}
