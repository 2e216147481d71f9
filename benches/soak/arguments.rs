//! What the command line asks for. Decides the defaults.

use std::path::PathBuf;
use std::time::Duration;

/// What is run, and how.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// None is `races`.
    pub modes: Vec<String>,
    pub binary: PathBuf,
    /// `--expiries N`: ends of a token, each user's counted for itself.
    pub expiries: usize,
    /// `--seconds N`: a mode ends after this at the latest.
    pub time: Duration,
    /// `--seed N`: chance that can be had again.
    pub seed: u64,
    /// `--calls N`: of each user at each end.
    pub calls: usize,
    /// `--only TEXT`, again and again: kinds of ends whose name holds it; none is all.
    pub only: Vec<String>,
    /// `--rounds N`: of the mode `users`.
    pub rounds: usize,
    /// `--sessions N`: that the mode `endings` ends, in each way.
    pub sessions: usize,
    /// `--rate N`: calls a second in the mode `steady`.
    pub rate: u32,
    /// `--without-redis`: to see what becomes of replicas that share nothing.
    pub redis: bool,
    /// `--server-side`: sessions live in Redis, browsers hold tickets.
    pub store: &'static str,
}

impl Arguments {
    /// Reads them; `Err` says what is wrong.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut found = Self {
            modes: Vec::new(),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_cloakroom")),
            expiries: 200,
            time: Duration::from_secs(600),
            seed: std::process::id().into(),
            calls: 50,
            only: Vec::new(),
            rounds: 10_000,
            sessions: 20,
            rate: 200,
            redis: true,
            store: "cookie",
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().unwrap_or_default();
                value.parse::<u32>().map_err(|_| format!("{word} needs a number, not {value:?}"))
            };
            match word.as_str() {
                "races" | "users" | "endings" | "steady" => found.modes.push(word),
                "--expiries" => found.expiries = number()? as usize,
                "--seconds" => found.time = Duration::from_secs(number()?.into()),
                "--seed" => found.seed = number()?.into(),
                "--calls" => found.calls = number()? as usize,
                "--only" => found.only.extend(words.next()),
                "--rounds" => found.rounds = number()? as usize,
                "--sessions" => found.sessions = number()? as usize,
                "--rate" => found.rate = number()?.max(1),
                "--without-redis" => found.redis = false,
                "--server-side" => found.store = "redis",
                // cargo's own.
                "--bench" => {}
                _ => return Err(format!("{word:?} is not known; see benches/soak/arguments.rs")),
            }
        }
        if found.modes.is_empty() {
            found.modes.push("races".to_owned());
        }
        if let Some(binary) = named_binary() {
            found.binary = binary;
        }
        Ok(found)
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench has no configuration file")]
fn named_binary() -> Option<PathBuf> {
    std::env::var_os("CLOAKROOM_BIN").filter(|value| !value.is_empty()).map(PathBuf::from)
}
