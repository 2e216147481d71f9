//! Another client library (npm `oauth4webapi`, `tests/differential`) before the same switches of the server: it must decide as we
//! do, or the difference is listed here with its reason. Our own decisions are what the rows say, and those run.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use cloakroom::clock::Clock;
use serde_json::{Value, json};

use super::row::{At, Play, Row};
use crate::server::setup::hostile_op;
use crate::support::hostile_op::HostileOp;
use crate::support::stack::CLIENT_SECRET;

/// Where the library decides otherwise than we do, and why that is right or bearable.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "access-token-as-id-token",
        "it looks at no `typ` of an ID token; we take no token that says it is of another kind (RFC 8725 §3.11)",
    ),
    ("logout-token-as-id-token", "the same"),
    (
        "azp-of-another",
        "it looks at `azp` where there are several audiences only; we refuse a foreign one always (Core §3.1.3.7)",
    ),
    (
        "oidcc-client-test-invalid-athash",
        "it leaves `at_hash` of the code flow alone, where it is optional; we check one that is there",
    ),
    (
        "oidcc-client-test-kid-absent-multiple-jwks",
        "it wants a `kid` where several keys fit; we try those that fit, of which there are few. The suite takes both",
    ),
    (
        "oidcc-client-test-userinfo-signed",
        "it takes signed userinfo where that is configured, and then no other; we verify what comes",
    ),
];

/// Rows that ask for one algorithm, or another setting of ours: the library is set up in one way only.
fn is_comparable(row: &Row) -> bool {
    row.settings.is_empty() && !matches!(row.plans, "FAPI2" | "JARM" | "X/F")
}

/// Whether we take it, for the rows that are a login or its refusal.
fn ours(row: &Row) -> Option<(bool, super::row::Switch)> {
    match row.play {
        _ if !is_comparable(row) => None,
        Play::Login(switch, _) => Some((true, switch)),
        Play::Stop(At::Start | At::Response | At::Tokens | At::Userinfo, switch) => {
            Some((false, switch))
        }
        _ => None,
    }
}

/// What the library made of each of these servers.
fn theirs(servers: &[(&str, HostileOp)]) -> BTreeMap<String, Value> {
    let list: Vec<Value> =
        servers.iter().map(|(name, op)| json!({ "name": name, "issuer": op.issuer })).collect();
    let root = env!("CARGO_MANIFEST_DIR");
    let installed = Command::new("scripts/npm-run")
        .arg("tests/differential")
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .expect("scripts/npm-run");
    let told = String::from_utf8_lossy(&installed.stderr);
    assert!(
        installed.status.success(),
        "npm ci failed in tests/differential; is there Node.js 20 with npm, and the package registry?\n{told}"
    );
    let ran = Command::new("node")
        .args(["client.mjs", &Value::from(list).to_string()])
        .current_dir(format!("{root}/tests/differential"))
        .env("CLIENT_SECRET", CLIENT_SECRET)
        .output()
        .expect("cannot run node: install Node.js 20 or newer");
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "tests/differential/client.mjs failed:\n{told}");
    serde_json::from_slice(&ran.stdout).expect("one line of JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_library_decides_as_we_do_or_the_difference_is_listed() {
    let mut expected = BTreeMap::new();
    let mut servers = Vec::new();
    for row in super::all() {
        let Some((accepted, switch)) = ours(row) else { continue };
        let op = hostile_op(Clock::system()).await;
        switch(&op);
        expected.insert(row.name, accepted);
        servers.push((row.name, op));
    }
    assert!(servers.len() > 60, "{} rows", servers.len());
    let (theirs, _servers) =
        tokio::task::spawn_blocking(move || (theirs(&servers), servers)).await.unwrap();
    let mut surprises = Vec::new();
    for (name, accepted) in expected {
        let their = &theirs[name];
        let listed = DIFFERENT.iter().any(|(row, _)| *row == name);
        let is_same = their["accepted"] == accepted;
        if is_same == listed {
            surprises.push(format!("{name}: we {accepted}, they {their}, listed {listed}"));
        }
    }
    for (name, _) in DIFFERENT {
        if !theirs.contains_key(*name) {
            surprises.push(format!("{name}: is no row that is compared"));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
