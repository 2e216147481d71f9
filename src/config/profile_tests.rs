//! What the FAPI 2.0 profile lets pass, and what it refuses.

use rstest::rstest;

use crate::config::tests::{LEAST, problems};

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/client.key.pem");
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/client.pem");
const OTHER_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/localhost.key.pem");

/// What the profile lets pass.
const LINES: [&str; 5] = [
    "auth_method = \"private_key_jwt\"",
    "sender_constraint = \"dpop\"",
    "pushed_requests = \"always\"",
    "algorithms = [\"PS256\", \"ES256\"]",
    "profile = \"fapi2\"",
];

/// [`LEAST`] with a client key and these lines of the provider.
fn with(lines: &[&str]) -> String {
    let keys = format!("client_key_file = \"{KEY}\"\ndpop_key_file = \"{OTHER_KEY}\"");
    let lines = format!("{keys}\n{}", lines.join("\n"));
    LEAST.replace("client_secret_env = \"CLIENT_SECRET\"", &lines)
}

/// A certificate in place of both keys.
fn with_certificate() -> String {
    let certificate = format!(
        "auth_method = \"tls_client_auth\"\nsender_constraint = \"mtls\"\n\
         client_certificate_file = \"{CERTIFICATE}\"\nclient_certificate_key_file = \"{KEY}\"\n{}",
        LINES[2..].join("\n")
    );
    LEAST.replace("client_secret_env = \"CLIENT_SECRET\"", &certificate)
}

/// [`LINES`] with `line` instead of the one of its key, or beside them.
fn with_line(line: &str) -> String {
    let key = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut lines: Vec<&str> = LINES.to_vec();
    lines.retain(|known| key(known) != key(line));
    lines.push(line);
    with(&lines)
}

// proves: FA-15
#[rstest]
#[case::elsewhere("upstream = \"http://accounts\"", Some("upstream"))]
#[case::by_claim(
    "upstream = \"https://eu\"\nupstream_by = { claim = \"region\", upstreams = { us = \"http://us\" } }",
    Some("upstream_by.upstreams.us")
)]
#[case::without_a_token("upstream = \"http://accounts\"\ntoken = \"none\"", None)]
#[case::on_this_machine("upstream = \"http://127.0.0.1:8080\"", None)]
#[case::by_name("upstream = \"http://localhost:8080\"", None)]
#[case::a_socket("upstream = \"http://accounts\"\naddresses = [\"unix:/run/api.sock\"]", None)]
fn apis_elsewhere_are_called_over_tls(#[case] route: &str, #[case] refused: Option<&str>) {
    let text = format!("{}\n[[routes]]\npath = \"/api\"\n{route}\n", with(&LINES));
    let found = problems(&text, &[], &[]);
    let about = refused.map(|key| format!("routes.0.{key}: is forbidden by profile = \"fapi2\""));
    match about {
        None => assert_eq!(found, [""; 0]),
        Some(about) => assert!(found.len() == 1 && found[0].contains(&about), "{found:?}"),
    }
}

// proves: FA-01, FA-02, FA-05, FA-09, FA-12, FA-13
#[rstest]
#[case::secret("auth_method = \"client_secret_basic\"", "auth_method", "5.3.3.1")]
#[case::secret_in_the_form("auth_method = \"client_secret_post\"", "auth_method", "5.3.3.1")]
#[case::bearer("sender_constraint = \"none\"", "sender_constraint", "5.3.3.1")]
#[case::audience(
    "client_assertion_audience = \"token_endpoint\"",
    "client_assertion_audience",
    "5.3.3.1"
)]
#[case::plain_request("pushed_requests = \"when_required\"", "pushed_requests", "5.3.3.2")]
#[case::rs256("algorithms = [\"PS256\", \"RS256\"]", "algorithms", "5.4.1")]
#[case::es384("algorithms = [\"ES384\"]", "algorithms", "5.4.1")]
#[case::signs_by_rs256("client_key_rs256 = true", "client_key_rs256", "5.4.1")]
#[case::metadata("discovery_url = \"https://elsewhere.example/x\"", "discovery_url", "5.3.3.1")]
#[case::endpoint("token_endpoint = \"https://elsewhere.example/x\"", "token_endpoint", "5.3.3.1")]
#[case::keys("jwks_uri = \"https://elsewhere.example/x\"", "jwks_uri", "5.3.3.1")]
fn what_the_profile_forbids_is_an_error_that_names_the_rule(
    #[case] line: &str,
    #[case] key: &str,
    #[case] rule: &str,
) {
    assert_eq!(problems(&with(&LINES), &[], &[]), [""; 0]);
    assert_eq!(problems(&with_certificate(), &[], &[]), [""; 0]);
    let found = problems(&with_line(line), &[], &[]);
    let about = format!("provider.{key}: is forbidden by profile = \"fapi2\"");
    let named = found.iter().filter(|one| one.contains(&about)).count();
    assert!(named == 1 && found.iter().any(|one| one.contains(rule)), "{found:?}");
    let oidc = with_line(line).replace("profile = \"fapi2\"", "profile = \"oidc\"");
    let found = problems(&oidc, &[], &[]);
    assert!(!found.iter().any(|one| one.contains("forbidden")), "{found:?}");
}

#[test]
fn everything_that_is_forbidden_is_told_at_once() {
    let found = problems(&with(&["profile = \"fapi2\""]), &[], &[]);
    let keys = ["auth_method", "sender_constraint", "pushed_requests", "algorithms"];
    for key in keys {
        assert!(found.iter().any(|one| one.contains(&format!("provider.{key}: "))), "{found:?}");
    }
}

// proves: KM-06
#[test]
fn a_key_has_one_purpose_whatever_its_file_is_called() {
    let copy = std::env::temp_dir().join(format!("cloakroom-copy-{}.pem", std::process::id()));
    std::fs::copy(KEY, &copy).unwrap();
    let text = with(&LINES).replace(OTHER_KEY, copy.to_str().unwrap());
    let found = problems(&text, &[], &[]);
    assert!(
        found.len() == 1 && found[0].contains("dpop_key_file: is the client's own key"),
        "{found:?}"
    );
    std::fs::remove_file(copy).unwrap();
}
