//! Whole configurations, good and bad: defaults, layers, secrets, places, and one table of rules.

use std::collections::BTreeMap;
use std::time::Duration;

use rstest::rstest;

use super::*;

const KEY: &str = "q83vEjRWeJCrze8SNFZ4kAECAwQFBgcICQoLDA0ODxA";
const OTHER_KEY: &str = "bm90IGEga2V5IGJ1dCByYW5kb20gZW5vdWdoIP_-_fw";

/// The least that is valid.
pub(super) const LEAST: &str = r#"
[server]
public_url = "https://app.example.com"
[provider]
issuer = "https://login.example.com"
client_id = "web"
client_secret_env = "CLIENT_SECRET"
[session]
keys = [{ id = "2026-11", env = "COOKIE_KEY" }]
"#;

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Loads `toml` from a file of its own with `env` and `set` over it.
pub(super) fn load_text(
    toml: &str,
    env: &[(&str, &str)],
    set: &[(&str, &str)],
) -> Result<Config, Vec<Diagnostic>> {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("cloakroom-config-{}-{count}.toml", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, toml).unwrap();
    let mut all: BTreeMap<String, String> =
        owned(&[("CLIENT_SECRET", "secret-of-the-client"), ("COOKIE_KEY", KEY)])
            .into_iter()
            .collect();
    all.extend(owned(env));
    let loaded = load(&Sources { file: Some(file.clone()), env: all, set: owned(set) });
    std::fs::remove_file(file).unwrap();
    loaded
}

/// The problems as `place key: problem`, the file's folder left out.
pub(super) fn problems(toml: &str, env: &[(&str, &str)], set: &[(&str, &str)]) -> Vec<String> {
    let found = load_text(toml, env, set).err().unwrap_or_default();
    let line = |one: &Diagnostic| match &one.place {
        Place::File { line, column, .. } => format!("{line}:{column} {}: {}", one.key, one.problem),
        place => format!("{place} {}: {}", one.key, one.problem),
    };
    found.iter().map(line).collect()
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = load_text(LEAST, &[], &[]).unwrap();
    let app = &config.apps[0];
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.listen.unwrap().to_string(), "127.0.0.1:9090");
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Json, "info"));
    assert_eq!((app.id.as_str(), app.base_path.as_str()), ("app", ""));
    assert_eq!(app.app_origin, "https://app.example.com");
    assert_eq!((app.error_path.as_str(), app.signed_out_path.as_str()), ("/", "/"));
    assert_eq!(app.providers[0].client_secret.expose(), "secret-of-the-client");
    assert_eq!(app.providers[0].algorithms, ["RS256", "PS256", "ES256", "EdDSA"]);
    assert_eq!(app.providers[0].clock_skew, Duration::from_secs(30));
    assert_eq!(app.providers[0].timeout, Duration::from_secs(10));
    assert_eq!(app.providers[0].default_token_lifetime, Duration::from_secs(300));
    assert_eq!((app.login.max_age, app.login.max_parallel), (Duration::from_secs(600), 10));
    assert_eq!((app.login.loop_limit, app.login.loop_window), (5, Duration::from_secs(60)));
    assert_eq!(
        app.login.allowed_params,
        ["prompt", "login_hint", "ui_locales", "acr_values", "max_age"]
    );
    assert_eq!((app.logout.mode, app.logout.revoke), (LogoutMode::RpInitiated, Revoke::Refresh));
    assert_eq!(app.session.idle_timeout, Duration::from_secs(1800));
    assert_eq!(app.session.max_age, Duration::from_secs(8 * 3600));
    assert_eq!(app.session.refresh_before, Duration::from_secs(60));
    assert_eq!((app.session.cookie_budget, &app.session.claims), (7000, &vec!["sub".to_owned()]));
    assert_eq!(app.guard.csrf_header, "x-csrf");
    assert_eq!(app.guard.origins, ["https://app.example.com"]);
    assert!(app.routes.is_empty() && app.spa.is_none());
}

#[test]
fn a_route_has_its_defaults_and_longer_paths_come_first() {
    let set = [
        ("routes.0.path", "/api"),
        ("routes.0.upstream", "http://api:8080/v1"),
        ("routes.1.path", "/api/orders"),
        ("routes.1.upstream", "https://orders.internal"),
        ("routes.1.token", "none"),
        ("routes.1.body_limit", "64KiB"),
    ];
    let config = load_text(LEAST, &[], &set).unwrap();
    let [orders, api] = config.apps[0].routes.as_slice() else { panic!("two routes") };
    assert_eq!((orders.path.as_str(), orders.token), ("/api/orders", TokenSource::None));
    assert_eq!((orders.body_limit, api.body_limit), (64 << 10, 10 << 20));
    assert_eq!((api.token, api.connect_timeout.as_secs()), (TokenSource::Login, 5));
    assert_eq!(api.response_timeout.as_secs(), 60);
    let upstream = Upstream {
        tls: false,
        authority: "api:8080".to_owned(),
        host: "api".to_owned(),
        port: 8080,
        prefix: "/v1".to_owned(),
        addresses: Vec::new(),
        trust: None,
        http2: false,
    };
    assert_eq!(api.upstream, upstream);
    assert_eq!((orders.upstream.port, orders.upstream.prefix.as_str()), (443, ""));
}

#[test]
fn the_environment_wins_over_the_file_and_set_wins_over_both() {
    let toml = LEAST.replace("[session]", "[session]\nidle_timeout = \"1m\"\nmax_age = \"1h\"");
    let env = [("CLOAKROOM__SESSION__IDLE_TIMEOUT", "2m"), ("CLOAKROOM__SESSION__MAX_AGE", "2h")];
    let session = |config: Config| {
        let session = &config.apps[0].session;
        (session.idle_timeout.as_secs(), session.max_age.as_secs())
    };
    assert_eq!(session(load_text(&toml, &[], &[]).unwrap()), (60, 3600));
    assert_eq!(session(load_text(&toml, &env, &[]).unwrap()), (120, 7200));
    let set = [("session.idle_timeout", "3m"), ("session.idle_timeout", "4m")];
    assert_eq!(session(load_text(&toml, &env, &set).unwrap()), (240, 7200));
}

#[rstest]
#[case::commas("openid,profile , email")]
#[case::toml("[\"openid\", \"profile\", 'email']")]
#[case::json("[\"openid\",\"profile\",\"email\"]")]
fn a_list_in_the_environment_is_commas_toml_or_json(#[case] text: &str) {
    let config = load_text(LEAST, &[("CLOAKROOM__PROVIDER__SCOPES", text)], &[]).unwrap();
    assert_eq!(config.apps[0].providers[0].scopes, ["openid", "profile", "email"]);
}

#[rstest]
#[case::toml("{ \"login.example.com\" = \"10.0.0.7:443\" }")]
#[case::json("{\"login.example.com\": \"10.0.0.7:443\"}")]
fn a_table_in_the_environment_is_toml_or_json(#[case] text: &str) {
    let config = load_text(LEAST, &[("CLOAKROOM__PROVIDER__RESOLVE", text)], &[]).unwrap();
    let resolve = &config.apps[0].providers[0].resolve;
    assert_eq!(resolve.get("login.example.com").unwrap().to_string(), "10.0.0.7:443");
}

#[test]
fn numbers_and_flags_in_the_environment_are_read_as_such() {
    let env = [
        ("CLOAKROOM__SERVER__WORKERS", "3"),
        ("CLOAKROOM__PROVIDER__USERINFO", "true"),
        ("CLOAKROOM__PROVIDER__AUTHORIZE_PARAMS__AUDIENCE", "https://api.example.com"),
        ("CLOAKROOM_OTHER", "not ours"),
    ];
    let config = load_text(LEAST, &env, &[]).unwrap();
    assert_eq!(config.server.workers, Some(3));
    assert!(config.apps[0].providers[0].userinfo);
    assert_eq!(config.apps[0].providers[0].authorize_params["audience"], "https://api.example.com");
}

#[test]
fn entries_in_the_environment_are_appended_in_the_order_of_their_numbers() {
    let names: Vec<(String, String)> = (0..12)
        .flat_map(|n| {
            let variable = |key| format!("CLOAKROOM__ROUTES__{n}__{key}");
            [(variable("PATH"), format!("/r{n}")), (variable("UPSTREAM"), "http://api".to_owned())]
        })
        .collect();
    let env: Vec<(&str, &str)> = names.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(load_text(LEAST, &env, &[]).unwrap().apps[0].routes.len(), 12);
    let gap = problems(LEAST, &[("CLOAKROOM__ROUTES__1__PATH", "/a")], &[]);
    assert_eq!(
        gap,
        ["environment CLOAKROOM__ROUTES__1__PATH routes.1.path: there is no such entry"]
    );
}

#[test]
fn admin_can_be_switched_off() {
    let config = load_text(LEAST, &[("CLOAKROOM__ADMIN__LISTEN", "off")], &[]).unwrap();
    assert_eq!(config.admin.listen, None);
}

// --- Secrets ---

// proves: KM-01
#[test]
fn a_secret_comes_from_a_file_a_variable_or_the_value_and_the_higher_layer_wins() {
    let file = std::env::temp_dir().join(format!("cloakroom-secret-{}", std::process::id()));
    std::fs::write(&file, "from a file\r\n\n").unwrap();
    let set = [("provider.client_secret_file", file.to_str().unwrap())];
    let secret = |env: &[_], set: &[_]| {
        let config = load_text(LEAST, env, set).unwrap();
        config.apps[0].providers[0].client_secret.expose().clone()
    };
    assert_eq!(secret(&[], &[]), "secret-of-the-client");
    assert_eq!(secret(&[], &set), "from a file");
    assert_eq!(secret(&[("CLOAKROOM__PROVIDER__CLIENT_SECRET", " value ")], &[]), " value ");
    assert_eq!(secret(&[("CLOAKROOM__PROVIDER__CLIENT_SECRET", "value")], &set), "from a file");
    std::fs::remove_file(file).unwrap();
}

// proves: AR-01, KM-01
#[rstest]
#[case::none("", "5:1 provider.client_secret: is missing")]
#[case::two(
    "client_secret = \"a-secret\"\nclient_secret_env = \"CLIENT_SECRET\"",
    "9:21 provider.client_secret_env: client_secret is given too"
)]
#[case::empty("client_secret = \" \"", "8:17 provider.client_secret: the secret is empty")]
#[case::empty_variable(
    "client_secret_env = \"EMPTY\"",
    "8:21 provider.client_secret_env: the secret is empty"
)]
#[case::no_variable(
    "client_secret_env = \"NOT_SET\"",
    "8:21 provider.client_secret_env: the environment has no variable of that name"
)]
#[case::no_file(
    "client_secret_file = \"/nowhere/secret\"",
    "8:22 provider.client_secret_file: the file cannot be read: No such file or directory (os error 2)"
)]
#[case::endless_file(
    "client_secret_file = \"/dev/zero\"",
    "8:22 provider.client_secret_file: the file cannot be read: file too large"
)]
#[case::placeholder(
    "client_secret = \"changeme\"",
    "8:17 provider.client_secret: is a placeholder"
)]
fn a_secret_is_given_in_exactly_one_way(#[case] lines: &str, #[case] expected: &str) {
    let toml = format!(
        "\n[server]\npublic_url = \"https://app.example.com\"\n\n[provider]\n\
         issuer = \"https://login.example.com\"\nclient_id = \"web\"\n{lines}\n\
         [session]\nkeys = [{{ id = \"a\", env = \"COOKIE_KEY\" }}]\n"
    );
    assert_eq!(problems(&toml, &[("EMPTY", "")], &[]), [expected]);
}

// proves: KM-07
#[rstest]
#[case("provider.client_secret", "the-secret", "provider.client_secret")]
#[case("session.keys.0.value", KEY, "session.keys.0.value")]
#[case("session.keys", "[{ id = \"a\", value = \"the-secret\" }]", "session.keys")]
#[case("session.keys.0", "{\"value\": \"the-secret\"}", "session.keys.0")]
#[case("provider", "{ client_secret = \"the-secret\" }", "provider")]
#[case("apps", "[{ provider = { client_secret = \"the-secret\" } }]", "apps")]
fn set_refuses_secrets_however_they_are_wrapped(
    #[case] key: &str,
    #[case] value: &str,
    #[case] reported: &str,
) {
    let problem = "is a secret, and the process list would show it";
    assert_eq!(problems(LEAST, &[], &[(key, value)]), [format!("--set {reported}: {problem}")]);
}

// proves: KM-01
#[rstest]
#[case::no_ring("keys = []", "session.keys: is missing")]
#[case::short(
    "keys = [{ id = \"a\", value = \"c2hvcnQ\" }]",
    "session.keys.0.value: is shorter than 32 bytes"
)]
#[case::no_id("keys = [{ env = \"COOKIE_KEY\" }]", "session.keys.0.id: is missing")]
#[case::bad_id(
    "keys = [{ id = \"a b\", env = \"COOKIE_KEY\" }]",
    "session.keys.0.id: not a key id"
)]
#[case::long_id(
    "keys = [{ id = \"12345678901234567\", env = \"COOKIE_KEY\" }]",
    "session.keys.0.id: not a key id"
)]
#[case::no_key("keys = [{ id = \"a\" }]", "session.keys.0.value: is missing")]
#[case::same_id(
    "keys = [{ id = \"a\", env = \"COOKIE_KEY\" }, { id = \"a\", env = \"OTHER_KEY\" }]",
    "session.keys.1.id: another key has this id"
)]
#[case::same_key(
    "keys = [{ id = \"a\", env = \"COOKIE_KEY\" }, { id = \"b\", env = \"COOKIE_KEY\" }]",
    "session.keys.1: is the same key as another"
)]
fn a_key_ring_that_is_weak_or_ambiguous_is_refused(#[case] keys: &str, #[case] expected: &str) {
    let toml = LEAST.replace("keys = [{ id = \"2026-11\", env = \"COOKIE_KEY\" }]", keys);
    let found = problems(&toml, &[("OTHER_KEY", OTHER_KEY)], &[]);
    assert!(found.len() == 1 && found[0].ends_with(expected), "{found:?}");
}

#[test]
fn a_ring_keeps_the_order_of_its_keys() {
    let keys =
        "keys = [{ id = \"new\", env = \"OTHER_KEY\" }, { id = \"old\", env = \"COOKIE_KEY\" }]";
    let toml = LEAST.replace("keys = [{ id = \"2026-11\", env = \"COOKIE_KEY\" }]", keys);
    let config = load_text(&toml, &[("OTHER_KEY", OTHER_KEY)], &[]).unwrap();
    let ids: Vec<&str> = config.apps[0].session.keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["new", "old"]);
}

// --- Rules ---

// proves: KM-07
#[test]
fn no_diagnostic_holds_a_configured_value() {
    let document: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    for (name, section) in document["$defs"].as_object().unwrap() {
        let Some(keys) = section["properties"].as_object() else { continue };
        let (open, close) = match name.as_str() {
            "RawRoute" => ("[[routes]]".to_owned(), ""),
            "RawKey" => ("[session]\nkeys = [{ ".to_owned(), " }]"),
            "RawAppSection" => ("[app]".to_owned(), ""),
            name => (format!("[{}]", name.trim_start_matches("Raw").to_lowercase()), ""),
        };
        let gap = if close.is_empty() { "\n" } else { "" };
        for key in keys.keys() {
            for value in [
                "\"canary \\u0001\"",
                "[\"canary \\u0001\"]",
                "{ canary_ok = \"canary \\u0001\" }",
                "\"canary",
                "canary",
            ] {
                let toml = format!("{open}{gap}{key} = {value}{close}\n");
                for problem in load_text(&toml, &[], &[]).unwrap_err() {
                    let text = problem.to_string().replace("canary_ok", "");
                    assert!(!text.contains("canary"), "{toml}\n{text}");
                }
            }
        }
    }
}

#[rstest]
#[case("server.listen", "localhost:8080", "not an address with a port")]
#[case("server.public_url", "http://app.example.com", "plain HTTP to another machine")]
#[case("server.public_url", "https://app.example.com/x", "not an origin as browsers write it")]
#[case("server.workers", "0", "out of bounds")]
#[case("server.workers", "many", "is a text")]
#[case("server.replicas", "0", "out of bounds")]
#[case("admin.listen", "127.0.0.1:8080", "server.listen has the same port")]
#[case("log.format", "xml", "not a known word")]
#[case("log.level", "cloakroom=loud", "not a log filter")]
#[case("app.id", "My App", "not an app id")]
#[case("app.base_path", "auth", "does not start with /")]
#[case("app.base_path", "/auth/", "ends with a slash")]
#[case("app.url", "https://www.example.net", "is not same-site with public_url")]
#[case("app.url", "http://localhost", "is not same-site with public_url")]
#[case("app.error_path", "/login", "is one of the own endpoints")]
#[case("app.error_path", "//evil.example", "holds an empty segment")]
#[case("app.signed_out_path", "/logout/continue", "is one of the own endpoints")]
#[case("provider.issuer", "http://login.example.com", "plain HTTP to another machine")]
#[case("provider.issuer", "https://login.example.com?x", "an issuer has no query")]
#[case("provider.client_id", "", "is empty")]
#[case("provider.auth_method", "none", "not a known word")]
#[case("provider.userinfo_signed", "true", "means nothing without userinfo")]
#[case("provider.scopes", "profile", "lacks openid")]
#[case("provider.discovery_url", "http://login.example.com", "plain HTTP to another machine")]
#[case("provider.token_endpoint", "http://login.example.com", "plain HTTP to another machine")]
#[case("provider.jwks_uri", "/jwks", "not an absolute URL without user and fragment")]
#[case(
    "provider.ca_file",
    "/nowhere",
    "the file cannot be read: No such file or directory (os error 2)"
)]
#[case("provider.ca_file", "/dev/null", "the file holds no certificate")]
#[case("provider.proxy", "http://user:pass@proxy:3128", "not the URL of a forward proxy")]
#[case(
    "provider.issuer_template",
    "https://login.example.com/v2.0",
    "does not say where the tenant stands"
)]
#[case(
    "provider.issuer_template",
    "https://{tenantid}.example.com/",
    "does not say where the tenant stands"
)]
#[case("provider.allowed_tenants", "a", "means nothing without issuer_template")]
#[case("provider.clock_skew", "6m", "out of bounds")]
#[case("provider.timeout", "10", "not a duration")]
#[case("provider.timeout", "0s", "out of bounds")]
#[case("provider.id_token_max_age", "25h", "out of bounds")]
#[case("login.max_age", "11m", "out of bounds")]
#[case("login.max_parallel", "0", "out of bounds")]
#[case("logout.redirect_param", "state", "not the name of a return parameter")]
#[case("logout.mode", "none", "not a known word")]
#[case("logout.revoke", "all", "not a known word")]
#[case("session.idle_timeout", "9h", "is longer than session.max_age")]
#[case("session.max_age", "401d", "out of bounds")]
#[case("session.refresh_before", "2h", "out of bounds")]
#[case("session.cookie_budget", "3999", "out of bounds")]
#[case("session.cookie_budget", "15001", "out of bounds")]
#[case("session", "x", "is a text")]
#[case("server.head_timeout", "61s", "out of bounds")]
#[case("server.keepalive_timeout", "0s", "out of bounds")]
#[case("server.write_timeout", "off", "not a duration")]
#[case("server.shutdown_timeout", "0s", "out of bounds")]
#[case("routes.0.ca_file", "/dev/null", "the file holds no certificate")]
#[case(
    "routes.0.ca_file",
    "/nowhere",
    "the file cannot be read: No such file or directory (os error 2)"
)]
#[case("routes.0.client_cert_file", "/dev/null", "means nothing without client_key_file")]
#[case("routes.0.client_key_file", "/dev/null", "means nothing without client_cert_file")]
#[case("routes.0.idle_timeout", "0s", "out of bounds")]
#[case("routes.0.total_timeout", "never", "not a duration")]
#[case("routes.0.keepalive_timeout", "off", "not a duration")]
#[case("routes.0.retry", "always", "not a known word")]
#[case("routes.0.max_in_flight", "0", "out of bounds")]
fn a_setting_that_breaks_a_rule_is_refused(
    #[case] key: &str,
    #[case] value: &str,
    #[case] problem: &str,
) {
    let expected = format!("--set {key}: {problem}");
    let found = problems(LEAST, &[], &[(key, value)]);
    assert!(found.contains(&expected), "{found:?}");
}

// What a word means needs other settings here and there; that it is one is told before that.
#[rstest]
#[case("provider.auth_method", &["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"])]
#[case("provider.sender_constraint", &["none", "dpop", "mtls"])]
#[case("provider.dpop_keys", &["deployment", "session"])]
#[case("provider.client_assertion_audience", &["issuer", "token_endpoint"])]
#[case("provider.pushed_requests", &["when_required", "always"])]
#[case("provider.response_mode", &["query", "form_post", "query.jwt", "form_post.jwt"])]
#[case("provider.introspection", &["jwt", "signed", "json"])]
#[case("session.store", &["cookie", "redis"])]
#[case("logout.mode", &["rp_initiated", "local"])]
#[case("logout.revoke", &["refresh", "access", "none"])]
#[case("log.format", &["json", "pretty"])]
#[case("audit.to", &["log", "stdout", "file", "otlp"])]
#[case("redis.outage", &["fail_closed", "fail_open"])]
#[case("routes.0.token", &["login", "resource", "exchange", "introspect", "client", "none"])]
#[case("routes.0.retry", &["never_sent", "idempotent"])]
#[case("routes.0.close_at", &["session_end", "token_expiry"])]
fn every_word_of_a_closed_list_is_known(#[case] key: &str, #[case] words: &[&str]) {
    for word in words {
        let found = problems(LEAST, &[], &[(key, word)]);
        let refused = found.iter().any(|one| one.contains(&format!("--set {key}: not a known")));
        assert!(
            !refused && !found.iter().any(|one| one.contains("unknown key")),
            "{word}: {found:?}"
        );
    }
}

#[rstest]
#[case("provider.algorithms", &["none", "None", "HS256", "HS512", "rs256", "ES512", ""])]
#[case("login.allowed_params", &["redirect_uri", "state", "Prompt", "claims"])]
#[case("guard.origins", &["null", "*", "https://*.example.com", "https://evil.example", "http://app.example.com"])]
#[case("session.claims", &["", "a\u{7}"])]
#[case("server.trusted_proxies", &["0.0.0.0/0", "::/0", "proxy.internal"])]
#[case("provider.scopes", &["a b", "a\"b", ""])]
#[case("provider.resources", &["orders", "/orders", "https://a/#b", "https://a b/", ""])]
fn an_entry_that_breaks_a_rule_is_refused(#[case] key: &str, #[case] entries: &[&str]) {
    for entry in entries {
        let list = serde_json::to_string(&[entry]).unwrap();
        let found = problems(LEAST, &[], &[(key, &list)]);
        let at_entry = |line: &String| line.starts_with(&format!("--set {key}.0: "));
        assert!(found.iter().any(at_entry), "{entry}: {found:?}");
    }
}

#[rstest]
#[case("provider.scopes", "openid,openid")]
#[case("provider.resources", "https://a/,https://a/")]
#[case("provider.algorithms", "RS256,RS256")]
#[case("login.allowed_params", "prompt,prompt")]
#[case("session.claims", "sub,sub")]
#[case("guard.origins", "https://a.example.com,https://a.example.com")]
fn an_entry_that_stands_twice_is_refused(#[case] key: &str, #[case] list: &str) {
    let expected = format!("--set {key}.1: is in the list twice");
    assert_eq!(problems(LEAST, &[], &[(key, list)]), [expected]);
}

#[rstest]
#[case("path", "api")]
#[case("path", "/")]
#[case("path", "")]
#[case("path", "/api/")]
#[case("path", "/api//orders")]
#[case("path", "/api/../admin")]
#[case("path", "/api/.")]
#[case("path", "/api/%2e")]
#[case("path", "/api?x")]
#[case("path", "/api;x")]
#[case("path", "/api\\x")]
#[case("path", "/äpi")]
#[case("path", "/login")]
#[case("path", "/login/x")]
#[case("path", "/logged-out")]
#[case("path", "/session")]
#[case("upstream", "orders:8080")]
#[case("upstream", "ftp://orders")]
#[case("upstream", "http://")]
#[case("upstream", "http://orders?x")]
#[case("upstream", "http://orders/#x")]
#[case("upstream", "http://user@orders")]
#[case("upstream", "http://orders:0")]
#[case("upstream", "http://orders:")]
#[case("upstream", "http://orders/v1/")]
#[case("upstream", "http://orders/a/../b")]
#[case("upstream", "http://orders/%61")]
#[case("upstream", "http://0x7f.1")]
#[case("upstream", "http://*.orders")]
#[case("methods", "get")]
#[case("methods", "TRACE")]
#[case("methods", "CONNECT")]
#[case("methods", "GET,GET")]
#[case("methods", "GE T")]
#[case("forward_cookies", "__Host-x")]
#[case("forward_cookies", "__SECURE-x")]
#[case("response_cookies", "__http-x")]
#[case("response_cookies", "__Host-Http-app-t.0")]
#[case("response_cookies", "a=b")]
#[case("fetch_dest", "script")]
#[case("fetch_dest", "serviceworker")]
#[case("fetch_dest", "empty")]
#[case("inline_types", "image/*")]
#[case("inline_types", "Image/PNG")]
#[case("inline_types", "text")]
#[case("forward_headers", "x y")]
#[case("forward_headers", "accept,accept")]
#[case("drop_response_headers", "server:")]
#[case("set_response_headers.Set-Cookie", "a=b")]
#[case("set_response_headers.access-control-allow-origin", "*")]
#[case("set_response_headers.content-security-policy", "x")]
#[case("set_response_headers.x-y", "a\u{7f}")]
#[case("set_response_headers.x-y", " a")]
#[case("body_limit", "10MB")]
#[case("body_limit", "0B")]
#[case("connect_timeout", "61s")]
#[case("response_timeout", "0s")]
#[case("token", "basic")]
#[case("header_free", "yes")]
#[case("websocket", "on")]
#[case("close_at", "never")]
#[case("addresses", "orders")]
#[case("addresses", "orders:0")]
#[case("addresses", "orders:99999")]
#[case("addresses", "orders:80/v1")]
#[case("addresses", "http://orders:80")]
#[case("addresses", "user@orders:80")]
#[case("addresses", "unix:run/x.sock")]
#[case("addresses", "unix:/run/")]
#[case("addresses", "a:80,a:80")]
#[case("session_rate", "10")]
#[case("session_rate", "0/s")]
#[case("session_rate", "+1/s")]
#[case("session_rate", "10/d")]
#[case("session_rate", "1000001/s")]
#[case("require_scopes", "a b")]
#[case("require_scopes", "a,a")]
#[case("claim_headers.x_region", "region")]
#[case("claim_headers.authorization", "sub")]
#[case("claim_headers.X-Forwarded-For", "sub")]
#[case("claim_headers.host", "sub")]
#[case("claim_headers.x-region", "")]
#[case("claim_headers.x-region", "/a~2b")]
fn a_route_that_breaks_a_rule_is_refused(#[case] key: &str, #[case] value: &str) {
    let mut set = vec![("routes.0.path", "/api"), ("routes.0.upstream", "http://orders:8080")];
    let key = format!("routes.0.{key}");
    set.push((&key, value));
    let found = problems(LEAST, &[], &set);
    assert!(found.len() == 1 && found[0].starts_with(&format!("--set {key}")), "{found:?}");
}

#[test]
fn a_websocket_route_needs_a_session_and_the_method_of_its_handshake() {
    let set = [
        ("routes.0.path", "/live"),
        ("routes.0.upstream", "http://live:8080"),
        ("routes.0.websocket", "true"),
    ];
    assert!(problems(LEAST, &[], &set).is_empty());
    for (more, wrong) in [
        (("routes.0.token", "none"), "needs a session"),
        (("routes.0.methods", "[\"POST\"]"), "needs GET"),
        (("routes.0.http2", "true"), "WebSockets go over HTTP/1.1"),
    ] {
        let found = problems(LEAST, &[], &[&set[..], &[more]].concat());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with(&format!("routes.0.websocket: {wrong}")), "{found:?}");
    }
}

#[test]
fn a_field_that_is_set_in_two_spellings_is_refused() {
    let set = [("routes.0.path", "/api"), ("routes.0.upstream", "http://orders:8080")];
    for (key, first, second) in [
        ("set_response_headers", ("Cache-Control", "private"), ("cache-control", "public")),
        ("claim_headers", ("X-Region", "region"), ("x-region", "sub")),
    ] {
        let keys = [first.0, second.0].map(|name| format!("routes.0.{key}.{name}"));
        let [one, two] = &keys;
        let more = [(one.as_str(), first.1), (two.as_str(), second.1)];
        assert!(problems(LEAST, &[], &[&set[..], &more[..1]].concat()).is_empty());
        let found = problems(LEAST, &[], &[&set[..], &more].concat());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("in two spellings"), "{found:?}");
    }
}

#[test]
fn two_routes_on_one_path_are_refused_and_own_endpoints_follow_the_base_path() {
    let mut set = vec![
        ("routes.0.path", "/api"),
        ("routes.0.upstream", "http://a"),
        ("routes.1.path", "/api"),
        ("routes.1.upstream", "http://b"),
    ];
    assert_eq!(problems(LEAST, &[], &set), ["--set routes.1.path: another route has this path"]);
    set[2].1 = "/login";
    set.push(("app.base_path", "/auth"));
    assert!(load_text(LEAST, &[], &set).is_ok());
    set[2].1 = "/auth/login";
    let expected = "--set routes.1.path: is one of the own endpoints, or below one";
    assert_eq!(problems(LEAST, &[], &set), [expected]);
}

// proves: AR-02
#[rstest]
fn a_parameter_of_the_protocol_cannot_be_set(
    #[values(
        "client_id",
        "redirect_uri",
        "response_type",
        "response_mode",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "request",
        "request_uri",
        "claims",
        "STATE",
        "max_age",
        "grant_type"
    )]
    name: &str,
) {
    let table = format!("{{ {name} = \"x\" }}");
    let expected = format!(
        "--set provider.authorize_params.{name}: is a parameter of the protocol, set by Cloakroom"
    );
    assert_eq!(problems(LEAST, &[], &[("provider.authorize_params", &table)]), [expected]);
}

#[rstest]
fn a_csrf_header_that_proves_nothing_is_refused(
    #[values(
        "accept",
        "Accept-Language",
        "content-type",
        "content-language",
        "range",
        "cookie",
        "authorization",
        "origin",
        "host",
        "sec-fetch-site",
        "proxy-authorization",
        "x csrf",
        "x-csrf:",
        ""
    )]
    name: &str,
) {
    let found = problems(LEAST, &[], &[("guard.csrf_header", name)]);
    assert!(found.len() == 1 && found[0].starts_with("--set guard.csrf_header: "), "{found:?}");
}

#[test]
fn a_csrf_header_is_kept_in_lower_case() {
    let config = load_text(LEAST, &[], &[("guard.csrf_header", "X-My-App")]).unwrap();
    assert_eq!(config.apps[0].guard.csrf_header, "x-my-app");
}

#[test]
fn a_sibling_spa_is_among_the_origins_that_may_call() {
    let set =
        [("app.url", "https://www.example.com"), ("guard.origins", "https://www.example.com")];
    let config = load_text(LEAST, &[], &set).unwrap();
    assert_eq!(config.apps[0].app_origin, "https://www.example.com");
    let expected = ["https://app.example.com", "https://www.example.com"];
    assert_eq!(config.apps[0].guard.origins, expected);
}

#[test]
fn an_issuer_template_needs_its_tenants() {
    let template = ("provider.issuer_template", "https://login.example.com/{tenantid}/v2.0");
    let expected = "4:1 provider.allowed_tenants: is missing";
    assert_eq!(problems(LEAST, &[], &[template]), [expected]);
    let set = [template, ("provider.allowed_tenants", "tenant-a,tenant-b")];
    let config = load_text(LEAST, &[], &set).unwrap();
    assert_eq!(config.apps[0].providers[0].allowed_tenants, ["tenant-a", "tenant-b"]);
}

#[test]
fn a_spa_is_a_folder_with_an_index_or_a_dev_server_on_this_machine() {
    let folder = std::env::temp_dir().join(format!("cloakroom-spa-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let name = folder.to_str().unwrap();
    let spa = |set: &[(&str, &str)]| problems(LEAST, &[], set);
    assert_eq!(spa(&[("spa.root", name)]), ["--set spa.root: the folder has no index.html"]);
    std::fs::write(folder.join("index.html"), "<!doctype html>").unwrap();
    let config = load_text(LEAST, &[], &[("spa.root", name), ("spa.relist", "true")]).unwrap();
    assert_eq!(
        config.apps[0].spa.as_ref().unwrap().source,
        SpaSource::Folder(folder.clone(), true)
    );
    let both = [("spa.root", name), ("spa.dev_server", "http://localhost:5173")];
    assert_eq!(spa(&both), ["--set spa.dev_server: root is given too"]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(spa(&[("spa.root", name)]), ["--set spa.root: there is no such folder"]);
    let elsewhere = spa(&[("spa.dev_server", "http://10.0.0.5:5173")]);
    assert_eq!(elsewhere, ["--set spa.dev_server: a dev server must be on this machine"]);
    assert!(load_text(LEAST, &[], &[("spa.dev_server", "http://localhost:5173")]).is_ok());
    let csp = spa(&[("spa.dev_server", "http://localhost:5173"), ("spa.csp", "a\r\nb")]);
    assert_eq!(csp, ["--set spa.csp: not a header value"]);
    assert_eq!(spa(&[("spa.relist", "true")]), ["1:1 spa: has neither root nor dev_server"]);
}

// --- Everything at once ---

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let toml = LEAST
        .replace("[server]", "[server]\nlisten = 8080\nworker = 2")
        .replace("issuer = \"https", "isuer = \"https")
        + "idle_timeout = \"soon\"\n[[routes]]\npath = \"/api/\"\nmethods = [\"GET\", \"get\"]\n";
    let env = [("CLOAKROOM__LOGIN__MAX_AGE", "1h"), ("CLOAKROOM__LOGN__MAX_AGE", "1m")];
    let set = [("session.claims", "sub,sub"), ("provider.scopes", "[")];
    let expected = [
        "3:10 server.listen: is a whole number",
        "4:1 server.worker: unknown key",
        "6:1 provider.issuer: is missing",
        "7:1 provider.isuer: unknown key",
        "12:16 session.idle_timeout: not a duration",
        "13:1 routes.0.upstream: is missing",
        "14:8 routes.0.path: ends with a slash",
        "15:19 routes.0.methods.1: not a method",
        "environment CLOAKROOM__LOGIN__MAX_AGE login.max_age: out of bounds",
        "environment CLOAKROOM__LOGN__MAX_AGE logn: unknown key",
        "--set provider.scopes: neither TOML nor JSON",
        "--set session.claims.1: is in the list twice",
    ];
    assert_eq!(problems(&toml, &env, &set), expected);
}

#[test]
fn broken_syntax_is_reported_at_every_spot_without_the_text() {
    let toml = "[server]\nlisten = \"canary\nworkers = = 2\n[provider]\nclient_secret = \"canary\" canary\n";
    let found = load_text(toml, &[], &[("nonsense", "1")]).unwrap_err();
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(text.iter().all(|line| !line.contains("canary")), "{text:?}");
    let lines: Vec<usize> = found
        .iter()
        .filter_map(|one| if let Place::File { line, .. } = one.place { Some(line) } else { None })
        .collect();
    assert_eq!(lines, [2, 3, 3, 5]);
    assert_eq!(
        text.last().unwrap(),
        "--set nonsense: unknown key; remove it; docs/configuration.md lists every key"
    );
}

#[test]
fn columns_count_characters() {
    let toml = format!("{LEAST}\n[logout]\n\"ä\" = 1\nmode = \"ä\" # ö\nrevoke = 1");
    let found = problems(&toml, &[], &[]);
    let expected = [
        "12:1 logout.ä: unknown key",
        "13:8 logout.mode: not a known word",
        "14:10 logout.revoke: is a whole number",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem_of_its_own() {
    let sources = Sources { file: Some("/nowhere/cloakroom.toml".into()), ..Sources::default() };
    let found = load(&sources).unwrap_err();
    assert_eq!(found.len(), 1);
    assert!(
        found[0].to_string().starts_with("/nowhere/cloakroom.toml:1:1: the file cannot be read")
    );
}

// --- Several processes ---

#[test]
fn several_processes_need_redis_to_agree_through() {
    let said = "several processes have no [redis] to agree through";
    let three = LEAST.replace("[server]", "[server]\nreplicas = 3");
    assert_eq!(problems(&three, &[], &[]), [format!("3:12 server.replicas: {said}")]);
    let found = load_text(&three, &[], &[]).unwrap_err()[0].to_string();
    let mend = "; add [redis] with its url, or set replicas = 1 and run one process";
    assert!(found.contains(".toml:3:12 server.replicas: ") && found.ends_with(mend), "{found}");
    let env = [("CLOAKROOM__SERVER__REPLICAS", "2")];
    let expected = format!("environment CLOAKROOM__SERVER__REPLICAS server.replicas: {said}");
    assert_eq!(problems(LEAST, &env, &[]), [expected]);

    let redis = [("redis.url", "redis://redis")];
    assert!(load_text(&three, &[], &redis).is_ok());
    assert!(load_text(LEAST, &[("CLOAKROOM__SERVER__REPLICAS", "1")], &[]).is_ok());
    // One process may have Redis, too.
    assert!(load_text(LEAST, &[], &redis).is_ok());
    let apps = format!("[server]\nreplicas = 2\n{TWO_APPS}");
    assert_eq!(problems(&apps, &[], &[]), [format!("2:12 server.replicas: {said}")]);
}

// --- Several apps ---

const TWO_APPS: &str = r#"
[[apps]]
public_url = "https://shop.example.com"
app = { id = "shop" }
provider = { issuer = "https://login.example.com", client_id = "shop", client_secret_env = "CLIENT_SECRET" }
session = { keys = [{ id = "a", env = "COOKIE_KEY" }] }
[[apps.routes]]
path = "/api"
upstream = "http://shop-api:8080"

[[apps]]
public_url = "https://desk.example.com"
app = { id = "desk" }
provider = { issuer = "https://login.example.com", client_id = "desk", client_secret_env = "CLIENT_SECRET" }
session = { keys = [{ id = "a", env = "COOKIE_KEY" }] }
"#;

#[test]
fn several_apps_have_sections_of_their_own() {
    let env = [("CLOAKROOM__APPS__1__PROVIDER__CLIENT_ID", "help-desk")];
    let config = load_text(TWO_APPS, &env, &[]).unwrap();
    let [shop, desk] = config.apps.as_slice() else { panic!("two apps") };
    assert_eq!((shop.id.as_str(), shop.routes.len()), ("shop", 1));
    assert_eq!((desk.id.as_str(), desk.routes.len()), ("desk", 0));
    assert_eq!(desk.providers[0].client_id, "help-desk");
}

#[rstest]
#[case(
    "app = { id = \"desk\" }",
    "app = { id = \"shop\" }",
    "apps.1.app.id: another app has this id"
)]
#[case("https://desk", "https://shop", "apps.1.public_url: another app has this host")]
#[case("public_url = \"https://desk.example.com\"", "", "apps.1.public_url: is missing")]
#[case(
    "\n[[apps]]\npublic_url = \"https://shop",
    "\n[login]\n[[apps]]\npublic_url = \"https://shop",
    "login: stands beside [[apps]]"
)]
#[case(
    "\n[[apps]]\npublic_url = \"https://shop",
    "\n[server]\npublic_url = \"https://app.example.com\"\n[[apps]]\npublic_url = \"https://shop",
    "server.public_url: stands beside [[apps]]"
)]
fn apps_that_cannot_be_told_apart_are_refused(
    #[case] from: &str,
    #[case] to: &str,
    #[case] expected: &str,
) {
    let found = problems(&TWO_APPS.replace(from, to), &[], &[]);
    assert!(found.len() == 1 && found[0].ends_with(expected), "{found:?}");
}

#[test]
fn certificates_and_keys_of_an_upstream_are_read_and_compared() {
    let file = |name: &str| format!("{}/tests/it/support/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let route = |scheme: &str, cert: &str, key: &str| {
        let files = [("ca", "ca.pem"), ("client_cert", cert), ("client_key", key)];
        let lines = files.map(|(name, value)| format!("{name}_file = {:?}\n", file(value)));
        let head = format!("[[routes]]\npath = \"/api\"\nupstream = \"{scheme}://orders\"\n");
        load_text(&[LEAST, &head, &lines.concat()].concat(), &[], &[])
    };
    let config = route("https", "client.pem", "client.key.pem").unwrap();
    let trust = config.apps[0].routes[0].upstream.trust.as_ref().unwrap();
    assert!(trust.verifier().is_some() && trust.identity().is_some());
    assert!(
        format!("{trust:?}").starts_with("Trust { own_ca: true, identity: true, fingerprint: [")
    );
    let again = route("https", "client.pem", "client.key.pem").unwrap();
    assert_eq!(again.apps[0].routes[0].upstream.trust.as_ref(), Some(trust), "by content");
    for (scheme, cert, key, at, problem) in [
        ("http", "client.pem", "client.key.pem", "ca_file", "the upstream is plain HTTP"),
        ("https", "client.pem", "localhost.key.pem", "client_key_file", "is not the key of"),
        ("https", "client.pem", "client.pem", "client_key_file", "holds no private key"),
        ("https", "client.key.pem", "client.key.pem", "client_cert_file", "no certificate"),
    ] {
        let found = route(scheme, cert, key).unwrap_err();
        let line = found.iter().find(|one| one.key == format!("routes.0.{at}"));
        assert!(line.is_some_and(|one| one.problem.contains(problem)), "{found:?}");
    }
}

/// Two apps on one host, at these paths.
fn on_one_host(server: &str, paths: [&str; 2]) -> Vec<String> {
    let app = |(id, path): (&str, &str)| {
        format!(
            "[[apps]]\npublic_url = \"https://www.example.com\"\napp = {{ id = \"{id}\", path = \"{path}\" }}\n\
             provider = {{ issuer = \"https://login.example.com\", client_id = \"web\", client_secret_env = \"CLIENT_SECRET\" }}\n\
             session = {{ keys = [{{ id = \"2026-11\", env = \"COOKIE_KEY\" }}] }}\n\
             [[apps.routes]]\npath = \"/shop/api\"\nupstream = \"http://api:8080\"\n"
        )
    };
    let [one, two] = paths;
    problems(&format!("[server]\n{server}\n{}{}", app(("one", one)), app(("two", two))), &[], &[])
}

#[test]
fn apps_on_one_host_need_consent_and_paths_of_their_own() {
    let shared = "shared_origin = true";
    assert_eq!(on_one_host(shared, ["/", "/shop"]), Vec::<String>::new());
    let found = on_one_host("", ["/", "/shop"]);
    assert!(found.len() == 1 && found[0].contains("apps.1.public_url"), "{found:?}");
    let found = on_one_host(shared, ["/shop", "/shop"]);
    assert!(found.len() == 1 && found[0].contains("apps.1.app.path"), "{found:?}");
    let found = on_one_host(shared, ["/", "/store"]);
    assert!(found.len() == 1 && found[0].contains("not below the app's own path"), "{found:?}");
}

// proves: AR-02, AR-19
#[rstest]
fn what_only_we_say_in_a_request_is_no_further_parameter(
    #[values(
        "response_type",
        "response_mode",
        "client_id",
        "client_secret",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "request",
        "request_uri",
        "registration",
        "id_token_hint",
        "grant_type",
        "authorization_details"
    )]
    name: &str,
) {
    let found = problems(LEAST, &[], &[(&format!("provider.authorize_params.{name}"), "x")]);
    assert!(found.len() == 1 && found[0].contains(name), "{found:?}");
}

// proves: AR-20
#[rstest]
#[case(&[("token", "exchange")], "token: a token for which API?")]
#[case(&[("token", "client")], "token: a token for which API?")]
#[case(&[("token_audience", "orders")], "token_audience: means nothing here")]
#[case(&[("token", "introspect"), ("token_scopes", "[\"a\"]")], "token_scopes: means nothing here")]
#[case(&[("token", "exchange"), ("token_resource", "orders")], "token_resource: not an absolute URI")]
#[case(&[("token", "exchange"), ("token_resource", "https://a/#b")], "token_resource: not an absolute URI")]
#[case(&[("token", "exchange"), ("token_scopes", "[\"a b\"]")], "token_scopes.0: not a scope")]
#[case(&[("token", "exchange"), ("token_audience", "a"), ("token_cache", "2h")], "token_cache: out of bounds")]
#[case(&[("token", "resource")], "token_resource: is missing")]
#[case(&[("token", "resource"), ("token_scopes", "[\"a\"]")], "token_resource: is missing")]
#[case(&[("token", "resource"), ("token_resource", "https://a/"), ("token_audience", "a")], "token_audience: means nothing here")]
#[case(&[("token", "resource"), ("token_resource", "https://b/")], "token_resource: is not what logins are granted for")]
#[case(&[("token", "resource"), ("token_resource", "https://a/"), ("token_scopes", "[\"openid\", \"a\"]")], "token_scopes.1: is not what logins ask for")]
#[case(&[("token", "client"), ("token_audience", "a"), ("session_rate", "1/s")], "session_rate: needs a session")]
#[case(&[("token", "client"), ("token_audience", "a"), ("require_scopes", "[\"x\"]")], "require_scopes: needs a session")]
fn a_token_for_an_api_says_for_which(#[case] lines: &[(&str, &str)], #[case] wrong: &str) {
    let keys: Vec<(String, &str)> =
        lines.iter().map(|(key, value)| (format!("routes.0.{key}"), *value)).collect();
    let mut set = vec![
        ("routes.0.path", "/one"),
        ("routes.0.upstream", "http://one:8080"),
        ("provider.resources", "[\"https://a/\"]"),
    ];
    set.extend(keys.iter().map(|(key, value)| (key.as_str(), *value)));
    let found = problems(LEAST, &[], &set);
    assert!(found.len() == 1 && found[0].contains(&format!("routes.0.{wrong}")), "{found:?}");
}
