//! `start`: how soon Cloakroom is ready although no authorization server answers, and what it then holds in memory.

use super::cloakroom::Settings;
use super::server::Under;
use super::stand::Stand;
use super::stats::{Spread, mib};

const STARTS: usize = 5;

/// Measures and prints it.
pub fn run(stand: &Stand) -> anyhow::Result<()> {
    let mut took = Vec::new();
    let mut resident = 0;
    for _ in 0..STARTS {
        // Port 9 is nobody's: discovery fails at once.
        let settings = Settings { issuer: "http://127.0.0.1:9", pinned: false, ..stand.settings() };
        let (server, ready) = settings.start(&stand.binary, &stand.folder, &Under::Nothing)?;
        took.push(ready.as_secs_f64() * 1e3);
        resident = server.process.memory()?.resident;
    }
    println!(
        "start: {} ms until /readyz answers 200, authorization server down; then {:.1} MiB, one worker per core",
        Spread::of(took),
        mib(resident)
    );
    Ok(())
}
