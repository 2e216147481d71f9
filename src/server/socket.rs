//! A Unix socket as a file that belongs to this process alone: nobody can open it at any moment whom its mode does not let, one
//! that a crash has left is replaced, one that somebody answers at is not. Knows nothing of what is said.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("{path}: another process listens there; give every process its own")]
    Taken { path: String },
    #[error("{path}: there is something else; name a file that does not exist")]
    NotASocket { path: String },
    #[error("{path}: {reason}; let this process create files in that folder")]
    Io { path: String, reason: io::Error },
}

/// The file; removed when dropped, unless it is another process's by then.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    is: (u64, u64),
}

impl Socket {
    /// Makes the socket at `path`, for those whom `mode` lets open it. It gets its name when its mode is set: before, nobody finds it.
    pub(super) fn bind(path: &Path, mode: u32) -> Result<(Self, UnixListener), SocketError> {
        let name = || path.display().to_string();
        let broken = |reason| SocketError::Io { path: name(), reason };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(broken(error)),
            Ok(there) if !there.file_type().is_socket() => {
                return Err(SocketError::NotASocket { path: name() });
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(SocketError::Taken { path: name() });
            }
            Ok(_) => {}
        }
        let new = beside(path);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(broken(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&new).map_err(broken)?;
        fs::set_permissions(&new, Permissions::from_mode(mode)).map_err(broken)?;
        listener.set_nonblocking(true).map_err(broken)?;
        let there = fs::symlink_metadata(&new).map_err(broken)?;
        fs::rename(&new, path).map_err(broken)?;
        Ok((Self { path: path.to_owned(), is: (there.dev(), there.ino()) }, listener))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == self.is) {
            // What stays is replaced by the next process.
            let _stays = fs::remove_file(&self.path);
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ck-{}-{name}", std::process::id()));
        let _left_from_before = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn only_its_user_opens_it_and_it_goes_with_the_process() {
        let path = folder("mode").join("control.sock");
        let (socket, _listener) = Socket::bind(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!beside(&path).exists());
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_a_crash_left_is_replaced_one_that_is_answered_and_other_files_are_not() {
        let path = folder("left").join("control.sock");
        let (left, listener) = Socket::bind(&path, 0o600).unwrap();
        let taken = Socket::bind(&path, 0o600).map(drop).unwrap_err();
        assert!(matches!(taken, SocketError::Taken { .. }), "{taken}");
        drop(listener);
        let (_new, _listening) = Socket::bind(&path, 0o600).unwrap();
        drop(left);
        assert!(path.exists(), "it is the new process's");
        let file = path.with_file_name("notes");
        fs::write(&file, "mine").unwrap();
        let other = Socket::bind(&file, 0o600).map(drop).unwrap_err();
        assert!(matches!(other, SocketError::NotASocket { .. }), "{other}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
