//! `scripts/sbom`: it lists what the shipped binary is built of, all of it and nothing else, as CycloneDX wants it written.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{folder, list, root, texts, toml};

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn run(mut command: Command) -> String {
    let output = command.current_dir(root(".")).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Name and version of every package that is compiled for the binary, by cargo's own word.
fn built() -> BTreeSet<(String, String)> {
    let mut command = Command::new("cargo");
    command.args(["tree", "--locked", "--no-default-features", "--target", TARGET]);
    command.args(["--edges", "normal", "--prefix", "none", "--no-dedupe"]);
    let said = run(command);
    let package = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next().unwrap().to_owned();
        (name, words.next().unwrap().trim_start_matches('v').to_owned())
    };
    said.lines().map(package).collect()
}

fn written() -> String {
    let file = folder("sbom").join("cloakroom.cdx.json");
    let mut command = Command::new(root("scripts/sbom"));
    command.arg(&file).env("TARGET", TARGET);
    run(command);
    std::fs::read_to_string(file).unwrap()
}

fn name_and_version(component: &Value) -> (String, String) {
    let [name, version] =
        ["name", "version"].map(|key| component[key].as_str().unwrap().to_owned());
    (name, version)
}

#[test]
fn it_lists_exactly_what_the_binary_is_built_of() {
    let (first, second) = (written(), written());
    assert_eq!(first, second, "the same sources give the same bytes");
    let bom: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&bom["bomFormat"], &bom["specVersion"], &bom["version"]),
        (&"CycloneDX".into(), &"1.6".into(), &1.into())
    );
    let ours = &bom["metadata"]["component"];
    assert_eq!(name_and_version(ours), ("cloakroom".into(), env!("CARGO_PKG_VERSION").into()));

    let mut listed: BTreeSet<(String, String)> =
        list(&bom["components"]).into_iter().map(name_and_version).collect();
    assert_eq!(listed.len(), list(&bom["components"]).len(), "none twice");
    for (name, is_in) in [
        ("actix-web", true),
        ("rustls", true),
        ("redis", true),
        // The dev stack, the tests, another TLS stack's primitives, another platform.
        ("actix-session", false),
        ("rstest", false),
        ("serde-saphyr", false),
        ("ring", false),
        ("windows-sys", false),
    ] {
        assert_eq!(listed.iter().any(|(listed, _)| listed == name), is_in, "{name}");
    }
    listed.insert(name_and_version(ours));
    assert_eq!(listed, built());
}

#[test]
fn every_entry_says_what_the_lock_file_says_and_who_needs_it() {
    let bom: Value = serde_json::from_str(&written()).unwrap();
    let lock = toml("Cargo.lock");
    let locked: BTreeMap<(String, String), &Value> =
        list(&lock["package"]).into_iter().map(|one| (name_and_version(one), one)).collect();
    for component in list(&bom["components"]) {
        let package = name_and_version(component);
        let (name, version) = &package;
        let at = format!("{name} {version}");
        assert_eq!(component["type"], "library", "{at}");
        let hash = &component["hashes"][0];
        assert_eq!(
            (&hash["alg"], &hash["content"]),
            (&"SHA-256".into(), &locked[&package]["checksum"])
        );
        assert_eq!(hash["content"].as_str().map(str::len), Some(64), "{at}");
        let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"));
        assert_eq!(
            (&component["purl"], &component["bom-ref"]),
            (&purl.clone().into(), &purl.into())
        );
        let licence = component["licenses"][0]["expression"].as_str().expect(&at);
        // Which are allowed is deny.toml's to say.
        assert!(!licence.is_empty() && !licence.contains('/'), "{at}: {licence}");
    }
    let needs: BTreeMap<&str, Vec<&str>> = list(&bom["dependencies"])
        .into_iter()
        .map(|one| (one["ref"].as_str().unwrap(), texts(&one["dependsOn"])))
        .collect();
    assert_eq!(needs.len(), list(&bom["components"]).len() + 1);
    let mut reached = BTreeSet::new();
    let mut next = vec![bom["metadata"]["component"]["bom-ref"].as_str().unwrap()];
    while let Some(one) = next.pop() {
        if reached.insert(one) {
            next.extend(&needs[one]);
        }
    }
    assert_eq!(reached.len(), needs.len(), "nothing is listed that nobody needs");
}
