//! What `deploy/` carries, read as its users' tools read it: the manifests say what the product needs, and every configuration in
//! them passes `cloakroom check` of the real binary, with secrets of the test's own making.

mod compose;
mod compose_runs;
mod kubernetes;
mod policies;
mod sbom;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cloakroom::config::schema;
use serde_json::Value;

use crate::support::stack::KEY_ONE;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The one document of a YAML file.
fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn toml(path: &str) -> Value {
    toml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An empty folder of this test run.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deploy").join(name);
    let _none_yet = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The lines `KEY=value` of a file of variables.
fn variables(path: &str) -> BTreeMap<String, String> {
    let text = text(path);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{path}: {line}"));
        (key.to_owned(), value.to_owned())
    };
    lines.map(pair).collect()
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map(|list| list.iter().collect()).unwrap_or_default()
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).into_iter().map(|text| text.as_str().unwrap()).collect()
}

/// Seconds of `25s`.
fn seconds(text: &Value) -> u64 {
    text.as_str().and_then(|text| text.strip_suffix('s')).unwrap().parse().unwrap()
}

fn port(address: &Value) -> u64 {
    address.as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// The names of the secrets that a configuration reads from `mount`, its variables included.
fn secret_files(config: &str, env: &BTreeMap<String, String>, mount: &str) -> Vec<String> {
    let all = [config.to_owned(), env.values().cloned().collect::<Vec<_>>().join("\n")].concat();
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.');
    let mut names: Vec<String> =
        all.split(mount).skip(1).map(|rest| rest.split(ends).next().unwrap().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A configuration of `deploy/` with its secrets and its control socket in a folder of the test's.
struct Configured {
    file: PathBuf,
    env: BTreeMap<String, String>,
}

impl Configured {
    /// Takes `config`, puts secrets where it looks for them below `mount`.
    fn new(folder: &Path, config: &str, env: &BTreeMap<String, String>, mount: &str) -> Self {
        for name in secret_files(config, env, mount) {
            let secret = if name.starts_with("cookie-") { KEY_ONE } else { "made-for-this-test" };
            fs::write(folder.join(name), format!("{secret}\n")).unwrap();
        }
        let here = |text: &str| {
            let folder = format!("{}/", folder.display());
            text.replace(mount, &folder).replace("/run/cloakroom/", &folder)
        };
        let file = folder.join("cloakroom.toml");
        fs::write(&file, here(config)).unwrap();
        let env = env.iter().map(|(key, value)| (key.clone(), here(value))).collect();
        Self { file, env }
    }

    /// A command of the real binary with it.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
        command.args([name, "--config"]).arg(&self.file).env_clear().envs(&self.env);
        command
    }

    fn check(&self) -> Output {
        self.command("check").output().unwrap()
    }
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The names of the settings that hold secrets themselves: `client_secret`, `value`, `password`.
fn secret_settings() -> Vec<String> {
    let document: Value = serde_json::from_str(&schema()).unwrap();
    let mut found = Vec::new();
    let shapes = document["$defs"].as_object().unwrap().values();
    for properties in shapes.filter_map(|shape| shape["properties"].as_object()) {
        let secret = properties.iter().filter(|(_, shape)| shape["writeOnly"] == true);
        found.extend(secret.map(|(name, _)| name.clone()));
    }
    assert!(found.len() >= 3, "{found:?}");
    found
}

#[test]
fn no_file_to_deploy_carries_a_secret() {
    let settings = secret_settings();
    let mut seen = 0;
    let mut folders = vec![root("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // What a person has made here is ignored by git.
            if path.ends_with("compose/secrets") || path.ends_with("compose/.env") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            seen += 1;
            let text = fs::read_to_string(&path).unwrap();
            let at = path.display();
            assert!(!text.contains("kind: Secret\n"), "{at}: a Secret belongs elsewhere");
            assert!(!text.contains("PRIVATE KEY"), "{at}");
            for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
                let (key, _) = line.split_once(['=', ':']).unwrap_or((line, ""));
                let key = key.trim().trim_start_matches("- ").to_ascii_lowercase();
                let last = key.rsplit("__").next().unwrap();
                let is_one = settings.iter().any(|setting| setting == last);
                assert!(!is_one || key == "value", "{at}: {line}");
                assert!(!line.contains("value = \""), "{at}: {line}");
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn traefik_is_told_what_the_others_are() {
    let (fixed, routes) =
        (yaml("deploy/behind/traefik/traefik.yaml"), yaml("deploy/behind/traefik/cloakroom.yaml"));
    assert!(fixed["entryPoints"]["websecure"]["transport"]["respondingTimeouts"].is_object());
    let service = &routes["http"]["services"]["cloakroom"]["loadBalancer"];
    assert_eq!(service["passHostHeader"], true);
    assert_eq!(service["healthCheck"]["path"], "/readyz");
    let defaults = toml("config/cloakroom.toml");
    assert_eq!(service["healthCheck"]["port"], port(&defaults["admin"]["listen"]));
    let transport =
        &routes["http"]["serversTransports"][service["serversTransport"].as_str().unwrap()];
    let idle = seconds(&transport["forwardingTimeouts"]["idleConnTimeout"]);
    assert!(idle < seconds(&defaults["server"]["keepalive_timeout"]));
    for router in routes["http"]["routers"].as_object().unwrap().values() {
        let entry = router["entryPoints"][0].as_str().unwrap();
        assert!(fixed["entryPoints"][entry].is_object(), "{entry}");
    }
}
