//! The deny list as a file of one instance, so that a logout survives a restart: one line of text per entry, appended and
//! synced, written anew at start and whenever dead lines prevail. A crash in mid-write costs the last line at most; any
//! other surprise is an error that names the line, because guessing would revive ended sessions.
//!
//! ```text
//! cloakroom deny list 1
//! KEY UNTIL CREATED_UNTIL TOKENS
//! ```
//!
//! The lines are those of [`super::deny_entry`].

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::deny::Entry;
use crate::clock::Timestamp;
use crate::formats::DENY_FILE;

/// The first line, before its version.
const HEADER: &str = "cloakroom deny list ";
/// Longer lines are not ours.
const LONGEST_LINE: u64 = 128;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DenyFileError {
    #[error(
        "{path}:{line}: not a line of a deny list; name another file, or remove this one (copies of cookies from before a logout would work again)"
    )]
    Garbage { path: String, line: usize },
    #[error("{path}: another process has it; give every process its own session.deny_file")]
    Taken { path: String },
    #[error("{path}: not a file; name a file in a folder that only this process writes to")]
    NotAFile { path: String },
    #[error("{path}: {reason}; let this process create and rename files in that folder")]
    Io { path: String, reason: io::Error },
}

/// The open file, and the lock that keeps other processes away while it is.
#[derive(Debug)]
pub(super) struct DenyFile {
    path: PathBuf,
    file: File,
    lines: usize,
    _lock: File,
}

impl DenyFile {
    /// Takes the file, or makes one, and gives the entries that still matter. It is written anew, so that what is
    /// appended later stands after whole lines only.
    pub(super) fn open(path: &Path, now: Timestamp) -> Result<(Self, Vec<Entry>), DenyFileError> {
        let name = || path.display().to_string();
        let broken = |reason| DenyFileError::Io { path: name(), reason };
        // A link stays one: the file that it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // The lock is a file of its own: the list's is replaced, and a lock on it would go with it.
        let lock = private(OpenOptions::new().create(true).truncate(false))
            .open(beside(&path, ".lock"))
            .map_err(broken)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DenyFileError::Taken { path: name() },
            TryLockError::Error(reason) => broken(reason),
        })?;
        let mut entries = read(&path, name())?;
        entries.retain(|entry| entry.until > now);
        let (file, lines) = write_anew(&path, &entries).map_err(broken)?;
        Ok((Self { path, file, lines, _lock: lock }, entries))
    }

    /// How many entries the file has, dead and repeated ones included.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// Appends entries and waits until they are on the disk. After an error the file must be replaced: a part of a line may
    /// stand at its end.
    pub(super) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut text = String::with_capacity(entries.len() * 48);
        for entry in entries {
            text.push_str(&entry.to_line());
            text.push('\n');
        }
        // Removed or moved by somebody, it would take the lines along.
        let (ours, there) = (self.file.metadata()?, fs::metadata(&self.path)?);
        if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.lines += entries.len();
        Ok(())
    }

    /// Replaces the file by one that holds these entries.
    pub(super) fn replace(&mut self, entries: &[Entry]) -> io::Result<()> {
        (self.file, self.lines) = write_anew(&self.path, entries)?;
        Ok(())
    }
}

/// Nobody but this user reads or writes it.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).mode(0o600)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A new file takes the old one's place only when it is whole and on the disk.
fn write_anew(path: &Path, entries: &[Entry]) -> io::Result<(File, usize)> {
    let new = beside(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private(OpenOptions::new().create_new(true)).open(&new)?;
    let mut text = format!("{HEADER}{}\n", DENY_FILE.writes);
    for entry in entries {
        text.push_str(&entry.to_line());
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The rename itself is on the disk only when the folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok((file, entries.len()))
}

fn is_header(line: &[u8]) -> bool {
    let version = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix(HEADER));
    version.and_then(|text| text.parse().ok()).is_some_and(|version| DENY_FILE.can_read(version))
}

fn read(path: &Path, name: String) -> Result<Vec<Entry>, DenyFileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(reason) => return Err(DenyFileError::Io { path: name, reason }),
    };
    let broken = |reason| DenyFileError::Io { path: name.clone(), reason };
    // A pipe or a device would never end.
    if !file.metadata().map_err(broken)?.is_file() {
        return Err(DenyFileError::NotAFile { path: name });
    }
    let (mut reader, mut entries, mut line) = (BufReader::new(file), Vec::new(), Vec::new());
    let mut bad = None;
    for number in 1_usize.. {
        line.clear();
        let mut bounded = reader.by_ref().take(LONGEST_LINE);
        if bounded.read_until(b'\n', &mut line).map_err(broken)? == 0 {
            break;
        }
        if let Some(line) = bad {
            return Err(DenyFileError::Garbage { path: name, line });
        }
        let whole = line.strip_suffix(b"\n");
        match whole.and_then(Entry::from_line) {
            Some(entry) if number > 1 => entries.push(entry),
            // Another file by mistake must not be taken for a list with one torn line.
            _ if number == 1 && !whole.is_some_and(is_header) => {
                return Err(DenyFileError::Garbage { path: name, line: 1 });
            }
            _ if number == 1 => {}
            // Torn by a crash, if it is the last one.
            _ => {
                bad = Some(number);
                if whole.is_none() {
                    reader.skip_until(b'\n').map_err(broken)?;
                }
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
#[path = "deny_file_tests.rs"]
mod tests;
