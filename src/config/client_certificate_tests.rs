//! What shows who a client is, secret, key or certificate; and the routes whose tokens are bound to the certificate.

use rstest::rstest;

use crate::config::tests::{LEAST, load_text, problems};

const CLIENT_CERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/client.pem");
const CLIENT_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/client.key.pem");
const OTHER_CERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/localhost.pem");
const OTHER_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/localhost.key.pem");
const EXPIRED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/expired.pem");
const EXPIRED_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/expired.key.pem");

// proves: CA-01
#[rstest]
#[case(&[("auth_method", "private_key_jwt"), ("client_key_file", CLIENT_KEY)], "client_secret", "is not used with a key")]
#[case(&[("auth_method", "tls_client_auth"), ("client_certificate_file", CLIENT_CERT), ("client_certificate_key_file", CLIENT_KEY)], "client_secret", "is not used with a certificate")]
#[case(&[("client_key_file", "/x")], "client_key_file", "is not used")]
#[case(&[("signed_requests", "true")], "client_key_file", "is missing")]
#[case(&[("client_certificate_file", "/x")], "client_certificate_file", "is not used")]
#[case(&[("client_certificate_key_file", "/x")], "client_certificate_key_file", "is not used")]
#[case(&[("sender_constraint", "mtls"), ("client_certificate_key_file", CLIENT_KEY)], "client_certificate_file", "is missing")]
#[case(&[("sender_constraint", "mtls"), ("client_certificate_file", CLIENT_CERT)], "client_certificate_key_file", "is missing")]
#[case(&[("sender_constraint", "mtls"), ("client_certificate_file", CLIENT_CERT), ("client_certificate_key_file", OTHER_KEY)], "client_certificate_key_file", "is not the key of the certificate")]
#[case(&[("sender_constraint", "mtls"), ("client_certificate_file", CLIENT_KEY), ("client_certificate_key_file", CLIENT_KEY)], "client_certificate_file", "holds no certificate")]
#[case(&[("sender_constraint", "mtls"), ("client_certificate_file", "/nowhere"), ("client_certificate_key_file", CLIENT_KEY)], "client_certificate_file", "cannot be read")]
#[case(&[("sender_constraint", "mtls"), ("client_certificate_file", EXPIRED), ("client_certificate_key_file", EXPIRED_KEY)], "client_certificate_file", "has expired")]
#[case(&[("sender_constraint", "mtls"), ("client_certificate_file", CLIENT_CERT), ("client_certificate_key_file", CLIENT_KEY), ("dpop_key_file", "/x")], "dpop_key_file", "is not used")]
#[case(&[("dpop_keys", "session")], "dpop_keys", "is not used")]
#[case(&[("sender_constraint", "dpop")], "dpop_key_file", "is missing")]
#[case(&[("sender_constraint", "dpop"), ("dpop_keys", "session"), ("dpop_key_file", CLIENT_KEY)], "dpop_key_file", "is not used")]
#[case(&[("sender_constraint", "mtls"), ("client_certificate_file", CLIENT_CERT), ("client_certificate_key_file", CLIENT_KEY), ("dpop_keys", "session")], "dpop_keys", "is not used")]
fn a_client_has_a_secret_or_a_key_or_a_certificate(
    #[case] lines: &[(&str, &str)],
    #[case] key: &str,
    #[case] wrong: &str,
) {
    let keys: Vec<(String, &str)> =
        lines.iter().map(|(key, value)| (format!("provider.{key}"), *value)).collect();
    let set: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let found = problems(LEAST, &[], &set);
    assert!(found.len() == 1 && found[0].contains(key) && found[0].contains(wrong), "{found:?}");
}

/// [`LEAST`] with a client whose tokens are bound to its certificate, and this route.
fn bound_with(route: &str) -> String {
    let bound = format!(
        "client_secret_env = \"CLIENT_SECRET\"\nsender_constraint = \"mtls\"\n\
         client_certificate_file = \"{CLIENT_CERT}\"\nclient_certificate_key_file = \"{CLIENT_KEY}\""
    );
    let least = LEAST.replace("client_secret_env = \"CLIENT_SECRET\"", &bound);
    format!("{least}[[routes]]\npath = \"/bound\"\n{route}\n")
}

// proves: AR-19
#[rstest]
#[case::no_json("accounts", "not a list in JSON")]
#[case::no_list("{\"type\":\"accounts\"}", "not a list in JSON")]
#[case::empty("[]", "not a list in JSON")]
#[case::text("[\"accounts\"]", "has an entry without type")]
#[case::no_type("[{\"type\":\"a\"},{\"actions\":[]}]", "has an entry without type")]
#[case::empty_type("[{\"type\":\"\"}]", "has an entry without type")]
fn details_that_say_nothing_are_refused(#[case] value: &str, #[case] wrong: &str) {
    let text = LEAST.replace("[session]", &format!("authorization_details = '{value}'\n[session]"));
    let found = problems(&text, &[], &[]);
    let at = "provider.authorization_details: ";
    assert!(found.len() == 1 && found[0].contains(&format!("{at}{wrong}")), "{found:?}");
}

#[test]
fn keys_of_sessions_need_no_file() {
    let set = [("provider.sender_constraint", "dpop"), ("provider.dpop_keys", "session")];
    let config = load_text(LEAST, &[], &set).unwrap();
    assert!(config.apps[0].providers[0].has_session_keys());
}

// proves: SC-09
#[test]
fn routes_whose_tokens_are_bound_to_a_certificate_show_it() {
    let by_claim = "upstream = \"https://eu\"\nupstream_by = { claim = \"region\", upstreams = { us = \"https://us\" } }";
    let config = load_text(&bound_with(by_claim), &[], &[]).unwrap();
    let route = config.apps[0].routes.iter().find(|route| route.path == "/bound").unwrap();
    let further = &route.rules.by_claim.as_ref().unwrap().upstreams["us"];
    let shown = config.apps[0].providers[0].binding_certificate().unwrap().certified();
    for upstream in [&route.upstream, further] {
        let trust = upstream.trust.as_ref().unwrap();
        assert!(trust.verifier().is_none(), "the system's authorities, as before");
        assert_eq!(trust.identity().unwrap().cert, shown.cert);
    }
    // The same certificate may stand in the route, too.
    let again = format!(
        "upstream = \"https://eu\"\nclient_cert_file = \"{CLIENT_CERT}\"\nclient_key_file = \"{CLIENT_KEY}\""
    );
    assert!(load_text(&bound_with(&again), &[], &[]).is_ok());
    let plain = bound_with("upstream = \"http://anybody\"\ntoken = \"none\"");
    let config = load_text(&plain, &[], &[]).unwrap();
    let route = config.apps[0].routes.iter().find(|route| route.path == "/bound").unwrap();
    assert!(route.upstream.trust.is_none(), "no token, no certificate");
}

// proves: SC-09
#[rstest]
#[case::plain_http("upstream = \"http://eu\"".to_owned(), "upstream: is plain HTTP")]
#[case::another(
    format!("upstream = \"https://eu\"\nclient_cert_file = \"{OTHER_CERT}\"\nclient_key_file = \"{OTHER_KEY}\""),
    "client_cert_file: is another certificate than tokens are bound to"
)]
#[case::plain_http_by_claim(
    "upstream = \"https://eu\"\nupstream_by = { claim = \"region\", upstreams = { us = \"http://us\" } }".to_owned(),
    "upstream_by.upstreams.us: is plain HTTP"
)]
fn a_route_that_cannot_show_the_certificate_is_refused(#[case] route: String, #[case] wrong: &str) {
    let found = problems(&bound_with(&route), &[], &[]);
    assert!(found.len() == 1 && found[0].contains(&format!("routes.0.{wrong}")), "{found:?}");
}

// proves: CA-09
#[test]
fn the_certificate_is_not_shown_to_a_forward_proxy() {
    let proxy = |scheme: &str| {
        let line = format!("proxy = \"{scheme}://proxy.internal:3129\"\n[session]");
        let upstream = "upstream = \"https://eu\"";
        problems(&bound_with(upstream).replace("[session]", &line), &[], &[])
    };
    assert_eq!(proxy("http"), [""; 0]);
    let found = proxy("https");
    assert!(found.len() == 1 && found[0].contains("provider.proxy: would be shown"), "{found:?}");
}

// proves: CA-10
#[test]
fn another_chain_is_another_certificate_to_show_and_nothing_else_in_the_files_is_read() {
    let folder = std::env::temp_dir().join(format!("cloakroom-chain-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let read = |cert: &str, key: &str| {
        let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert_file, cert).unwrap();
        std::fs::write(&key_file, key).unwrap();
        let text = bound_with("upstream = \"https://eu\"")
            .replace(CLIENT_CERT, &cert_file.display().to_string())
            .replace(CLIENT_KEY, &key_file.display().to_string());
        let config = load_text(&text, &[], &[]).unwrap();
        let trust = config.apps[0].routes[0].upstream.trust.clone().unwrap();
        (config.apps[0].providers[0].certificate.clone().unwrap(), trust)
    };
    let file = |path: &str| std::fs::read_to_string(path).unwrap();
    let (cert, key, other) = (file(CLIENT_CERT), file(CLIENT_KEY), file(OTHER_CERT));
    let plain = read(&cert, &key);
    let longer = read(&format!("{cert}{other}"), &key);
    assert_eq!(plain.0.thumbprint(), longer.0.thumbprint());
    assert_ne!(format!("{:?}", plain.0), format!("{:?}", longer.0), "so that a reload sees it");
    assert!(plain.1 != longer.1, "so that connections are made anew");
    // A certificate beside the key is not the one that is shown.
    let beside = read(&cert, &format!("{other}{key}"));
    assert_eq!(beside.0.pem().expose(), plain.0.pem().expose());
    assert_eq!(plain.0.pem().expose().matches("-----BEGIN CERTIFICATE-----").count(), 1);
    let name = key.lines().nth(1).unwrap();
    assert!(!format!("{:?}{:?}", plain.0, plain.1).contains(name));
}

#[test]
fn two_providers_of_one_app_bind_tokens_to_one_certificate() {
    let provider = |id: &str, cert: &str, key: &str| {
        format!(
            "[[providers]]\nid = \"{id}\"\nissuer = \"https://{id}.example.com\"\nclient_id = \"web\"\n\
             auth_method = \"tls_client_auth\"\nsender_constraint = \"mtls\"\n\
             client_certificate_file = \"{cert}\"\nclient_certificate_key_file = \"{key}\"\n"
        )
    };
    let one = provider("one", CLIENT_CERT, CLIENT_KEY);
    let section = LEAST.find("[provider]").unwrap();
    let rest = &LEAST[section + 1..];
    let after = rest.find("\n[").map_or("", |at| &rest[at..]);
    let text = |other: &str| format!("{}{one}{other}{after}", &LEAST[..section]);
    let same = problems(&text(&provider("two", CLIENT_CERT, CLIENT_KEY)), &[], &[]);
    assert_eq!(same, [""; 0]);
    let found = problems(&text(&provider("two", OTHER_CERT, OTHER_KEY)), &[], &[]);
    assert!(found.len() == 1 && found[0].contains("different certificates"), "{found:?}");
}
