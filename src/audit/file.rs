//! The file that security events are appended to. Made with mode 0600; opened anew when it was moved or removed, so that whoever
//! rotates it need not say so. A pipe that nobody reads and a disk that is full are errors here, never a wait.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// The file, open or to be opened.
pub(super) struct AppendFile {
    path: PathBuf,
    open: Option<File>,
    /// What was written last does not end with a line's end.
    is_mid_line: bool,
}

impl AppendFile {
    /// Opens it, or finds that it cannot be. A pipe without a reader is taken: the reader may come.
    pub(super) fn new(path: PathBuf) -> io::Result<Self> {
        let mut file = Self { path, open: None, is_mid_line: false };
        match file.current() {
            Err(error) if error.raw_os_error() != Some(Errno::NXIO.raw_os_error()) => Err(error),
            _ => Ok(file),
        }
    }

    /// Writes as much as can be, and says how much that was.
    pub(super) fn write(&mut self, bytes: &[u8], is_start: bool) -> io::Result<usize> {
        let is_torn = is_start && self.is_mid_line;
        let file = self.current()?;
        if is_torn {
            // What was begun there was given up: it must not swallow this line.
            file.write_all(b"\n")?;
        }
        let count = file.write(bytes)?;
        self.is_mid_line = count > 0 && bytes.get(count - 1) != Some(&b'\n');
        if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
    }

    /// Opens it anew with the next line.
    pub(super) fn reopen(&mut self) {
        self.open = None;
        self.is_mid_line = false;
    }

    /// Looks whether it is still where it belongs, and makes it if not.
    pub(super) fn look(&mut self) {
        // What cannot be done shows, and is counted, with the next line.
        let _later = self.current();
    }

    fn current(&mut self) -> io::Result<&mut File> {
        let is_there = |file: &File| {
            let (here, there) = (file.metadata().ok()?, std::fs::metadata(&self.path).ok()?);
            Some(same(&here, &there))
        };
        if self.open.as_ref().is_some_and(|file| is_there(file) != Some(true)) {
            self.reopen();
        }
        let file = match self.open.take() {
            Some(file) => file,
            None => self.made()?,
        };
        Ok(self.open.insert(file))
    }

    fn made(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        // Without waiting: for the reader of a pipe, and for room in it.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        options.append(true).create(true).mode(0o600).custom_flags(flags);
        options.open(&self.path)
    }
}

fn same(here: &Metadata, there: &Metadata) -> bool {
    (here.dev(), here.ino()) == (there.dev(), there.ino())
}
