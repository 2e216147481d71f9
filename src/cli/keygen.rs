//! `cloakroom keygen`: makes a key. Never overwrites a file, and leaves no file that others can read.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::clock::Clock;
use crate::config::ClientKey;
use crate::secret::{Random, Secret};

/// Options of `cloakroom keygen`.
#[derive(Debug, clap::Args)]
pub struct KeygenArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A cookie key: 32 random bytes in base64url.
    #[command(after_long_help = ROTATION)]
    Cookie {
        /// Write the key to a new file that only its owner can read, instead of printing it. An existing file is
        /// left alone.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// A client's key for `auth_method = "private_key_jwt"`: P-256, in PEM. Prints its public half, to be registered.
    #[command(after_long_help = CLIENT)]
    Client {
        /// The new file, which only its owner can read. An existing file is left alone.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

const CLIENT: &str = "\
Register the printed keys (a JWK Set) at the authorization server, or better
their address, PUBLIC_URL/.well-known/jwks.json, so that it finds the next one
by itself. To rotate:

  1. Make a key, and name it in `next_client_key_file`: it is shown from then on.
  2. Some minutes later, when the server has it, let the two keys change places:
     `client_key_file` is the new one, `next_client_key_file` the old one.
  3. Remove the old one.

A running server takes each step by itself, or at once on SIGHUP.";

const ROTATION: &str = "\
Rotating the cookie key takes three steps and logs nobody out.
The first key of `session.keys` seals, all of them open.

  1. Open everywhere: add the new key as the LAST entry, and roll that out
     to every instance. A running server takes it by itself, or at once on
     SIGHUP.
       keys = [{ id = \"2026-05\", file = \"/run/secrets/cookie-2026-05\" },
               { id = \"2026-11\", file = \"/run/secrets/cookie-2026-11\" }]
  2. Promote: move it to the FIRST place, and roll that out. New cookies are
     sealed with it, old ones still open, and sessions in use are sealed again.
  3. Retire: remove the old key when `session.idle_timeout`, and the life of
     an access token, have passed since step 2.

If a key may have leaked, remove it at once instead: that ends every session it
sealed. An id names one key for ever.";

/// Makes the key that was asked for.
pub fn run(args: &KeygenArgs) -> ExitCode {
    match &args.what {
        What::Cookie { out } => cookie(out.as_deref(), &Clock::system(), &Random::system()),
        What::Client { out } => client(out),
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the key is the output, the rest is for people"
)]
fn cookie(out: Option<&Path>, clock: &Clock, random: &Random) -> ExitCode {
    let key = Secret::new(random.token::<32>());
    let id = suggested_id(clock.now().0);
    let Some(path) = out else {
        println!("{}", key.expose());
        eprintln!(
            "suggested id: {id}; keep the key in a secret store or file, not in the configuration file"
        );
        return ExitCode::SUCCESS;
    };
    if let Err(error) = write_new(path, &key) {
        return not_written(path, &error);
    }
    println!("{{ id = \"{id}\", file = {:?} }}", path.display().to_string());
    eprintln!(
        "written; add the line above to session.keys (`cloakroom keygen cookie --help` says where)"
    );
    ExitCode::SUCCESS
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the public key is the output, the rest is for people"
)]
fn client(path: &Path) -> ExitCode {
    let made = ClientKey::generate().and_then(|pem| {
        let key = ClientKey::parse(&pem, false).ok()?;
        Some((pem, serde_json::json!({ "keys": [key.public()] })))
    });
    let Some((pem, public)) = made else {
        eprintln!("the operating system gives no randomness");
        return ExitCode::FAILURE;
    };
    if let Err(error) = write_new(path, &pem) {
        return not_written(path, &error);
    }
    println!("{public}");
    eprintln!(
        "written; set auth_method = \"private_key_jwt\" and client_key_file, and register the keys above (`cloakroom keygen client --help`)"
    );
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "for people")]
fn not_written(path: &Path, error: &io::Error) -> ExitCode {
    let why = match error.kind() {
        io::ErrorKind::AlreadyExists => "it exists, and a key is never overwritten".to_owned(),
        kind => kind.to_string(),
    };
    eprintln!("cannot write {}: {why}; name a new file", path.display());
    ExitCode::FAILURE
}

/// `create_new` neither overwrites nor follows a link that somebody planted; the mode is set before the first byte.
fn write_new(path: &Path, key: &Secret<String>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Year and month of a time in seconds since the epoch: `2026-11`.
fn suggested_id(seconds: u64) -> String {
    // Civil date from days, proleptic Gregorian, years starting in March so that the leap day comes last.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "1970-01")]
    #[case(951_782_399, "2000-02")]
    #[case(951_868_800, "2000-03")]
    #[case(1_709_164_800, "2024-02")]
    #[case(1_767_225_599, "2025-12")]
    #[case(1_767_225_600, "2026-01")]
    #[case(1_795_478_400, "2026-11")]
    fn the_suggested_id_is_the_month(#[case] seconds: u64, #[case] id: &str) {
        assert_eq!(suggested_id(seconds), id);
    }
}
