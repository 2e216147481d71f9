//! The configuration as a user meets it: the files in `config/`, the reference, the commands `check` and `keygen`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::config::{Sources, load, schema};
use serde_json::Value;

const KEY: &str = "q83vEjRWeJCrze8SNFZ4kAECAwQFBgcICQoLDA0ODxA";
const BEGIN: &str = "<!-- keys: written by `UPDATE_GENERATED=1 cargo test --test it config` -->\n";
const END: &str = "<!-- end of keys -->\n";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// An empty folder of this test run.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn secrets() -> BTreeMap<String, String> {
    let variables =
        [("CLOAKROOM_CLIENT_SECRET", "secret-of-the-client"), ("CLOAKROOM_COOKIE_KEY", KEY)];
    pairs(&variables).into_iter().collect()
}

// --- The generated files ---

/// One key of the reference, by its dotted name with `n` for the number of an entry.
struct Row {
    key: String,
    meaning: String,
    default: String,
    unit: String,
}

fn rows() -> Vec<Row> {
    let document: Value = serde_json::from_str(&schema()).unwrap();
    let mut rows = Vec::new();
    collect(&document, &document, "", &mut rows);
    rows
}

fn collect(document: &Value, shape: &Value, key: &str, rows: &mut Vec<Row>) {
    let follow = |shape: &'_ Value| match shape["$ref"].as_str() {
        Some(name) => document.pointer(&name[1..]).unwrap().clone(),
        None => shape.clone(),
    };
    for (name, written) in shape["properties"].as_object().unwrap() {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        let target = follow(written);
        let items = follow(&target["items"]);
        if target["properties"].is_object() {
            collect(document, &target, &key, rows);
        } else if key == "apps" {
            let app = &items["properties"]["public_url"];
            rows.push(row("apps.n.public_url", app, app));
        } else if key == "providers" {
            // The rest is as in `provider`.
            let id = &items["properties"]["id"];
            rows.push(row("providers.n.id", id, id));
        } else if items["properties"].is_object() {
            collect(document, &items, &format!("{key}.n"), rows);
        } else {
            rows.push(row(&key, written, &target));
        }
    }
}

fn row(key: &str, written: &Value, target: &Value) -> Row {
    let meaning = written["description"].as_str().unwrap_or_default().replace('\n', " ");
    let kind = match target["type"].as_str() {
        Some("boolean") => "true or false",
        Some("array") => "list",
        _ => "text",
    };
    let unit = target["x-unit"].as_str().unwrap_or(kind).to_owned();
    let default = match &written["default"] {
        Value::Null if meaning.contains("Required") => "required".to_owned(),
        Value::Null => "none".to_owned(),
        default => format!("`{default}`"),
    };
    Row { key: key.to_owned(), meaning, default, unit }
}

fn variable(key: &str) -> String {
    format!("CLOAKROOM__{}", key.replace(".n.", ".0.").replace('.', "__").to_uppercase())
}

fn table() -> String {
    let lines = rows().into_iter().map(|Row { key, meaning, default, unit }| {
        let variable = variable(&key);
        let meaning = meaning.replace('|', "\\|");
        format!("| `{key}` | {meaning} | {default} | {unit} | `{variable}` |")
    });
    let head = ["", "| key | meaning | default | unit | environment |", "|---|---|---|---|---|"];
    let lines = head.map(str::to_owned).into_iter().chain(lines).chain(["\n".to_owned()]);
    lines.collect::<Vec<_>>().join("\n")
}

/// Writes the schema and the reference's table anew, once, for a person who says `UPDATE_GENERATED=1`.
fn update_generated_files() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(write_if_wished);
}

fn write_if_wished() {
    #[expect(clippy::disallowed_methods, reason = "a switch for the person who runs the test")]
    if std::env::var_os("UPDATE_GENERATED").is_none() {
        return;
    }
    fs::write(path("config/cloakroom.schema.json"), schema()).unwrap();
    let page = text("docs/configuration.md");
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    fs::write(path("docs/configuration.md"), format!("{before}{BEGIN}{}{END}{after}", table()))
        .unwrap();
}

#[test]
fn the_schema_in_the_source_tree_is_fresh() {
    update_generated_files();
    let hint = "run `UPDATE_GENERATED=1 cargo test --test it config`";
    assert!(text("config/cloakroom.schema.json") == schema(), "stale: {hint}");
}

#[test]
fn the_reference_names_every_key_with_meaning_default_unit_and_variable() {
    update_generated_files();
    let page = text("docs/configuration.md");
    let hint = "run `UPDATE_GENERATED=1 cargo test --test it config`";
    assert!(page.contains(&table()), "the table is stale: {hint}");
    for row in rows() {
        assert!(row.meaning.len() > 10, "{} has no meaning", row.key);
    }
}

#[test]
fn every_variable_of_the_reference_is_known() {
    for Row { key, .. } in rows() {
        let variable = variable(&key);
        let env = BTreeMap::from([(variable.clone(), "x".to_owned())]);
        for problem in load(&Sources { env, ..Sources::default() }).unwrap_err() {
            let unknown =
                problem.problem == "unknown key" || problem.problem.contains("no such entry");
            assert!(!unknown, "{variable}: {problem}");
        }
    }
}

// --- The files in config/ ---

/// The keys of a TOML file as `section.key`, whether commented out or not.
fn mentioned(toml: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in toml.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

#[test]
fn the_commented_file_has_every_key() {
    let file = text("config/cloakroom.toml");
    let mentioned = mentioned(&file);
    for Row { key, .. } in rows() {
        // The fields of a key stand on one line: { id = …, env = … }.
        let found = match key.strip_prefix("session.keys.n.") {
            Some(field) => file.contains(&format!("{field} = \"")),
            None => mentioned.contains(&key.replace(".n.", ".")),
        };
        assert!(found, "config/cloakroom.toml does not have {key}");
    }
}

#[test]
fn the_values_in_the_commented_file_are_the_defaults() {
    let file = text("config/cloakroom.toml");
    for Row { key, default, .. } in rows() {
        let Some(default) = default.strip_prefix('`').and_then(|text| text.strip_suffix('`'))
        else {
            continue;
        };
        let name = key.rsplit('.').next().unwrap();
        let line = format!("{name} = {}", default.replace("\",\"", "\", \""));
        let special = ["keys", "allowed_tenants"].contains(&name);
        assert!(special || file.contains(&line), "config/cloakroom.toml should have {line}");
    }
}

#[test]
fn the_example_files_pass_check() {
    for name in ["config/cloakroom.toml", "config/dev.toml"] {
        let sources = Sources { file: Some(path(name)), env: secrets(), set: Vec::new() };
        let config = load(&sources);
        assert!(config.is_ok(), "{name}: {:?}", config.err());
    }
}

/// The blocks of a page that configure a provider, whole files made of them.
fn recipes(page: &str) -> Vec<String> {
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let secret = folder("recipes").join("client");
    fs::write(&secret, "secret-of-the-client\n").unwrap();
    let whole = |block: &str| {
        let block = block.replace("/run/secrets/client", secret.to_str().unwrap());
        format!(
            "[server]\npublic_url = \"https://app.example.com\"\n[session]\n\
             keys = [{{ id = \"one\", env = \"CLOAKROOM_COOKIE_KEY\" }}]\n{block}"
        )
    };
    blocks.filter(|block| block.trim_start().starts_with("[provider]")).map(whole).collect()
}

#[test]
fn check_takes_the_recipe_of_every_authorization_server() {
    let recipes = recipes(&text("docs/providers.md"));
    assert_eq!(recipes.len(), 12, "a recipe was lost, or is new");
    for (number, recipe) in recipes.iter().enumerate() {
        let file = folder("recipe").join(format!("{number}.toml"));
        fs::write(&file, recipe).unwrap();
        let output = cloakroom(&["check", "--config", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}\n{recipe}", out(&output));
    }
}

#[test]
fn check_takes_the_file_of_the_fapi_page() {
    let page = text("docs/fapi2.md");
    let block = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let key = |name: &str| path("tests/it/support/tls").join(name).display().to_string();
    let block = block
        .replace("/run/secrets/client-key.pem", &key("client.key.pem"))
        .replace("/run/secrets/dpop-key.pem", &key("localhost.key.pem"))
        .replace("file = \"/run/secrets/cookie-2026-11\"", "env = \"CLOAKROOM_COOKIE_KEY\"");
    let file = folder("fapi2").join("cloakroom.toml");
    fs::write(&file, block).unwrap();
    let output = cloakroom(&["check", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", out(&output));
}

#[test]
fn staging_is_the_production_file_with_a_few_variables() {
    let folder = folder("staging");
    let (client, cookie) = (folder.join("client"), folder.join("cookie"));
    fs::write(&client, "secret-of-the-client\n").unwrap();
    fs::write(&cookie, format!("{KEY}\n")).unwrap();
    let set = pairs(&[
        ("provider.client_secret_file", client.to_str().unwrap()),
        ("session.keys.0.file", cookie.to_str().unwrap()),
    ]);
    let file = Some(path("config/production.toml"));
    let production = load(&Sources { file: file.clone(), env: BTreeMap::new(), set: set.clone() });
    assert_eq!(production.unwrap().apps[0].public_url.host, "app.example.com");
    let staging = text("config/staging.env");
    let lines = staging.lines().filter(|line| !line.starts_with('#'));
    let env: BTreeMap<String, String> = lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let config = load(&Sources { file, env, set }).unwrap();
    let app = &config.apps[0];
    assert_eq!(app.public_url.host, "app.staging.example.com");
    assert_eq!(app.session.keys[0].id, "staging-2026-11");
    assert_eq!(app.routes[0].upstream.host, "orders.staging");
    assert_eq!(app.providers[0].client_secret.expose(), "secret-of-the-client");
}

// --- The commands ---

fn cloakroom(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command.args(args).env_clear().envs(secrets()).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn check_says_what_would_run_and_exits_with_success() {
    let output = cloakroom(&["check", "--config", "config/cloakroom.toml"]);
    assert!(output.status.success());
    assert!(out(&output).starts_with("ok: app app at https://app.example.com"), "{}", out(&output));
}

// proves: KM-07
#[test]
fn check_prints_every_problem_on_its_own_line_without_secrets_and_exits_with_1() {
    let file = folder("check").join("bad.toml");
    let bad = "[server]\npublic_url = \"canary-1\"\n[provider]\nclient_secret = \"canary-2\"\nisuer = \"canary-3\"\n\
               [session]\nkeys = [{ id = \"a\", value = \"canary-4\" }]\n";
    fs::write(&file, bad).unwrap();
    let file = file.to_str().unwrap();
    let output =
        cloakroom(&["check", "--config", file, "--set", "provider.client_secret=canary-5"]);
    assert_eq!(output.status.code(), Some(1));
    let text = out(&output);
    assert!(
        !text.contains("canary") && !String::from_utf8_lossy(&output.stderr).contains("canary"),
        "{text}"
    );
    for place in
        [":2:14 server.public_url: ", ":5:1 provider.isuer: ", ":7:29 session.keys.0.value: "]
    {
        assert!(text.contains(&format!("{file}{place}")), "{place} is not in\n{text}");
    }
    assert!(text.contains("--set provider.client_secret: is a secret"), "{text}");
    assert!(
        text.trim_end().lines().last().unwrap().contains("problems: mend each place"),
        "{text}"
    );
}

// proves: AR-01
#[test]
fn nothing_starts_without_a_client_credential() {
    let file = folder("credential").join("none.toml");
    let toml = text("config/dev.toml").replace("client_secret_env", "# client_secret_env");
    fs::write(&file, toml).unwrap();
    for command in ["check", "serve"] {
        let output = cloakroom(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = out(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("provider.client_secret: is missing"), "{command}: {said}");
    }
}

#[test]
fn keygen_prints_a_new_key_that_check_accepts() {
    let (first, second) = (cloakroom(&["keygen", "cookie"]), cloakroom(&["keygen", "cookie"]));
    assert!(first.status.success());
    assert_ne!(out(&first), out(&second));
    let key = out(&first).trim_end().to_owned();
    assert_eq!(URL_SAFE_NO_PAD.decode(&key).unwrap().len(), 32);
    assert!(String::from_utf8_lossy(&first.stderr).contains("suggested id: 20"));
    let mut env = secrets();
    env.insert("CLOAKROOM_COOKIE_KEY".to_owned(), key);
    let file = Some(path("config/cloakroom.toml"));
    assert!(load(&Sources { file, env, set: Vec::new() }).is_ok());
}

#[test]
fn keygen_writes_a_private_file_and_never_overwrites_one() {
    use std::os::unix::fs::{MetadataExt as _, symlink};
    let folder = folder("keygen");
    let file = folder.join("cookie-key");
    let name = file.to_str().unwrap();
    let output = cloakroom(&["keygen", "cookie", "--out", name]);
    assert!(output.status.success());
    let key = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert!(!out(&output).contains(key.trim_end()), "the key is in the file only");
    assert!(out(&output).contains(&format!("file = \"{name}\"")));

    let again = cloakroom(&["keygen", "cookie", "--out", name]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), key);
    let link = folder.join("link");
    symlink(folder.join("elsewhere"), &link).unwrap();
    let planted = cloakroom(&["keygen", "cookie", "--out", link.to_str().unwrap()]);
    assert_eq!(planted.status.code(), Some(1));
    assert!(!folder.join("elsewhere").exists());
}

#[test]
fn keygen_help_teaches_the_rotation_in_three_steps() {
    let help = out(&cloakroom(&["keygen", "cookie", "--help"]));
    assert!(help.contains("1. Open everywhere"), "{help}");
    assert!(help.contains("2. Promote") && help.contains("3. Retire"), "{help}");
}
