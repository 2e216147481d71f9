//! The command line: one file per command. Prints for people; decides nothing about requests.

pub mod check;
mod control_client;
#[cfg(feature = "dev")]
pub mod dev;
pub mod doctor;
pub mod explain;
pub mod keygen;
pub mod ready;
pub mod serve;
pub mod sessions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, Sources};

#[cfg(feature = "dev")]
const TRY: &str = "Try it: cloakroom dev";
#[cfg(not(feature = "dev"))]
const TRY: &str = "Begin with: cloakroom check --config cloakroom.toml";

/// Leave your tokens at the door: a token handler for single-page applications.
///
/// Cloakroom logs users in with OpenID Connect on behalf of a SPA, keeps the tokens in encrypted same-site cookies,
/// and proxies API calls with the access token attached, so that JavaScript never sees a token.
#[derive(Debug, Parser)]
#[command(name = "cloakroom", version, after_help = TRY)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server with a configuration file; `cloakroom check` says beforehand whether it would start. SIGHUP makes it
    /// take new cookie keys and routes.
    Serve(ConfigArgs),
    /// Run everything on this machine: login server with demo users, demo API, example SPA, token handler.
    #[cfg(feature = "dev")]
    Dev(dev::DevArgs),
    /// Check a configuration and print every problem at once; exit 1 if there is any.
    Check(ConfigArgs),
    /// Try what a configuration depends on (authorization server, client, clock, Redis, upstreams), and say how to mend it.
    Doctor(doctor::DoctorArgs),
    /// Say what an error code means, or why a running process has refused a request, and how to mend it.
    Explain(explain::ExplainArgs),
    /// Make a new key; never overwrites a file.
    Keygen(keygen::KeygenArgs),
    /// Ask the running process of this configuration whether it is ready; exit 1 if not. For health checks of containers.
    Ready(ConfigArgs),
    /// End sessions of a running process.
    Sessions(sessions::SessionsArgs),
}

/// Where the configuration comes from.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// The TOML file. `config/cloakroom.toml` in the source tree explains every key. Variables such as
    /// `CLOAKROOM__SESSION__IDLE_TIMEOUT=15m` override it.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Override one setting, e.g. `--set session.idle_timeout=15m`. Secrets are refused: they would show in the
    /// process list; use `CLOAKROOM__SECTION__KEY` or a `_file` key.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

impl ConfigArgs {
    /// The layers that [`config::load`] reads.
    pub fn sources(&self) -> Sources {
        Sources {
            file: Some(self.config.clone()),
            env: config::environment(),
            set: self.set.iter().map(|text| key_value(text)).collect(),
        }
    }
}

/// Runs the command that the process was started with.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Serve(args) => {
            let sources = args.sources();
            load(&sources).map_or(ExitCode::FAILURE, |config| serve::run(config, sources))
        }
        #[cfg(feature = "dev")]
        Command::Dev(args) => dev::run(args),
        Command::Check(args) => check::run(&args.sources()),
        Command::Doctor(args) => doctor::run(&args),
        Command::Explain(args) => explain::run(args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Ready(args) => ready::run(&args),
        Command::Sessions(args) => sessions::run(args),
    }
}

/// Loads the configuration, or prints every problem.
#[expect(clippy::print_stderr, reason = "a person reads this")]
fn load(sources: &Sources) -> Option<Config> {
    match config::load(sources) {
        Ok(config) => Some(config),
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!("{} to mend.", problems.len());
            None
        }
    }
}

/// An entry without `=` has no key: the loader refuses it without repeating it, for it may be a secret.
fn key_value(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or_default();
    (key.to_owned(), value.to_owned())
}
