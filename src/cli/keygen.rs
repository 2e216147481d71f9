//! `cloakroom keygen`: makes a key. Never overwrites a file, and leaves no file that others can read.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::clock::Clock;
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
}

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
        let why = match error.kind() {
            io::ErrorKind::AlreadyExists => "it exists, and a key is never overwritten".to_owned(),
            kind => kind.to_string(),
        };
        eprintln!("cannot write {}: {why}; name a new file", path.display());
        return ExitCode::FAILURE;
    }
    println!("{{ id = \"{id}\", file = {:?} }}", path.display().to_string());
    eprintln!(
        "written; add the line above to session.keys (`cloakroom keygen cookie --help` says where)"
    );
    ExitCode::SUCCESS
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
