//! `make bench`: what a proxied request costs in CPU time and memory, in Cloakroom and beside it in nginx and HAProxy, in
//! the same run on the same machine; and what the parts cost. Loopback only. Servers run on the first core, load and
//! upstream on the others. It trusts CPU time and instruction counts, not how fast this machine happens to be.
//!
//! Arguments name scenarios; none is all of them but `builds`. `CLOAKROOM_BIN` names the binary under test (default: the one cargo
//! built for this bench), `BENCH_ROUNDS` the measured rounds per server.
#![expect(clippy::print_stdout, reason = "the report is the output")]

mod bodies;
mod builds;
mod callgrind;
mod chart;
mod cloakroom;
mod closed_loop;
mod held;
mod in_turns;
mod login;
mod open_loop;
mod parts;
mod peers;
mod process;
mod proxied;
mod requests;
mod routes;
mod server;
mod session;
mod stand;
mod start;
mod stats;
mod tokens;
mod upstream;
mod wire;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use stand::Stand;

/// Rounds per server in each scenario that compares.
const ROUNDS: usize = 15;

type Run = fn(&Stand) -> anyhow::Result<()>;

/// What can be asked for by name, in the order in which it runs.
const SCENARIOS: [(&str, Run); 14] = [
    ("parts", parts::run),
    ("start", start::run),
    ("get-1k", |stand| proxied::run(stand, &proxied::GET_1K)),
    ("get-100k", |stand| proxied::run(stand, &proxied::GET_100K)),
    ("post-16k", |stand| proxied::run(stand, &proxied::POST_16K)),
    ("get-1k-logged", |stand| proxied::run(stand, &proxied::GET_1K_LOGGED)),
    ("idle", held::idle),
    ("sockets", held::sockets),
    ("events", held::events),
    ("bodies", bodies::run),
    ("routes", routes::run),
    ("tokens", tokens::run),
    ("callgrind", callgrind::run),
    (BUILDS, builds::run),
];

/// Needs another binary.
const BUILDS: &str = "builds";

fn main() -> anyhow::Result<()> {
    // `cargo test --all-targets` runs benches too: nobody wants this one there.
    if std::env::args().any(|arg| arg == "--test") {
        return Ok(());
    }
    // cargo adds `--bench`.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for name in &named {
        if !SCENARIOS.iter().any(|(known, _)| known == name) {
            let known = SCENARIOS.map(|(known, _)| known).join(" ");
            bail!("no scenario {name:?}; there are: {known}");
        }
    }
    let binary = variable("CLOAKROOM_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_cloakroom")), PathBuf::from);
    let rounds = match variable("BENCH_ROUNDS") {
        Some(rounds) => rounds.parse().context("BENCH_ROUNDS is no number")?,
        None => ROUNDS,
    };
    process::prepare_this_process();
    println!("binary: {} ({} KiB)", binary.display(), std::fs::metadata(&binary)?.len() / 1024);
    let stand = Stand::new(binary, rounds)?;
    println!("session: {} bytes of cookies", stand.browser.cookies.len());
    for (name, run) in SCENARIOS {
        let is_asked_for = named.iter().any(|wanted| wanted == name);
        if is_asked_for || (named.is_empty() && name != BUILDS) {
            run(&stand).with_context(|| format!("scenario {name}"))?;
        }
    }
    if let Some(picture) = stand.chart.write()? {
        println!("picture: {}", picture.display());
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a bench has no configuration file")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
