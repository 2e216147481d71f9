//! Reads a secret from the one place that was named: the value itself, a file or an environment variable. There is no default.
//! Says what went wrong without the secret, and without the name it was looked up by: that may be the secret, misplaced.

use std::io::{self, Read as _};
use std::path::Path;

use super::report::At;
use crate::secret::Secret;

/// No secret or certificate file is longer; a device or a wrong path must not fill the memory.
const LONGEST: u64 = 1 << 20;

/// The three ways to give one secret: the name of the key and what was written.
pub(super) struct Ways<'a> {
    pub value: (&'static str, Option<&'a str>),
    pub file: (&'static str, Option<&'a str>),
    pub env: (&'static str, Option<&'a str>),
}

/// The secret, with the key that gave it. `owner` is the section that the keys are in.
///
/// A later layer replaces an earlier one whatever the form: `CLOAKROOM__PROVIDER__CLIENT_SECRET` wins over
/// `client_secret_file` in the file. Two forms in one layer are a mistake.
pub(super) fn secret<'a>(owner: &At<'a>, ways: &Ways<'_>) -> Option<(At<'a>, Secret<String>)> {
    let all = [ways.value, ways.file, ways.env];
    let names = [ways.value.0, ways.file.0, ways.env.0];
    let Some((name, text)) = one_of(owner, &all) else {
        let mend = format!("write exactly one of {}, {}, {}", names[0], names[1], names[2]);
        return owner.key(names[0]).missing(&mend);
    };
    let at = owner.key(name);
    let secret = if name == names[0] {
        Secret::from(text)
    } else if name == names[1] {
        from_file(&at, Path::new(text))?
    } else {
        from_variable(&at, text)?
    };
    if secret.expose().trim().is_empty() {
        return at.fail("the secret is empty", "put the secret there");
    }
    Some((at, secret))
}

/// The one key of `ways` that counts: of the highest layer. Notes a problem when that layer has two.
/// `None` is that nothing was written.
pub(super) fn one_of<'v>(
    owner: &At<'_>,
    ways: &[(&'static str, Option<&'v str>)],
) -> Option<(&'static str, &'v str)> {
    let layer = |name| owner.key(name).place().layer();
    let written: Vec<(&'static str, &str)> =
        ways.iter().filter_map(|(name, text)| Some((*name, (*text)?))).collect();
    let highest = written.iter().map(|(name, _)| layer(name)).max()?;
    let mut highest = written.into_iter().filter(|(name, _)| layer(name) == highest);
    let first = highest.next()?;
    for (name, _) in highest {
        let mend = format!("keep one of {} and {name}", first.0);
        owner.key(name).fail::<()>(format!("{} is given too", first.0), mend);
    }
    Some(first)
}

fn from_file(at: &At<'_>, path: &Path) -> Option<Secret<String>> {
    let text = match read_text(path) {
        Ok(text) => Secret::new(text),
        Err(error) => {
            let problem = format!("the file cannot be read: {error}");
            return at.fail(problem, "check the path, the owner and the mode of the file");
        }
    };
    Some(Secret::from(text.expose().trim_end_matches(['\r', '\n'])))
}

fn from_variable(at: &At<'_>, name: &str) -> Option<Secret<String>> {
    match at.variable(name) {
        // What the environment reader puts in place of bytes that are no text.
        Some(text) if text.contains(char::REPLACEMENT_CHARACTER) => {
            at.fail("the variable is not UTF-8", "encode the secret as text")
        }
        Some(text) => Some(Secret::from(text)),
        None => at.fail(
            "the environment has no variable of that name",
            "set it, or write the name (not the secret) here",
        ),
    }
}

/// Reads a short text file.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = std::fs::File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if length as u64 > LONGEST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}
