//! `deploy/compose`: what its containers may do, who can reach them, and that everything named is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{
    Configured, folder, list, port, root, said, seconds, secret_files, text, texts, toml,
    variables, yaml,
};

pub const FOLDER: &str = "deploy/compose";
pub const SECRETS: &str = "/run/secrets/";

pub fn compose() -> Value {
    yaml(&format!("{FOLDER}/compose.yaml"))
}

fn services() -> BTreeMap<String, Value> {
    let services = compose()["services"].as_object().unwrap().clone();
    services.into_iter().collect()
}

/// `${NAME:?why}` in a text: the names.
fn wanted(text: &str) -> BTreeSet<String> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split("${").skip(1).map(|rest| rest.split(ends).next().unwrap().to_owned()).collect()
}

/// The variables that Cloakroom gets, with those of `.env.example` put in.
pub fn environment() -> BTreeMap<String, String> {
    let given = variables(&format!("{FOLDER}/.env.example"));
    let set = services()["cloakroom"]["environment"].as_object().unwrap().clone();
    let put_in = |value: &Value| {
        let value = value.as_str().unwrap();
        match wanted(value).first() {
            Some(name) => given[name].clone(),
            None => value.to_owned(),
        }
    };
    set.iter().map(|(key, value)| (key.clone(), put_in(value))).collect()
}

/// Runs make-secrets into `folder` with the binary under test; whether it was content, and what it said.
pub fn make_secrets(folder: &Path) -> (bool, String) {
    let mut command = Command::new(root(FOLDER).join("make-secrets"));
    command.arg(folder).env("CLOAKROOM", env!("CARGO_BIN_EXE_cloakroom"));
    let output = command.output().unwrap();
    (output.status.success(), said(&output))
}

#[test]
fn every_container_is_locked() {
    for (name, service) in services() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        for absent in ["privileged", "cap_add", "network_mode", "pid", "ipc", "devices"] {
            assert!(service[absent].is_null(), "{name}: {absent}");
        }
        let user = service["user"].as_str().expect("a user");
        let numbers: Vec<u32> = user.split(':').map(|part| part.parse().unwrap()).collect();
        assert!(numbers.len() == 2 && numbers[0] > 0 && numbers[1] > 0, "{name}: {user}");
        assert!(service["mem_limit"].is_string() && service["pids_limit"].is_u64(), "{name}");
        for volume in texts(&service["volumes"]) {
            assert!(volume.ends_with(":ro") || volume == "redis:/data", "{name}: {volume}");
            assert!(!volume.contains("docker.sock"), "{name}: {volume}");
        }
    }
}

#[test]
fn only_the_frontend_can_be_reached_from_outside() {
    let networks = compose()["networks"].clone();
    let is_internal = |name: &str| networks[name]["internal"] == true;
    for (name, service) in services() {
        assert_eq!(name == "web", !list(&service["ports"]).is_empty(), "{name}");
    }
    let all = services();
    let of = |name: &str| texts(&all[name]["networks"]);
    assert!(of("redis").iter().all(|network| is_internal(network)));
    assert!(!of("web").iter().any(|network| of("redis").contains(network)));
    let common: Vec<&str> =
        of("web").into_iter().filter(|network| of("cloakroom").contains(network)).collect();
    assert_eq!(common, ["inside"]);
    assert!(is_internal("inside"));
    // The admin listener is for the health check in the container itself.
    let config = toml(&format!("{FOLDER}/cloakroom.toml"));
    assert_eq!(config["admin"]["listen"], "127.0.0.1:9090");
    // Whoever calls from that network is the frontend.
    let subnet = &networks["inside"]["ipam"]["config"][0]["subnet"];
    assert_eq!(config["server"]["trusted_proxies"], Value::from(vec![subnet.clone()]));
    assert!(
        text(&format!("{FOLDER}/web.conf"))
            .contains(&format!("server cloakroom:{};", port(&config["server"]["listen"])))
    );
}

#[test]
fn the_configuration_passes_check_and_says_as_many_replicas_as_there_are() {
    let config = text(&format!("{FOLDER}/cloakroom.toml"));
    let env = environment();
    let configured = Configured::new(&folder("compose-check"), &config, &env, SECRETS);
    let output = configured.check();
    assert!(output.status.success(), "{}", said(&output));
    let replicas = services()["cloakroom"]["deploy"]["replicas"].to_string();
    assert_eq!(env["CLOAKROOM__SERVER__REPLICAS"], replicas);
    // What is mounted is what is read.
    let mounted: BTreeSet<String> =
        texts(&services()["cloakroom"]["secrets"]).iter().map(ToString::to_string).collect();
    assert_eq!(secret_files(&config, &env, SECRETS).into_iter().collect::<BTreeSet<_>>(), mounted);
}

#[test]
fn the_image_and_compose_ask_for_health_in_the_same_way_and_leave_time_to_go_down() {
    let cloakroom = &services()["cloakroom"];
    let asked = texts(&cloakroom["healthcheck"]["test"]);
    let dockerfile = text("Dockerfile");
    let of_image = dockerfile.split("HEALTHCHECK ").nth(1).unwrap().split("CMD ").nth(1).unwrap();
    let of_image: Value = serde_json::from_str(of_image.lines().next().unwrap()).unwrap();
    assert_eq!(asked[0], "CMD");
    assert_eq!(asked[1..], texts(&of_image));
    assert!(dockerfile.contains(&format!("USER {}\n", cloakroom["user"].as_str().unwrap())));
    let command: Value = serde_json::from_str(
        dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap(),
    )
    .unwrap();
    assert_eq!(cloakroom["command"], command);
    let defaults = toml("config/cloakroom.toml");
    let shutdown = seconds(&defaults["server"]["shutdown_timeout"]);
    assert!(seconds(&cloakroom["stop_grace_period"]) > shutdown);
    for (name, service) in services() {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert_eq!(how["condition"], "service_healthy", "{name}");
            assert!(services()[other]["healthcheck"].is_object(), "{name} waits for {other}");
        }
    }
}

#[test]
fn every_variable_is_in_the_example_and_every_placeholder_says_so() {
    let given = variables(&format!("{FOLDER}/.env.example"));
    let names: BTreeSet<String> = given.into_keys().collect();
    assert_eq!(wanted(&text(&format!("{FOLDER}/compose.yaml"))), names);
    let example = text(&format!("{FOLDER}/.env.example"));
    for name in ["PUBLIC_URL", "ISSUER", "CLIENT_ID", "API"] {
        let before = example.split(&format!("\n{name}=")).next().unwrap();
        assert!(before.lines().last().unwrap().starts_with("# PLACEHOLDER"), "{name}");
    }
    assert!(text(&format!("{FOLDER}/.gitignore")).contains("/.env\n"));
    assert!(text(&format!("{FOLDER}/secrets/.gitignore")).contains("\n*\n"));
}

#[test]
fn every_file_that_is_mounted_is_here_or_made_or_asked_for() {
    for (name, service) in services() {
        for volume in texts(&service["volumes"]).into_iter().filter(|one| one.starts_with('.')) {
            let file = volume.split(':').next().unwrap();
            assert!(root(FOLDER).join(file).is_file(), "{name}: {file}");
        }
    }
    let folder = folder("compose-secrets");
    let (content, said) = make_secrets(&folder);
    assert!(!content, "three of them only a person can have: {said}");
    let all = compose()["secrets"].as_object().unwrap().clone();
    for (name, secret) in all {
        assert_eq!(secret["file"], format!("./secrets/{name}"));
        let is_made = folder.join(&name).exists();
        assert!(
            is_made != said.contains(&format!("missing: {}/{name}:", folder.display())),
            "{name}: {said}"
        );
    }
    for name in ["client", "app.pem", "app.key"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    let before = std::fs::read(folder.join("redis.acl")).unwrap();
    let (content, said) = make_secrets(&folder);
    assert!(content && said.is_empty(), "nothing is made twice: {said}");
    assert_eq!(std::fs::read(folder.join("redis.acl")).unwrap(), before);
}
