//! `cloakroom doctor` before real servers that work, and before some that do not.

use std::process::Output;

use cloakroom::clock::Clock;
use cloakroom::config::ClientKey;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::server::setup::hostile_op;
use crate::support::hostile_op::{Endpoint, Reply, set};
use crate::support::oidc_provider::OidcProvider;
use crate::support::redis::Redis;
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, KEY_ONE, free_port, write_config};

fn config(issuer: &str, upstream: &str, more: &str) -> String {
    format!(
        r#"
[server]
public_url = "http://localhost:8080"
[provider]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
timeout = "3s"
[session]
keys = [{{ id = "one", env = "KEY_ONE" }}]
[[routes]]
path = "/api"
upstream = "{upstream}"
connect_timeout = "2s"
{more}
"#
    )
}

async fn doctor(config: &str, secret: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command.args(["doctor", "--config"]).arg(write_config(config)).args(more);
    command.env("CLIENT_SECRET", secret).env("KEY_ONE", KEY_ONE).output().await.unwrap()
}

/// The findings as check and level, and all that was said of one.
async fn findings(config: &str, secret: &str) -> (bool, Vec<Value>) {
    let output = doctor(config, secret, &["--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(secret), "{text}");
    (output.status.success(), told["findings"].as_array().unwrap().clone())
}

fn level<'a>(findings: &'a [Value], check: &str) -> &'a str {
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check}: {findings:?}"))["level"].as_str().unwrap()
}

// proves: AR-19
#[tokio::test(flavor = "multi_thread")]
async fn types_that_the_server_does_not_list_are_named_and_those_that_it_does_not_speak_of_are_not()
{
    let op = hostile_op(Clock::system()).await;
    let details = "authorization_details = '[{\"type\":\"accounts\"},{\"type\":\"payments\"}]'";
    let text = config(&op.issuer, &op.issuer, "").replace("timeout = \"3s\"", details);
    let (_, found) = findings(&text, CLIENT_SECRET).await;
    assert!(found.iter().all(|finding| finding["check"] != "authorization_details"), "{found:?}");
    let listed = Some(json!(["accounts"]));
    op.turn(|knobs| knobs.discovery = set("authorization_details_types_supported", listed));
    let (good, found) = findings(&text, CLIENT_SECRET).await;
    assert_eq!((good, level(&found, "authorization_details")), (true, "warning"));
    let says = found.iter().find(|finding| finding["check"] == "authorization_details").unwrap();
    assert!(says["says"].as_str().unwrap().ends_with(": payments"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_certified_server_all_is_well_and_a_wrong_secret_is_noticed() {
    let callback = "http://localhost:8080/callback";
    let provider = OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "rotate": true,
        "redirect_uri": callback, "post_logout_redirect_uri": "http://localhost:8080/logged-out",
    }))
    .await;
    let redis = Redis::start();
    let more = format!("[redis]\nurl = \"{}\"\n", redis.url());
    // Whatever takes connections will do.
    let upstream = provider.issuer.trim_end_matches('/').to_owned();
    let text = config(&provider.issuer, &upstream, &more);
    let (good, found) = findings(&text, CLIENT_SECRET).await;
    assert!(good, "{found:?}");
    for check in
        ["discovery", "keys", "client", "clock", "cookies", "upstream", "redis", "registration"]
    {
        assert_eq!(level(&found, check), "ok", "{check}: {found:?}");
    }
    let offers = found.iter().find(|finding| finding["check"] == "offers").unwrap();
    assert!(offers["says"].as_str().unwrap().contains("RFC 9207"), "{offers}");
    let (good, found) = findings(&text, "another-secret-of-the-test-suite-only").await;
    assert!(!good);
    assert_eq!(level(&found, "client"), "failed");
    assert_eq!(level(&found, "discovery"), "ok");

    let output = doctor(&text, CLIENT_SECRET, &[]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("ok       app: discovery: "), "{said}");
    assert!(said.contains(callback), "what is to be registered: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_work_is_named_with_its_mend() {
    let op = hostile_op(Clock::system()).await;
    let gone = format!("http://127.0.0.1:{}", free_port());
    let more = format!("[redis]\nurl = \"redis://127.0.0.1:{}\"\n", free_port());
    let (good, found) = findings(&config(&op.issuer, &gone, &more), CLIENT_SECRET).await;
    assert!(!good);
    for check in ["upstream", "redis"] {
        assert_eq!(level(&found, check), "failed", "{found:?}");
    }
    assert!(found.iter().all(|one| one["level"] == "ok" || one["mend"].is_string()), "{found:?}");
    let upstream = format!("http://{}", op.address);
    for (reply, expected) in [
        (Reply::json(400, &json!({ "error": "invalid_grant" })), "ok"),
        (Reply::json(400, &json!({ "error": "unauthorized_client" })), "failed"),
        (Reply::json(400, &json!({ "error": "canary<script>" })), "warning"),
        (Reply::new(503, "text/html", "down"), "failed"),
    ] {
        op.answer_with(Endpoint::Token, reply);
        let (_, found) = findings(&config(&op.issuer, &upstream, ""), CLIENT_SECRET).await;
        assert_eq!(level(&found, "client"), expected, "{found:?}");
        assert!(!format!("{found:?}").contains("canary"), "{found:?}");
    }
    // What the configuration needs and this server does not have.
    op.turn(|knobs| knobs.discovery = set("introspection_endpoint", None));
    let key = std::env::temp_dir().join(format!("cloakroom-doctor-{}.pem", std::process::id()));
    std::fs::write(&key, ClientKey::generate().unwrap().expose()).unwrap();
    let dpop =
        format!("sender_constraint = \"dpop\"\ndpop_key_file = \"{}\"\n[session]", key.display());
    let wants =
        config(&op.issuer, &upstream, "token = \"introspect\"\n").replace("[session]", &dpop);
    let (_, found) = findings(&wants, CLIENT_SECRET).await;
    assert_eq!(level(&found, "introspection"), "failed", "{found:?}");
    assert_eq!(level(&found, "dpop"), "warning", "{found:?}");
    op.answer_with(Endpoint::Jwks, Reply::json(200, &json!({ "keys": [] })));
    let (_, found) = findings(&config(&op.issuer, &upstream, ""), CLIENT_SECRET).await;
    assert_eq!(level(&found, "keys"), "failed");
    for (issuer, part) in
        [(format!("{}/", op.issuer), "to the last slash"), (gone, "from this machine")]
    {
        let (good, found) = findings(&config(&issuer, &upstream, ""), CLIENT_SECRET).await;
        assert!(!good);
        let discovery = found.iter().find(|one| one["check"] == "discovery").unwrap();
        assert_eq!(discovery["level"], "failed");
        assert!(discovery["mend"].as_str().unwrap().contains(part), "{discovery}");
    }
    let broken = config(&op.issuer, &upstream, "nonsense = 1\n");
    assert_eq!(doctor(&broken, CLIENT_SECRET, &[]).await.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_providers_is_looked_at_and_a_secret_that_two_have_is_noticed() {
    let (one, two) = (hostile_op(Clock::system()).await, hostile_op(Clock::system()).await);
    for op in [&one, &two] {
        op.answer_with(Endpoint::Token, Reply::json(400, &json!({ "error": "invalid_grant" })));
    }
    let entry = |id: &str, issuer: &str| {
        format!(
            "[[providers]]\nid = \"{id}\"\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n\
             client_secret_env = \"CLIENT_SECRET\"\n"
        )
    };
    let gone = format!("http://127.0.0.1:{}", free_port());
    for (second, state) in [(&two.issuer, "ok"), (&gone, "failed")] {
        let both = format!("{}{}", entry("home", &one.issuer), entry("partner", second));
        let text = config("", &format!("http://{}", one.address), &both);
        let (before, rest) = text.split_once("[provider]").unwrap();
        let (_, after) = rest.split_once("[session]").unwrap();
        let (good, found) = findings(&format!("{before}[session]{after}"), CLIENT_SECRET).await;
        assert_eq!(good, state == "ok", "{found:?}");
        assert_eq!(level(&found, "secrets"), "warning", "{found:?}");
        let of = |id: &str, check: &str| {
            let found = found.iter().find(|one| one["provider"] == id && one["check"] == check);
            found.unwrap_or_else(|| panic!("no {check} of {id}: {found:?}")).clone()
        };
        assert_eq!(of("home", "discovery")["level"], "ok");
        assert_eq!(of("partner", "discovery")["level"], state);
        let told = of("home", "registration")["says"].to_string();
        for place in ["/callback/home,", "/logged-out,", "/backchannel-logout/home"] {
            assert!(told.contains(&format!("http://localhost:8080{place}")), "{told}");
        }
    }
}
